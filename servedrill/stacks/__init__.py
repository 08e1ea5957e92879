"""Stacks: what is drilled, and what it lets a drill do to it."""
