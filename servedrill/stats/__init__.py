"""Arithmetic over records: how a request ended, its latencies, percentiles in which a failure is the worst of all."""
