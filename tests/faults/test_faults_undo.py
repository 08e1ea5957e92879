"""Undo records: what the watchdog could not carry out is refused, and what it can is never lost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest

from servedrill.leases.ledger import Ledger
from servedrill.leases.reader import open_leases
from servedrill.leases.undo import HttpCall, RemoveFile, RunCommand, WriteFile
from tests.worlds.hostile import BODIES, HEADS, hostile


class Mine(msgspec.Struct, frozen=True, kw_only=True, tag_field="undo", tag="mine"):
    """A record that nobody but its author knows."""

    path: str

    def carry_out(self) -> None:
        Path(self.path).unlink()


def test_a_record_that_the_watchdog_does_not_know_is_refused(tmp_path: Path) -> None:
    """Before anything is broken: written down, it would be read by nobody, and what stands beside it neither."""
    ledger = Ledger(tmp_path / "leases.jsonl")
    with pytest.raises(TypeError, match="RunCommand can say anything else"):
        ledger.open("mine", [WriteFile(path="a", text="b"), Mine(path="c")])  # type: ignore[list-item]
    ledger.close()
    assert open_leases(tmp_path / "leases.jsonl") == []


def test_of_another_versions_lease_what_is_known_is_carried_out(tmp_path: Path) -> None:
    """An undo that this version has no record for does not take the others with it."""
    known = {"undo": "remove_file", "path": "flag"}
    line = {"type": "opened", "lease": "new-1", "undo": [known, {"undo": "of-next-year", "what": 1}]}
    (tmp_path / "leases.jsonl").write_text(json.dumps(line) + "\n" + '{"type": "opened", "lease": "cut')
    (lease,) = open_leases(tmp_path / "leases.jsonl")
    assert (lease.lease, lease.undo) == ("new-1", [RemoveFile(path="flag")])


def test_each_is_carried_out_twice_without_harm(tmp_path: Path) -> None:
    """A file is removed, a command run, a setting put back; what is gone is not made anew."""
    flag, told = tmp_path / "flag", tmp_path / "told"
    flag.write_text("up")
    for undo in (
        RemoveFile(path=str(flag)),
        RunCommand(argv=["touch", str(told)]),
        RunCommand(argv=["no-such-program"]),
    ):
        undo.carry_out()
        undo.carry_out()
    assert not flag.exists() and told.exists()
    told.write_text("1")
    WriteFile(path=str(told), text="max").carry_out()
    assert told.read_text() == "max"
    WriteFile(path=str(flag), text="max").carry_out()
    assert not flag.exists()


@pytest.mark.parametrize(
    "mode", ["a head that drips", "headers without end", "a body that drips", "200 MB", "nothing, and open", "noise"]
)
def test_a_call_that_undoes_is_not_held_up(mode: str) -> None:
    """Whoever answers: the records after it are for others."""
    with hostile({"any": {**HEADS, **BODIES}[mode]}) as url:
        began = time.monotonic()
        HttpCall(address=url.removeprefix("http://"), method="DELETE", path="/proxies/a").carry_out()
        assert time.monotonic() - began < 60
