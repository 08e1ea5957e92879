"""What a well-behaved LLM serving stack looks like, small: a program of its own, ``python -m servedrill.refstack``.

It imports nothing of the rest of servedrill: drills reach it over HTTP, signals and files, as they would any stack.
Everything in it that can be done wrong is a policy (`servedrill.refstack.policies`), so a bug is one class in place of
another.
"""
