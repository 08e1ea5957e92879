"""Drills that nobody watches: what gates, what is compared, and what is left for whoever looks in the morning."""
