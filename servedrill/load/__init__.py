"""The load generator: an open-loop client in worker processes of its own, so that nothing bends its clocks."""
