"""Reading metrics: one vocabulary for every vendor's names."""
