"""What may not be written down: secrets that this process knows, and how they are taken out of what others say."""
