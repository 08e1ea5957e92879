"""What to do about a claim that does not hold: data, one TOML file for each module of checkers."""
