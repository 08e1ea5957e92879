"""What to do about a FAIL, wherever a FAIL is shown: one line in the terminal, all of it everywhere else."""

from __future__ import annotations

import html
import io
import json
from pathlib import Path

import msgspec
import pytest
from report_world import history, run_folder, stored, verdict

from servedrill.checkers.finding import Answer, Finding
from servedrill.history.events import SourceSeen
from servedrill.history.history import History
from servedrill.judging.verdict import Verdict, judge
from servedrill.remedies.remedy import remedy_for
from servedrill.reporting.advice import remedy_of, software_of
from servedrill.reporting.console import print_summary
from servedrill.reporting.leavings import leave
from servedrill.reporting.markdown import summary
from servedrill.reporting.tables import console_for

PIECE = Finding(
    checker="StreamsStream", answer=Answer.FAIL, claim="Streams come as they are made.", observed="9 of 9 in one piece"
)
BUSY = Finding(
    checker="LoadKeptSchedule", answer=Answer.INCONCLUSIVE, claim="The load was on time.", observed="lag 90 ms"
)
NGINX = {"process": [{"name": "gateway", "command": ["/usr/sbin/nginx", "-c", "nginx.conf"]}]}


def failed(*findings: Finding, software: tuple[str, ...] = ()) -> Verdict:
    return msgspec.structs.replace(verdict(), findings=list(findings), software=list(software))


def in_terminal(one: Verdict, folder: Path, monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    file = io.StringIO()
    print_summary(console_for(file), [one], str(folder))
    return file.getvalue().splitlines()


def told(lines: list[str]) -> str:
    """What is advised, its lines joined."""
    return " ".join(" ".join(lines).split())


def test_the_terminal_names_the_stacks_own_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the finding, whose lines stay as they were; no line is wider than the terminal."""
    run_folder(tmp_path / "run", verdicts={})
    (tmp_path / "run/paper/stack.json").write_text(json.dumps(NGINX))
    lines = in_terminal(failed(PIECE), tmp_path / "run", monkeypatch)
    at = next(number for number, line in enumerate(lines) if "what to do:" in line)
    assert lines[at - 2 : at] == [
        "  FAIL         Streams come as they are made.",
        "               seen 9 of 9 in one piece",
    ]
    assert "what to do: nginx: `proxy_buffering off` passes tokens on as they come" in told(lines[at:])
    assert max(map(len, (line.rstrip() for line in lines if "evidence:" not in line))) <= 80
    assert lines[at].startswith(" " * 15) and lines[at + 1][:14].strip() in ("", "servedrill")


def test_the_terminal_says_what_helps_anywhere_where_it_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a folder without a stack."""
    text = told(in_terminal(failed(PIECE), tmp_path / "nowhere", monkeypatch))
    assert "what to do: Turn off buffering at every hop between engine and user." in text
    odd = msgspec.structs.replace(failed(PIECE), drill="a\0b")
    assert "what to do: Turn off" in told(in_terminal(odd, tmp_path, monkeypatch))
    wide = in_terminal(failed(PIECE, software=("HAProxy",)), tmp_path, monkeypatch, columns=140)
    assert any("what to do: HAProxy: `option http-no-delay` passes tokens on as they come" in line for line in wide)


@pytest.mark.parametrize(
    ("finding", "advised"),
    [
        (PIECE, True),
        (BUSY, True),
        (msgspec.structs.replace(PIECE, answer=Answer.INCONCLUSIVE), False),
        (msgspec.structs.replace(PIECE, answer=Answer.PASS), False),
        (msgspec.structs.replace(BUSY, answer=Answer.PASS), False),
        (msgspec.structs.replace(PIECE, declared="It is known."), False),
        (msgspec.structs.replace(PIECE, checker="elsewhere:StreamsStream"), False),
    ],
    ids=["refuted", "machine", "doubted", "proven", "on-time", "declared", "elsewhere"],
)
def test_advice_is_given_where_it_helps(
    finding: Finding, advised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what was refuted, and for what of the machine kept the drill from being judged."""
    assert (remedy_of(finding) is not None) is advised
    assert ("what to do:" in told(in_terminal(failed(finding), tmp_path, monkeypatch))) is advised


def test_files_have_all_of_it(tmp_path: Path) -> None:
    """The incident file, the job's page and the report: meaning, advice, causes with incidents, settings with
    sources."""
    run = stored(tmp_path / "run", verdicts={"paper": failed(PIECE, software=("HAProxy",))})
    leave(run.folder)
    remedy = remedy_for("StreamsStream")
    assert remedy is not None
    page = html.unescape((run.folder / "report.html").read_text())
    for text in ((run.folder / "paper/incident.md").read_text(), summary(run), page):
        for said in (remedy.users, remedy.do, *(cause.what for cause in remedy.causes), "litellm#26102"):
            assert said in text.replace("\\", ""), said
        for one in remedy.settings:
            assert one.setting in text and one.source in text and one.does in text
        assert text.index("option http-no-delay") < text.index("proxy_buffering off")


def test_a_finding_that_nobody_knows_a_remedy_of_stays_as_it_is(tmp_path: Path) -> None:
    """No empty heading on the page."""
    run = stored(tmp_path / "run")
    leave(run.folder)
    assert "What to do" not in (run.folder / "report.html").read_text()
    assert "What to do" not in summary(run)


def test_whose_software_it_is_comes_from_the_metrics_and_from_the_programs() -> None:
    """Wherever a stack file names them: commands, images, hooks. Ours is nobody's software."""
    seen = [
        SourceSeen(t_ns=1, source="engine-0", role="engine", vendor="vLLM"),
        SourceSeen(t_ns=1, source="engine-1", role="engine", vendor="servedrill"),
        SourceSeen(t_ns=1, source="gateway-0", role="gateway", vendor=""),
    ]
    judged = judge(History([*history(seconds=3), *seen]))
    assert judged.software == ["vLLM"]
    stack = {
        "process": [{"command": ["nice", "{cache}/envoy/bin/envoy", "-c", "x"], "name": "haproxy"}],
        "container": [{"image": "library/nginx:1.27"}, {"image": "servedrill"}],
        "replica": [{"hooks": {"kill": "kubectl delete pod vllm-0"}}],
        "command": "haproxy",
    }
    assert software_of(judged, stack) == {"vLLM", "Envoy", "nginx", "Kubernetes"}
    assert software_of(failed(PIECE), {}) == frozenset()
