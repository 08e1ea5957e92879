"""The record that a call leaves in the history."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from servedrill.history.events import Attempt, CancelPlan, RequestRecord
from servedrill.load.answer import Answer
from servedrill.load.plan import RequestClass
from servedrill.load.schedule import PlannedRequest

_PROMPT_LINE = 200


def request_record(
    planned: PlannedRequest,
    cls: RequestClass,
    answer: Answer,
    attempts: list[Attempt],
    *,
    t_int_ns: int,
    t_send_ns: int | None,
    t_end_ns: int,
    failure: str | None,
    cancel: CancelPlan | None,
    cancelled_ns: int | None,
) -> RequestRecord:
    """The record of a request that ended at ``t_end_ns``; ``answer`` is what its last try brought.

    ``t_send_ns`` is None when it was never written, ``cancelled_ns`` unless the client hung up on purpose.
    """
    error, stamps_ns = answer.error, answer.stamps_ns
    return RequestRecord(
        t_ns=t_end_ns,
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
        t_int_ns=t_int_ns,
        t_send_ns=t_send_ns,
        t_first_ns=stamps_ns[0] if stamps_ns else None,
        t_last_ns=stamps_ns[-1] if stamps_ns else None,
        t_end_ns=t_end_ns,
        deadline_s=cls.deadline_s,
        gaps_ns=[later - earlier for earlier, later in pairwise(stamps_ns)],
        attempts=attempts,
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
        cancel=cancel,
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
