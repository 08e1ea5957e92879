"""Names of measurements (`servedrill.history.events.Observed`) that one room writes and another one reads."""

NOT_RECORDED = "reference.none"
"""No engine gave an answer to ``prompt`` that later ones could be compared with; ``seen`` is what came instead."""
NOT_FIRST = "load.not_first"
"""A load worker may not run before all others; ``because`` says what the system said."""
UNREAD = "observer.unread"
"""An answer of ``source`` that came and was not read, ``because`` of a bound that it met or of what it was."""
