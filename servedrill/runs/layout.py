"""Where runs are, and the names of what is in their folders: everything that a run writes and that is read back later.

    RUNS/<began>-<seed>/run.json                what was asked for, versions, the commands that replay it
    RUNS/<began>-<seed>/verdicts.json           one verdict a drill
    RUNS/<began>-<seed>/<drill>/history.jsonl   everything that happened
    RUNS/<began>-<seed>/<drill>/verdict.json    what that came to
    RUNS/<began>-<seed>/<drill>/stack.json      the stack as it described itself; stacks write it
    RUNS/latest                                 a link to the latest run
    RUNS/index.sqlite                           all runs at a glance; can be thrown away at any time

It imports nothing, so that whoever needs a name loads nothing else.
"""

RUNS = ".servedrill/runs"
LATEST = "latest"
INDEX = "index.sqlite"
RUN = "run.json"
VERDICTS = "verdicts.json"
HISTORY = "history.jsonl"
VERDICT = "verdict.json"
STACK = "stack.json"
