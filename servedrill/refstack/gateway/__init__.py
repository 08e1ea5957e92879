"""A gateway: decides which engine answers, how often it tries, how long it waits, and what it refuses."""
