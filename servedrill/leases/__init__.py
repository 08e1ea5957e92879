"""What undoes things: records on disk before anything is made or broken, and the watchdog that carries them out."""
