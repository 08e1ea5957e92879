"""What came is what counts: where nobody can check the server's counts of tokens, they alone prove nothing.

One piece of content may hold several tokens on a healthy stack, so a larger count is no lie either.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from servedrill.checkers.finding import Answer, Finding
from servedrill.history.history import History


def by_what_came(judge: Callable[[bool], Finding], history: History) -> Finding:
    """What a checker says with each piece of content for one token.

    Where that refutes its claim and the server's counts, taken at their word, do not, nobody can say. ``judge`` is
    called with whether they are taken so.
    """
    came = judge(False)
    if came.answer is not Answer.FAIL or history.counts_known or judge(True).answer is Answer.FAIL:
        return came
    streams = history.requests(cancelled=True).streams.begun
    told = zip(streams.column("tokens"), streams.column("pieces"), strict=True)
    most, tokens, pieces = max((count / came, count, came) for count, came in told)
    first = next(iter(streams.keep(count / came >= most for count, came in streams.columns("tokens", "pieces"))))
    return msgspec.structs.replace(
        came,
        answer=Answer.INCONCLUSIVE,
        observed=f"{came.observed}, by what came; it holds only if the server's counts of tokens are true, such as "
        f"{first.id}: {tokens} in {pieces} pieces",
        evidence=[first.id],
    )
