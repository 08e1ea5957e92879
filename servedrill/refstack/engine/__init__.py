"""An inference engine: an API server, and a core process that schedules, computes and holds the KV cache."""
