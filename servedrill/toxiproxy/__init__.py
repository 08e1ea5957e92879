"""The embedded fault proxy: a server that speaks Toxiproxy's HTTP API and knows HTTP/1.1 event streams.

It runs as a process of its own (`python -m servedrill.toxiproxy`), so that a fault never shares a scheduler with the
load that measures it. Every existing Toxiproxy client drives it unchanged.
"""
