"""``servedrill ...``: one file a command."""
