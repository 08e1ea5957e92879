"""A run in files for machines: schemas that fit, text that is only text, formats that their own readers read."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from report_world import EVIL, history, hostile, hostile_verdict, run_folder, stored, verdict

from servedrill.checkers.finding import Answer
from servedrill.commands import main as cli
from servedrill.gameday.playbook import FILES as OF_PEOPLE
from servedrill.history.source import Lines
from servedrill.reporting.chaostoolkit import journal
from servedrill.reporting.junit import properties
from servedrill.reporting.leavings import leave
from servedrill.reporting.markdown import code, plain, summary
from servedrill.reporting.openmetrics import openmetrics
from servedrill.reporting.schema import FILES, schemas
from servedrill.runs.digest import Digest
from servedrill.secrecy.looks import masked

ROOT = Path(__file__).parents[2]


def test_the_published_schemas_are_those_of_the_types() -> None:
    """`servedrill schema docs/schema` writes them again."""
    published = {path.name: path.read_bytes() for path in (ROOT / "docs/schema").glob("*.json")}
    assert published == schemas(OF_PEOPLE)
    assert set(published) == {*FILES, *OF_PEOPLE}


def fits(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    """As much of JSON Schema as msgspec writes."""
    if "$ref" in schema:
        return fits(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        return any(fits(value, one, whole) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return set(schema.get("required", [])) <= set(value) and all(
            fits(item, known[key], whole)
            if key in known
            else fits(item, schema.get("additionalProperties") or {}, whole)
            for key, item in value.items()
        )
    return not isinstance(value, list) or all(fits(item, schema.get("items", {}), whole) for item in value)


def test_what_a_run_writes_fits_its_schema(tmp_path: Path) -> None:
    """run.json, verdicts.json, verdict.json, each line of a history; and something else does not."""
    folder = run_folder(tmp_path / "run")
    made = {name: json.loads(content) for name, content in schemas({}).items()}
    for name, path in (("run", "run.json"), ("verdicts", "verdicts.json"), ("verdict", "paper/verdict.json")):
        schema = made[f"{name}.schema.json"]
        value = json.loads((folder / path).read_text())
        assert fits(value, schema, schema), path
        assert not fits({"drill": 7} if name != "run" else {"seed": "x"}, schema, schema)
    schema = made["event.schema.json"]
    lines = [json.loads(line) for line in (folder / "paper/history.jsonl").read_text().splitlines()]
    assert len({line["type"] for line in lines}) >= 11
    assert all(fits(line, schema, schema) for line in lines)
    assert not fits({"type": "request"}, schema, schema)


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


@pytest.mark.parametrize(
    "text",
    [EVIL, "# a", "- a", "+ a", "1. a", "1) a", "> a", "a | b", "[a](http://b)", "![a](b)", "*a*", "__a__", "`a`",
    "~~a~~", "<b>", "&lt;", "=====", "a\n\nb\n# c"],
)  # fmt: skip
def test_markdown_shows_text_as_it_is(text: str) -> None:
    """Whatever it looks like, alone in a paragraph and in a cell of a table."""
    import html

    wanted = " ".join(text.split())
    shown = rendered(plain(text))
    assert html.unescape(shown.replace("@<!-- -->", "@")) == f"<p>{wanted}</p>\n"
    table = rendered(f"| a | b |\n|---|---|\n| {plain(text)} | c |\n")
    assert f"<td>{wanted}</td>\n<td>c</td>" in html.unescape(table)
    assert html.unescape(rendered(code(text))) == f"<p><code>{wanted}</code></p>\n"


def test_nobody_is_called_and_nothing_is_linked() -> None:
    """By a name in a message, or an address that a page would make a link of."""
    assert "@team" not in plain("ask @team")
    assert "http://" not in plain("see http://x.test and www.x.test")
    assert "www.x" not in plain("see http://x.test and www.x.test")


def test_a_job_page_has_the_verdicts_and_what_was_not_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appended to what stands there already; only where a runner asks for it."""
    target = tmp_path / "summary.md"
    target.write_text("before\n")
    folder = run_folder(tmp_path / "run")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    leave(folder)
    assert target.read_text() == "before\n"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    leave(folder, page=False)
    text = target.read_text()
    assert text.startswith("before\n## servedrill: The drill failed\n")
    for said in (
        "| paper | ❌ FAIL |",
        "Every word is right.",
        "2 of 9 wrong; expected 0; window fire",
        "`chat-000051`",
        "There was enough.",
        "--drill-seed 7",
    ):
        assert said in text, said
    assert "It is fast." not in text


