"""Service level objectives: what each class of users was promised."""
