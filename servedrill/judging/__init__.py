"""The verdict of a history, and its words."""
