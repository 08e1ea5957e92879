"""What follows when an error budget is spent: words that a file can use, and what each asks people to do."""

from __future__ import annotations

ACTIONS: dict[str, str] = {
    "pause-changes": "no risky change: nothing but urgent fixes and security is rolled out, "
    "and no drill runs on production",
    "roll-back": "the last risky change is rolled back",
    "fall-back": "traffic goes to the fallback: another model, another region, or fewer features",
    "watch-more": "somebody watches the service, and alerts of the ticket kind page",
    "find-cause": "the root cause is found and written down before anything else is worked on",
}
WHEN_SPENT = ("pause-changes", "find-cause")
"""Where a file says nothing: no changes but urgent ones and those for security, as in Google's example policy."""


def follows(when_spent: list[str]) -> list[str]:
    """The words to act by."""
    return when_spent or list(WHEN_SPENT)
