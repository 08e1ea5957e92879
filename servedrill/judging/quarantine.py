"""Quarantine: what is known to fail, who answers for it, and until when. It runs and is shown, and does not gate.

    [[quarantine]]
    drill = "cancel_storm"            # or claim = "RetriesSpread:broken", or both: that claim in that drill
    owner = "team-gateway"
    link = "https://tracker.example/SRV-812"
    made = 2026-11-01
    expires = 2026-12-01              # 90 days after it was made at most

It is a rule from a verdict to an outcome; the verdict stays what it is, wherever it is written. An entry that has
expired, or that fits nothing, is a mistake: it would hide what nobody looks at any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from servedrill.checkers.finding import Answer, Finding
from servedrill.errors import FileError, UsageError
from servedrill.files.documents import Document, Kind, read_documents
from servedrill.files.meant import meant
from servedrill.files.mistakes import Mistakes
from servedrill.judging.catalogue import require_declarable
from servedrill.judging.verdict import Verdict, names_of
from servedrill.judging.words import worst_of

DAYS_MAX = 90
_FILES = Kind(
    file="a quarantine file, or none",
    object="[[quarantine]] with drill or claim, owner, link, made, expires",
    otherwise="TOML",
)
_LINKS = ("https://", "http://")


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[quarantine]]`` as people write it."""

    drill: str = ""
    """Its name, ``cancel_storm``; of a parametrized one ``name`` is all of its cases, ``name[case]`` one."""
    claim: str = ""
    """A checker, ``:`` and a window behind it or not; empty: all that the drill claims."""
    owner: str
    link: str
    """Where it is being worked on."""
    because: str = ""
    made: str
    """ISO date, as ``expires``, the last day on which it holds (UTC)."""
    expires: str


class Entry(Written, frozen=True, kw_only=True):
    """The same, and where it stands."""

    where: str = ""
    """``quarantine.toml:3:9``: where what it covers is named."""

    @property
    def what(self) -> str:
        """``RetriesSpread:broken in cancel_storm``."""
        return " in ".join(filter(None, (self.claim, self.drill)))

    @property
    def terms(self) -> str:
        """``until 2026-12-01, team-gateway, https://...``."""
        return f"until {self.expires}, {self.owner}, {self.link}"

    def has_drill(self, drill: str) -> bool:
        """Whether a drill of that name is one that it is about."""
        return self.drill in ("", drill, drill.partition("[")[0])

    def covers(self, drill: str, finding: Finding) -> bool:
        """Whether it covers what was found in a drill."""
        return self.has_drill(drill) and (not self.claim or self.claim in names_of(finding))


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quarantine: list[Written] = []


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a verdict under a quarantine."""

    answer: Answer
    """By what is not covered: this gates."""
    covered: list[Finding] = []
    """What is not proven and covered."""
    by: list[Entry] = []
    """By these, each once."""

    @property
    def quarantined(self) -> bool:
        """Whether anything is shown that does not gate."""
        return bool(self.covered)


def outcome(verdict: Verdict, quarantine: Sequence[Entry]) -> Outcome:
    """What a verdict leads to. Without a quarantine that fits it is the verdict's own answer."""
    left, covered, by = [], [], list[Entry]()
    for finding in verdict.findings:
        if finding.declared:
            continue
        entry = next((one for one in quarantine if one.covers(verdict.drill, finding)), None)
        if entry is None or finding.answer is Answer.PASS:
            left.append(finding.answer)
        else:
            covered.append(finding)
            by += [entry] if entry not in by else []
    if not covered:
        return Outcome(answer=verdict.answer)
    return Outcome(answer=worst_of(left) if left else Answer.PASS, covered=covered, by=by)


def quarantined(verdicts: Sequence[Verdict], quarantine: Sequence[Entry]) -> list[str]:
    """A line for each entry: what is shown and does not gate by it, or that its drill holds again."""
    lines = []
    for entry in quarantine:
        covered = [one.drill for one in verdicts if entry in outcome(one, quarantine).by]
        judged = [one.drill for one in verdicts if entry.has_drill(one.drill)]
        if covered:
            lines.append(f"quarantined: {entry.what}, {entry.terms}")
        elif judged:
            lines.append(f"quarantined: {entry.what} held; when it holds each time, take the entry out ({entry.where})")
    return lines


