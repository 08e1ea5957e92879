"""Files that people write, read with the place of every key, so that a mistake can be shown where it stands; logs."""
