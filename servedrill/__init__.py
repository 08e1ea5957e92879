"""Failure drills for LLM and GPU serving stacks: break it on purpose, prove that it held."""

from servedrill._version import __version__ as __version__