def unmatched(quarantine: Iterable[Entry], verdicts: Sequence[Verdict], drills: Sequence[str]) -> list[UsageError]:
    """Entries that fit nothing in a whole session: of whose drill there was none among ``drills``, or whose claim no
    verdict of it has."""
    found = []
    judged = {verdict.drill for verdict in verdicts}
    for entry in quarantine:
        of_it = [drill for drill in drills if entry.has_drill(drill)]
        if not of_it:
            what, hint = f"no drill {entry.drill!r} was collected", meant(entry.drill, drills)
        elif not entry.claim or not judged.issuperset(of_it):  # what was skipped or did not begin might have it
            continue
        elif not any(entry.covers(one.drill, finding) for one in verdicts for finding in one.findings):
            what, hint = f"nobody asks for {entry.what}", ""
        else:
            continue
        expected = "a drill or a claim that there is; what needs no quarantine any more is taken out"
        found.append(UsageError(f"quarantine: {what}", where=entry.where, expected=expected, hint=hint))
    return found


def read_quarantine(path: Path, *, today: date | None = None) -> list[Entry]:
    """The entries of a file. Raises `FileError` with every mistake in it, entries that have expired by ``today`` (UTC)
    among them."""
    mistakes = Mistakes()
    documents, mistakes.found = read_documents(path, _FILES)
    entries: list[Entry] = []
    if documents:
        entries = _read(mistakes, documents[0], today or datetime.now(UTC).date())
    if found := mistakes.listed([path]):
        raise FileError(map(str, found))
    return entries


def _read(mistakes: Mistakes, document: Document, today: date) -> list[Entry]:
    file, document = mistakes.read(document, _File)
    first: dict[tuple[str, str], Entry] = {}
    entries = []
    for index, written in enumerate(file.quarantine):
        key = ("quarantine", index)
        named = (*key, "drill" if written.drill else "claim")
        at = document.at(named)
        entry = Entry(**msgspec.structs.asdict(written), where=f"{document.file}:{at.line}:{at.column}")
        before = first.setdefault((entry.drill, entry.claim), entry)
        if not entry.what:
            mistakes.wrong(document, key, "names nothing", expected='drill = "NAME", claim = "CHECK", or both')
        elif before is not entry:
            mistakes.wrong(document, named, f"{entry.what} is there already", expected=f"one entry, as {before.where}")
        entries.append(entry)
        _check(mistakes, document, index, entry)
        _check_dates(mistakes, document, index, entry, today)
    return entries


def _check(mistakes: Mistakes, document: Document, index: int, entry: Entry) -> None:
    key = ("quarantine", index)
    for name, expected in (("owner", "who answers for it: a team, a person"), ("link", "where it is worked on: a URL")):
        value = getattr(entry, name)
        if not value.strip() or (name == "link" and not value.startswith(_LINKS)):
            mistakes.wrong(document, (*key, name), f"is {value!r}", expected=expected)
    if entry.claim:
        try:
            require_declarable(entry.claim, where="")
        except UsageError as error:
            hint = error.hint
            if "always judged" in error.what:
                hint = "no drill is judged without it; the whole drill can be in quarantine"
            mistakes.wrong(document, (*key, "claim"), error.what, expected=error.expected, hint=hint)


def _check_dates(mistakes: Mistakes, document: Document, index: int, entry: Entry, today: date) -> None:
    days: dict[str, date] = {}
    for name in ("made", "expires"):
        key = ("quarantine", index, name)
        if mistakes.in_doubt(document, key):
            return
        try:
            days[name] = date.fromisoformat(getattr(entry, name))
        except ValueError:
            said = getattr(entry, name)
            mistakes.wrong(document, key, f"is {said!r}", expected=f"a date such as {today.isoformat()}")
            return
    made, expires = days["made"], days["expires"]
    latest = made + timedelta(days=DAYS_MAX)
    if made > today:
        expected = f"the day on which it was made, {today} at the latest (UTC)"
        mistakes.wrong(document, ("quarantine", index, "made"), f"is {made}", expected=expected)
    elif expires > latest or expires < made:
        expected = f"{made} to {latest}, {DAYS_MAX} days after it was made at most"
        mistakes.wrong(document, ("quarantine", index, "expires"), f"is {expires}", expected=expected)
    elif expires < today:
        mistakes.wrong(
            document,
            ("quarantine", index, "expires"),
            f"{entry.what} has expired on {expires}",
            expected=f"that it holds again: take the entry out, or ask {entry.owner} ({entry.link})",
        )
