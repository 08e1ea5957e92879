"""The record that a call leaves in the history."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from servedrill.dialect.frames import ErrorSeen
from servedrill.history.events import Attempt, CancelPlan, RequestRecord
from servedrill.load.answer import Answer
from servedrill.load.plan import RequestClass
from servedrill.load.schedule import PlannedRequest
from servedrill.secrecy import known

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
    error, stamps_ns = answer.error or ErrorSeen(message=answer.met or None), answer.stamps_ns
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
        texts=[known.hidden(said) for said in answer.texts],
        finish_reasons=[None if why is None else known.name(why) for why in answer.finish_reasons],
        preambles=answer.preambles,
        done_frames=answer.done_frames,
        models=known.names(answer.models),
        fingerprints=known.names(answer.fingerprints),
        completion_tokens=answer.completion_tokens,
        cached_tokens=answer.cached_tokens,
        usage_prompt_tokens=answer.prompt_tokens,
        error_status=None if answer.error is None else error.code if answer.status == 200 else answer.status,
        error_type=None if error.type is None else known.name(error.type),
        error_message=None if error.message is None else known.text(error.message),
        error_request_id=_id_of_error(answer),
        error_schema_ok=None if answer.error is None else error.schema_ok,
        failure=failure,
        cancel=cancel,
        cancelled_ns=cancelled_ns,
    )


def _id_of_error(answer: Answer) -> str | None:
    if answer.error is None:
        return None
    return header(answer.request_id) if answer.error.request_id is None else known.name(answer.error.request_id)


def short_prompt(prompt: str) -> str:
    """The prompt as a record keeps it: itself, or its digest where it is longer than a line."""
    if len(prompt) <= _PROMPT_LINE and "\n" not in prompt:
        return prompt
    return "sha:" + hashlib.sha256(prompt.encode()).hexdigest()


def header(value: bytes | None) -> str | None:
    """A header's value, if it is there, as it is written down."""
    return None if value is None else known.name(value.decode("latin-1"))
