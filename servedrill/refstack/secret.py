"""The secret of this stack, without which nothing is changed at a control port of it (see `servedrill.refstack.guard`).

It comes by the environment, or is made by the first process of the stack for those that it starts.
"""

from __future__ import annotations

import os
import secrets

SECRET = "SERVEDRILL_CONTROL_SECRET"


def control_secret() -> str:
    """Made here where the environment has none."""
    if not os.environ.get(SECRET):
        os.environ[SECRET] = secrets.token_urlsafe(32)
    return os.environ[SECRET]


def proof() -> dict[str, str]:
    """The header that shows it."""
    return {"Authorization": f"Bearer {control_secret()}"}
