"""A refutation says all that is wrong, so that nobody mends one thing to be told of the next."""

from __future__ import annotations

from made_up import PHASES, history, many, refused

from servedrill.checkers.answered import OWN_MARK, ErrorsReadable
from servedrill.toxiproxy.toxics.error_event import ErrorEvent
from servedrill.toxiproxy.toxics.http_status import HttpStatus


def test_all_that_an_error_lacks_is_told() -> None:
    """Its object, its id and its Retry-After, each with how many lack it."""
    told = history(*PHASES, *many(4, 4, 8, refused, readable=False, retry_after_s=None), refused(5, retry_after_s=None))
    observed = ErrorsReadable(window="inject")(told).observed
    assert "4 x no error object, 4 x no request id" in observed
    assert "5 x no Retry-After" in observed


def test_what_the_toxics_answer_has_the_mark() -> None:
    """The checker and the proxy, which share no code, mean the same words."""
    assert f'"message": "{OWN_MARK}' in HttpStatus(status=429)._body("r-1").decode()
    assert ErrorEvent().message.startswith(OWN_MARK)
