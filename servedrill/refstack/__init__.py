"""What a well-behaved LLM serving stack looks like, small: a program of its own, ``python -m servedrill.refstack``.

It imports nothing of the rest of servedrill: drills reach it over HTTP, signals and files, as they would reach anybody's
stack. Everything in it that can be done wrong is a policy (see `servedrill.refstack.policies`), so that a bug is one class in
place of another.
"""
