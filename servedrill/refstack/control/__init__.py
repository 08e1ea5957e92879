"""What surrounds gateways and engines: the supervisor, the DNS name, the alert endpoint, the rollout of models."""
