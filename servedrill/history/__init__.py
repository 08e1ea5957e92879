"""The history of a run: typed events, appended to one file, read back by everything that judges or draws."""
