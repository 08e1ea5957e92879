"""The folder of a run: written, read back, measured, compared."""
