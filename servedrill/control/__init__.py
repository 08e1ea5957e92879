"""How control calls reach what is drilled."""
