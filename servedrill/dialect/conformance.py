"""Where a stack talks otherwise than OpenAI's own API, and whom that would trip up.

It is no failure: no drill is lost by it. Whoever moves a client from one service to another reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from servedrill.dialect.openai import PATHS, REQUEST_ID
from servedrill.history.dialect import Dialect, Spoken


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One habit that is not OpenAI's."""

    what: str
    openai: str
    here: str
    trips: str
    """Who stumbles over it, in a sentence."""
    said: str = ""
    """What the stack answered when it was asked; empty where that was an answer like any other."""


NOT_OPENAI = frozenset({"ignore_eos"})
"""Parameters of requests of ours that OpenAI refuses, too."""


def differences(spoken: Spoken) -> list[Difference]:
    """In the order in which a client would meet them; none where the stack talks as OpenAI does."""
    return [
        msgspec.structs.replace(one, said=spoken.notes.get(note, ""))
        for note, one in (*_of_requests(spoken.dialect), *_of_answers(spoken.dialect), *_of_errors(spoken.dialect))
    ]


def _of_requests(dialect: Dialect) -> Iterator[tuple[str, Difference]]:
    for route, path in PATHS.items():
        if route not in dialect.routes:
            yield (
                f"routes {route}",
                Difference(what=path, openai="there", here="missing", trips="A client that asks there gets no answer."),
            )
    for name in dialect.without:
        if name not in NOT_OPENAI:
            trips = f"A client that sends {name} is refused."
            yield f"without {name}", Difference(what=name, openai="taken", here="refused", trips=trips)
    if dialect.max_tokens != "max_tokens":
        yield (
            "",
            Difference(
                what="max_tokens",
                openai="taken, but by reasoning models",
                here=f"{dialect.max_tokens} alone",
                trips="A client that bounds its answers by max_tokens is refused.",
            ),
        )
    if dialect.n != "all":
        here = "one choice" if dialect.n == "one" else "in streams the ends of all but the first are lost"
        trips = "A client that asks for several choices waits for what never comes."
        yield "n", Difference(what="n", openai="as many choices", here=here, trips=trips)


def _of_answers(dialect: Dialect) -> Iterator[tuple[str, Difference]]:
    if dialect.names:
        trips = "A client that compares the name in the answer with the one that it asked for finds another."
        openai = "the model that was asked for, or its dated name"
        yield "", Difference(what="model", openai=openai, here=", ".join(dialect.names), trips=trips)
    if dialect.role != "once":
        here = "in none" if dialect.role == "never" else "in several"
        trips = (
            "A client that begins a message when it sees a role begins none."
            if dialect.role == "never"
            else "A client that begins a message at each role begins several."
        )
        yield "", Difference(what="delta.role", openai="in the first delta", here=here, trips=trips)
    if not dialect.done:
        trips = "A client that reads until [DONE] waits until the connection ends."
        yield "", Difference(what="[DONE]", openai="ends every stream", here="missing", trips=trips)
    if dialect.usage != "all":
        here = "in answers that are not streamed alone" if dialect.usage == "whole" else "missing"
        trips = "A client that counts tokens by usage counts too few."
        yield "", Difference(what="usage", openai="in every answer", here=here, trips=trips)


def _of_errors(dialect: Dialect) -> Iterator[tuple[str, Difference]]:
    if dialect.invalid != 400:
        trips = "A client learns from no status that its request is wrong."
        if dialect.invalid == 200:
            trips = "A client with a mistake in its request gets an answer, and does not learn of it."
        here = f"{dialect.invalid}"
        yield "", Difference(what="temperature below 0", openai="400", here=here, trips=trips)
    if not dialect.error_object:
        trips = "A client that shows error.message shows nothing."
        openai = "error, with message, type and code"
        yield "error_object", Difference(what="errors", openai=openai, here="another shape", trips=trips)
    if dialect.error_id == "none":
        trips = "Who reports an error cannot say which one."
        yield "", Difference(what=REQUEST_ID, openai="with every error", here="missing", trips=trips)
