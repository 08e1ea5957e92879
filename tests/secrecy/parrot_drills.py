"""Drills on the parrot, and what they do to make pytest talk; run by test_secrecy_parrot.py."""

DRILLS = '''
import logging
import os

import httpx
import pytest

from servedrill.checkers.answered import ErrorsReadable, NoFailures
from servedrill.checkers.claims import good_again, served, unnoticed
from servedrill.checkers.swap import VersionsServed
from servedrill.checkers.replicas import AlertFired
from servedrill.drill.traffic import chat, code
from servedrill.errors import FaultError
from servedrill.faults.process import ProcessKill


def test_listens(drill):
    """It answers as it should."""
    drill.load(chat(rate=40, retries=1), code(rate=20))
    drill.baseline(2.5)
    drill.expect(*served("baseline", "chat"), *unnoticed("baseline"), ErrorsReadable(window="baseline"))
    drill.expect(VersionsServed(window="baseline", versions=["v1"]), AlertFired(replica="engine-0", window="baseline"))


def asked(drill):
    headers = {"authorization": "Bearer " + os.environ["PARROT_KEY"]}
    body = {"model": "m", "prompt": "a"}
    return httpx.post(drill.stack.entry().base_url + "/v1/completions", json=body, headers=headers)


def test_looks(drill):
    """Its own assertion fails."""
    answer = asked(drill)
    many = [dict(answer.request.headers)] * 9
    longer = "." * 100 + os.environ["PARROT_KEY"] * 9
    print(answer.text)
    logging.getLogger("drill").warning(answer.text)
    try:
        raise ValueError(answer.text)
    except ValueError:
        logging.getLogger("drill").exception("said %s", answer.headers)
    assert (answer.text, many, longer) == "something else", answer.text


def test_raises(drill):
    """Somebody else's error."""
    answer = asked(drill)
    raise httpx.ReadError(f"cannot read {answer.text} {answer.headers}")


def test_kills(drill):
    """A hook that fails says why."""
    with drill.broken(ProcessKill(drill.stack, "engine-0")):
        drill.hold(0.1)
'''

STACK = """
kind = "external"
name = "parrot"
api_key_env = "PARROT_KEY"
alerts = "{url}"

[external]
url = "{url}"

[promises]
model = "m"
oracle = "frames"

[[replica]]
name = "engine-0"
role = "engine"
url = "{url}"
api_key_env = "METRICS_KEY"
hooks.kill = "{python} -c 'import os, sys; k = os.environ[\\"PARROT_KEY\\"]; print(k); sys.exit(\\"x\\" * 200 + k)'"
hooks.restart = "true"
hooks.identity = "{python} -c 'import os; print(os.environ[\\"PARROT_KEY\\"])'"

[[replica]]
name = "engine-1"
role = "engine"
url = "{with_user}"
metrics = "{with_user}/strange/metrics?token=Query/9284+token%3D"
"""
