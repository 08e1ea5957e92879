"""The ledger: what is open is known from the file alone, whoever wrote it and however it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servedrill.host.processes import own_identity
from servedrill.leases.ledger import Ledger, Opened
from servedrill.leases.reader import LedgerReader, open_leases
from servedrill.leases.undo import WriteFile


def kinds(leases: list[Opened]) -> list[str]:
    """What each lease was opened as."""
    return [re.sub(r"-\d+\..*", "", entry.lease) for entry in leases]


def test_leases_come_latest_first(tmp_path: Path) -> None:
    """The order in which to heal; closed ones are gone."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    a, b, c = (ledger.open(kind, [WriteFile(path=kind, text="off")], deadline_ns=7) for kind in "abc")
    ledger.close_lease(b)
    ledger.close_lease("never opened")
    ledger.close()
    left = open_leases(ledger.path)
    assert [(entry.lease, entry.undo, entry.deadline_ns) for entry in left] == [
        (c, [WriteFile(path="c", text="off")], 7),
        (a, [WriteFile(path="a", text="off")], 7),
    ]


def test_a_lease_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Kind, number and process: another life of the same pid, and a second lease of the same kind, differ."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    one, two = ledger.open("latency", []), ledger.open("latency", [])
    ledger.close()
    me = own_identity()
    number = int(one.removeprefix("latency-").partition(".")[0])
    assert one == f"latency-{number}.{me.pid}-{me.start_ticks:x}"
    assert two == f"latency-{number + 1}.{me.pid}-{me.start_ticks:x}"


def test_no_ledger_means_nothing_to_heal(tmp_path: Path) -> None:
    """A watchdog may look before the first lease."""
    assert open_leases(tmp_path / "none.jsonl") == []


def test_a_last_record_that_was_cut_is_left_out(tmp_path: Path) -> None:
    """Its fault was never injected: the record is written first."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    ledger.open("a", [])
    ledger.open("b", [])
    ledger.close()
    ledger.path.write_bytes(ledger.path.read_bytes()[:-5])
    assert kinds(open_leases(ledger.path)) == ["a"]


def test_a_record_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    """A reader may look while a line is being written: half of it is nothing yet, and is not read again."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    ledger.open("a", [])
    ledger.close()
    whole = ledger.path.read_bytes()
    growing = tmp_path / "growing.jsonl"
    reader = LedgerReader(growing)
    for byte in whole:
        assert reader.open_leases() == []
        with growing.open("ab") as file:
            file.write(bytes([byte]))
    assert kinds(reader.open_leases()) == ["a"]
    assert kinds(reader.open_leases()) == ["a"]


def test_a_record_after_one_that_was_cut_is_read(tmp_path: Path) -> None:
    """A full disk, or the end of another process, leaves half a line: whoever writes next begins a line of its own."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    reader = LedgerReader(ledger.path)
    for end in (5, 2, 1):
        ledger.open("cut", [])
        os.truncate(ledger.path, ledger.path.stat().st_size - end)
        reader.open_leases()
    after = ledger.open("after", [])
    assert kinds(reader.open_leases()) == ["after", "cut"]  # of the last only the end of the line was missing
    ledger.close_lease(after)
    ledger.close()
    assert kinds(reader.open_leases()) == kinds(open_leases(ledger.path)) == ["cut"]


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    """A record cut by a full disk and gone on behind is one line of garbage; the others still have to be healed."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    ledger.open("a", [])
    with ledger.path.open("ab") as file:
        file.write(b'{"type":"opened","lease":"b","un{"type":"opened","lease":"c","undo":[]}\n')
    ledger.open("d", [])
    ledger.close()
    assert kinds(open_leases(ledger.path)) == ["d", "a"]


CRAMPED = """
import resource, sys
from pathlib import Path
from servedrill.leases.ledger import Ledger
from servedrill.leases.undo import WriteFile

ledger = Ledger(Path(sys.argv[1]))
ledger.open("fits", [WriteFile(path="a", text="off")])
resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.path.stat().st_size + 20,) * 2)
try:
    ledger.open("does not fit", [WriteFile(path="b", text="off")])
except OSError as error:
    print("refused", error)
else:
    print("taken")
"""


def test_a_record_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Where the undo cannot be written, the fault must not be injected: a full disk is an error, not half a record."""
    command = [sys.executable, "-c", CRAMPED, str(tmp_path / "leases.jsonl")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    assert said.startswith("refused")
    assert kinds(open_leases(tmp_path / "leases.jsonl")) == ["fits"]


def test_a_ledger_is_nobody_elses_business(tmp_path: Path) -> None:
    """It names processes and commands, so only its owner reads it."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    ledger.close()
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_the_record_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line in the page cache would go with the machine."""
    synced: list[int] = []
    monkeypatch.setattr("servedrill.leases.ledger.os.fsync", synced.append)
    ledger = Ledger(tmp_path / "leases.jsonl")
    ledger.close_lease(ledger.open("a", []))
    ledger.close()
    assert len(synced) == 2
