"""The secret of this run, which control ports of the embedded stack ask for before they change anything.

It is in the environment, so that everything that is started from here has it, the watchdog and every part of a stack
among them, and in no file and on no command line. A script of yours that has to change something chooses it before:
``export SERVEDRILL_CONTROL_SECRET=...``.
"""

from __future__ import annotations

import os
import secrets

from servedrill.secrecy.known import KNOWN, secret_in

SECRET = "SERVEDRILL_CONTROL_SECRET"


def new_secret() -> str:
    """One that nobody guesses: 32 random bytes as text."""
    made = secrets.token_urlsafe(32)
    KNOWN.learn(made)
    return made


def run_secret() -> str:
    """That of this process and of all that it starts; made when it is first asked for."""
    if not os.environ.get(SECRET):
        os.environ[SECRET] = new_secret()
    return secret_in(SECRET) or ""


def proof(secret: str) -> dict[str, str]:
    """The header that shows a secret to a control port."""
    return {"Authorization": f"Bearer {secret}"}
