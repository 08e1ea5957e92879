"""A session of drills, whoever asks for it: what was asked for is checked, the stack is brought up, each drill is
judged when it ends.
"""
