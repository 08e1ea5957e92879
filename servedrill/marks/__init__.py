"""Marks where people look: annotations, messages and spans of what a drill does, in the user's own tools."""
