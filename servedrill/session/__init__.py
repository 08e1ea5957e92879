"""A session of drills, whoever asks for it: options are checked, stacks brought up, drills judged when they end."""
