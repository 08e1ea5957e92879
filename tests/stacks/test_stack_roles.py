"""Replicas that are neither engine nor gateway: they are kept, watched and broken as any other, and in nobody's way."""

from __future__ import annotations

from pathlib import Path

from toy_stack import up, written

from servedrill.drill.observer import Observer
from servedrill.faults.process import ProcessKill
from servedrill.history.events import ProcessSeen, Sample
from servedrill.history.history import History
from servedrill.history.journal import Journal, read_events
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.reading import check_stack_files, read_stack_file
from servedrill.stacks.roles import grouped

CACHE = """model = "toy"
            [[process]]
            name = "store"
            role = "cache"
            command = ["{python}", "{here}/server.py", "{port}", "{version}"]
            restart = { policy = "always", backoff_s = 0.05 }
            """


def test_a_cache_beside_an_engine_is_a_replica_like_any_other(tmp_path: Path) -> None:
    """Named first in the file, and yet users come in at the engine; it has a proxy where the file asks for one, and it
    is seen, killed and back again."""
    path = written(tmp_path, promises=CACHE, top='[proxy]\nhops = ["engines", "caches"]')
    with up(path, tmp_path / "run") as stack:
        assert [(r.name, r.role, sorted(r.serves)) for r in stack.replicas()] == [
            ("store", "cache", []),
            ("engine", "engine", ["decode", "prefill", "tokens"]),
        ]
        assert stack.entry().base_url == f"http://{stack.hop_address('engine')}"
        assert stack.hops() == ["store", "engine"]
        assert lacking(stack, "Proxied:caches") == lacking(stack, "Proxied") == ""
        journal = Journal(tmp_path / "history.jsonl")
        observer = Observer(stack, journal)
        observer.start()
        kill = ProcessKill(stack, "store")
        kill.undo()
        kill.inject()
        assert kill.evidence().proven
        assert kill.heal().proven
        observer.stop()
        journal.close()
    history = History(read_events(journal.path))
    assert {(sample.source, sample.role) for sample in history.of(Sample)} == {("store", "cache"), ("engine", "engine")}
    assert {(seen.name, seen.role) for seen in history.of(ProcessSeen)} == {("store", "cache"), ("engine", "engine")}
    assert len({seen.pid for seen in history.of(ProcessSeen) if seen.name == "store" and seen.pid}) == 2


def test_what_a_process_serves_may_be_said(tmp_path: Path) -> None:
    """An engine that only computes prompts is not where users come in."""
    engine = """
            serves = ["prefill"]
            [[process]]
            name = "decoder"
            role = "engine"
            serves = ["tokens", "decode"]
            command = ["{python}", "{here}/server.py", "{port}", "{version}"]
            """
    with up(written(tmp_path, engine=engine), tmp_path / "run") as stack:
        assert {r.name: sorted(r.serves) for r in stack.replicas()} == {
            "engine": ["prefill"],
            "decoder": ["decode", "tokens"],
        }
        assert stack.entry().base_url == f"http://{stack.hop_address('decoder')}"


def test_a_replica_of_somebody_elses_stack_has_any_role(tmp_path: Path) -> None:
    """Its group of hops is called as for engines: the role, and an s."""
    path = tmp_path / "ours.toml"
    path.write_text(
        """
        kind = "external"
        external = { url = "http://127.0.0.1:1" }
        promises = { model = "m" }
        [[replica]]
        name = "edge-0"
        role = "edge"
        serves = ["routing", "tokens"]
        url = "http://127.0.0.1:2"
        [[replica]]
        name = "engine-0"
        role = "engine"
        url = "http://127.0.0.1:3"
        """
    )
    file = read_stack_file(path)
    assert grouped(file.replica) == {"gateways": [], "engines": ["engine-0"], "edges": ["edge-0"]}
    assert file.replica[0].serves == ["routing", "tokens"]
    path.write_text(path.read_text() + '[proxy]\nhops = ["edges", "edge-0", "edge-1"]')
    (found,) = check_stack_files([path])
    assert "proxy.hops[2]: no hop 'edge-1'; expected some of gateways, engines, edges, edge-0, engine-0" in str(found)