def test_hostile_words_make_no_markup_on_a_job_page(tmp_path: Path) -> None:
    """The same elements as without them."""
    run = stored(tmp_path / "run", drills={"paper": hostile(history())}, verdicts={"paper": hostile_verdict()})
    page = rendered(summary(run))
    assert "<script" not in page
    assert "<img" not in page


def test_openmetrics_are_read_back_by_a_reader_of_them(tmp_path: Path) -> None:
    """Verdict, claims by answer, times, figures; hostile names are labels like others."""
    times = {"detect_s": 1.5, "recover_s": 0.5}
    run = stored(tmp_path / "run", verdicts={"paper": verdict(**times)})
    families = {family.name: family for family in text_string_to_metric_families(openmetrics(run).decode())}
    states = {s.labels["servedrill_drill_verdict"]: s.value for s in families["servedrill_drill_verdict"].samples}
    assert states == {"pass": 0, "fail": 1, "inconclusive": 0}
    assert {s.labels["answer"]: s.value for s in families["servedrill_drill_claims"].samples} == {
        "pass": 2,
        "fail": 1,
        "inconclusive": 1,
    }
    assert {s.labels["phase"]: s.value for s in families["servedrill_drill_phase_seconds"].samples} == {
        "detect": 1.5,
        "recover": 0.5,
    }
    (figure,) = families["servedrill_drill_figure"].samples
    assert (figure.labels["checker"], figure.labels["figure"], figure.value) == ("Fast", "p99_s", 0.003)
    assert families["servedrill_run_started_seconds"].samples[0].value == 1767323045
    evil = stored(tmp_path / "evil", verdicts={"paper": hostile_verdict()})
    labels = [s.labels for family in text_string_to_metric_families(openmetrics(evil).decode()) for s in family.samples]
    assert any(EVIL in value for found in labels for value in found.values())


def test_a_journal_has_the_parts_that_chaos_toolkit_writes(tmp_path: Path) -> None:
    """Status, deviation, probes with their tolerance, what was done and undone, all in wall time."""
    run = stored(tmp_path / "run")
    made = journal(run.drills[0], Digest(Lines(run.drills[0].history, kept_max_bytes=0)))
    assert set(made) == {
        "chaoslib-version", "platform", "node", "experiment", "start", "status", "deviated", "steady_states", "run",
        "rollbacks", "end", "duration",
    }  # fmt: skip
    assert (made["status"], made["deviated"], made["start"]) == ("failed", True, "2026-01-02T03:04:05")
    assert [one["activity"]["name"] for one in made["run"]] == [
        "inject kill on engine-0",
        "inject kill on engine-1",
        "inject latency on gateway-0",
    ]
    assert [one["status"] for one in made["run"]] == ["succeeded", "succeeded", "failed"]
    assert made["run"][0]["start"] == "2026-01-02T03:04:09"
    assert [one["output"] for one in made["rollbacks"]] == ["engine-0 is back", "engine-1 is back"]
    after = made["steady_states"]["after"]
    assert not after["steady_state_met"]
    assert [probe["tolerance_met"] for probe in after["probes"]] == [True, True, False, False]
    assert [probe["status"] for probe in after["probes"]] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert {probe["name"] for probe in made["experiment"]["steady-state-hypothesis"]["probes"]} >= {
        "Fast",
        "Exact in fire",
    }
    assert msgspec.json.encode(made)


@pytest.mark.parametrize(
    ("answer", "status"), [(Answer.PASS, "completed"), (Answer.FAIL, "failed"), (Answer.INCONCLUSIVE, "aborted")]
)
def test_a_journals_status_is_the_verdict(tmp_path: Path, answer: Answer, status: str) -> None:
    """INCONCLUSIVE is no success there either; a drill that was cut short is interrupted whatever it was."""
    run = stored(tmp_path / "run", verdicts={"paper": verdict(answer)})
    assert journal(run.drills[0], Digest(history()))["status"] == status
    assert journal(run.drills[0], Digest(history()[:-1]))["status"] == "interrupted"


def test_a_test_case_has_the_figures_as_properties() -> None:
    """Verdict, seed, times that there are, figures by check and window."""
    found = dict(properties(verdict(detect_s=0.5), Path("/runs/1/paper")))
    assert found["verdict"] == "fail"
    assert (found["seed"], found["detect_s"], found["claims_pass"], found["Fast.p99_s"]) == (7, 0.5, 2, 0.003)
    assert found["evidence"] == "/runs/1/paper"
    assert "recover_s" not in found


