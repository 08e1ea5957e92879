"""What the answer has to be: prompts by their short form, and the tokens a model version gives for them."""
