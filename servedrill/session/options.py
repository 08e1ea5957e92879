"""What a session is asked for, checked before anything is started or written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from servedrill.errors import UsageError
from servedrill.judging.catalogue import require_declarable
from servedrill.load.recording import read_recording
from servedrill.marks.marking import require_notifier
from servedrill.refstack.policies import BadDefect, Policies
from servedrill.runs.about import Options
from servedrill.runs.stored import read_about
from servedrill.slo.openslo import read_slos
from servedrill.stacks.capabilities import require_known
from servedrill.stacks.file import StackFile
from servedrill.stacks.reading import read_stack_file
from servedrill.stacks.secrets_of import require_hidden


def check_options(options: Options, *, production: bool = False, baseline: str | None = None) -> StackFile:
    """The stack that the options name.

    Raises `UsageError` for a stack file, an SLO file, a recorded trace, a defect or a baseline (a run's folder) that
    cannot be used, for a key that could not be kept out of the run, and for a stack of production unless ``production``
    allows it.
    """
    if baseline:
        read_about(Path(baseline))
    file = read_stack_file(Path(options.stack_file) if options.stack_file else None)
    require_hidden(file)
    require_notifier(file.marks)
    for weakness in file.weaknesses:
        for check in weakness.checks:
            require_declarable(check, where=f"{file.path}: weaknesses")
    if file.environment == "production" and not production:
        raise UsageError(
            f"{file.name!r} is a production stack; a drill's blast radius there: {file.blast_radius}",
            where=file.path,
            expected="--drill-production from whoever may break it",
        )
    if options.arrivals:
        read_recording(options.arrivals)
    if options.slo_file:
        read_slos(Path(options.slo_file))
    check_defects(options.defects)
    return file


def check_defects(defects: list[str], *, where: str = "--drill-defect") -> None:
    """Raise `UsageError` for a defect of the embedded stack that cannot be loaded; ``where`` it was asked for."""
    try:
        Policies(defects)
    except BadDefect as error:
        raise UsageError(str(error), where=where) from None


def check_capabilities(capabilities: Sequence[str], *, where: str) -> None:
    """Raise `UsageError` for a capability that no stack could have: a typing mistake must not look like a stack that
    lacks it.
    """
    for capability in capabilities:
        try:
            require_known(capability)
        except UsageError as error:
            raise UsageError(
                f"unknown capability {capability!r}",
                where=where,
                expected="the name of a protocol of servedrill.stacks.protocols",
                hint=error.hint,
            ) from None