def test_the_command_writes_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page by default; another format alone; one journal a drill."""
    folder = run_folder(tmp_path / "run", drills={"a": history(seconds=3), "b": history(seconds=3)})
    assert cli.main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    (folder / "report.html").unlink()
    metrics, journals = tmp_path / "drills.prom", tmp_path / "journal.json"
    assert (
        cli.main(["report", str(folder), "--markdown", "--openmetrics", str(metrics), "--chaostoolkit", str(journals)])
        == 0
    )
    assert "## servedrill: All" not in capsys.readouterr().out
    assert metrics.read_text().endswith("# EOF\n")
    assert json.loads((tmp_path / "journal-a.json").read_text())["experiment"]["title"] == "a"
    assert (tmp_path / "journal-b.json").is_file()
    assert not (folder / "report.html").exists()
    assert cli.main(["schema", str(tmp_path / "schema")]) == 0
    assert {path.name for path in (tmp_path / "schema").iterdir()} == {*FILES, *OF_PEOPLE}


def test_the_command_says_what_is_wrong_with_its_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit status 4."""
    folder = run_folder(tmp_path / "run", drills={"a": history(seconds=3)})
    nowhere = tmp_path / "no" / "such"
    for arguments in (
        ["report", str(nowhere)],
        ["report", str(folder), "-o", str(nowhere)],
        ["report", str(folder), "--openmetrics", str(nowhere)],
    ):
        assert cli.main(arguments) == 4
        said = capsys.readouterr().err
        assert str(nowhere) in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"api_key": "x", "max_tokens": 7, "tokens": "v"}, {"api_key": "•••", "max_tokens": 7, "tokens": "v"}),
        ({"env": {"HF_TOKEN": "x", "PATH": "/bin"}}, {"env": {"HF_TOKEN": "•••", "PATH": "/bin"}}),
        (["--api-key", "x", "--port", "80"], ["--api-key", "•••", "--port", "80"]),
        ("vllm serve m --api-key=abc --port 80", "vllm serve m --api-key=••• --port 80"),
        ("http://me:secret@host/x", "http://•••@host/x"),
        ("Authorization: Bearer abcdefgh", "Authorization: Bearer •••"),
        ("key sk-abcdefghijklmnop here", "key ••• here"),
        ({"password": ""}, {"password": ""}),
        ({"block_tokens": 16, "prefix_tokens": 8}, {"block_tokens": 16, "prefix_tokens": 8}),
    ],
)  # fmt: skip
def test_secrets_are_masked_by_name_and_by_look(value: Any, shown: Any) -> None:
    """And nothing else is."""
    assert masked(value) == shown


@pytest.mark.parametrize("part", ["a", "-", "--", "-key", "--token", "x://", "x://a:", "sk-", "Bearer ", "b@", "key="])
def test_twice_the_text_is_twice_the_work_to_mask(part: str) -> None:
    """Whatever it is made of: nothing that a stack says makes a report wait. Eight times the text would cost 64 times
    as much, were every character looked at for every other."""

    def spent(length: int) -> float:
        text, least = (part * length)[:length], float("inf")
        for _ in range(5):
            began = time.process_time()
            masked(text)
            least = min(least, time.process_time() - began)
        return least

    assert spent(80_000) < 24 * spent(10_000)


def test_a_run_is_pushed_to_a_pushgateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one request that takes the place of the run before; where nobody listens that is one line and exit code 4."""
    run = run_folder(tmp_path / "run")
    pushed: list[tuple[str, str]] = []

    class Gateway(BaseHTTPRequestHandler):
        def log_message(self, *about: object) -> None:
            pass

        def do_PUT(self) -> None:
            pushed.append((self.path, self.rfile.read(int(self.headers["content-length"])).decode()))
            self.send_response(200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        assert cli.main(["report", str(run), "--push", f"http://127.0.0.1:{server.server_port}"]) == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, text),) = pushed
    assert path == "/metrics/job/servedrill"
    assert 'servedrill_drill_verdict{control="false",drill="paper",servedrill_drill_verdict="fail"} 1.0' in text
    assert not (run / "report.html").exists()
    assert cli.main(["report", str(run), "--push", f"http://127.0.0.1:{server.server_port}"]) == 4
    assert "cannot be pushed to" in capsys.readouterr().err
