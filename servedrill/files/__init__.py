"""Files that people write, read with the place of every key, so that each mistake can be shown where it was made; and logs."""
