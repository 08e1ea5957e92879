"""Failure drills for LLM and GPU serving stacks: break it on purpose, prove that it held."""

__version__ = "0.1.0"
