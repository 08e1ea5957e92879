"""Faults: what is broken on purpose, under a lease that puts it back whatever happens."""
