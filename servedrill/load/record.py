"""The record that a call leaves in the history."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

from servedrill.history.events import RequestRecord

if TYPE_CHECKING:
    from servedrill.load.call import Call

_PROMPT_LINE = 200


def request_record(call: Call, *, now: int, failure: str | None, cancelled_ns: int | None) -> RequestRecord:
    """The record of a call that ended at ``now``."""
    planned, cls, answer = call.planned, call.cls, call.answer
    error, stamps_ns = answer.error, answer.stamps_ns
    return RequestRecord(
        t_ns=now,
        id=planned.id,
        cls=cls.name,
        route=cls.route,
        stream=planned.stream,
        n=planned.n,
        model=cls.model,
        prompt=short_prompt(planned.prompt),
        prompt_tokens=planned.prompt_tokens,
        max_tokens=planned.max_tokens,
        params=planned.params,
        t_int_ns=call.t_int_ns,
        t_send_ns=call.t_write_ns,
        t_first_ns=stamps_ns[0] if stamps_ns else None,
        t_last_ns=stamps_ns[-1] if stamps_ns else None,
        t_end_ns=now,
        deadline_s=cls.deadline_s,
        gaps_ns=[later - earlier for earlier, later in pairwise(stamps_ns)],
        attempts=call.attempts,
        status=answer.status,
        texts=answer.texts,
        finish_reasons=answer.finish_reasons,
        preambles=answer.preambles,
        done_frames=answer.done_frames,
        models=answer.models,
        fingerprints=answer.fingerprints,
        completion_tokens=answer.completion_tokens,
        cached_tokens=answer.cached_tokens,
        usage_prompt_tokens=answer.prompt_tokens,
        error_status=None if error is None else error.code if answer.status == 200 else answer.status,
        error_type=error.type if error else None,
        error_message=error.message if error else None,
        error_request_id=error.request_id if error else None,
        error_schema_ok=error.schema_ok if error else None,
        failure=failure,
        cancel=call.cancel,
        cancelled_ns=cancelled_ns,
    )


def short_prompt(prompt: str) -> str:
    """The prompt as a record keeps it: itself, or its digest where it is longer than a line."""
    if len(prompt) <= _PROMPT_LINE and "\n" not in prompt:
        return prompt
    return "sha:" + hashlib.sha256(prompt.encode()).hexdigest()


def text(value: bytes | None) -> str | None:
    """A header's value, if it is there."""
    return None if value is None else value.decode("latin-1")
