"""Policies: which class stands in which slot, and one clear line for a defect that cannot be used."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from ref_core import small_stack

from servedrill import refstack
from servedrill.refstack import defects as room
from servedrill.refstack.config import EngineLimits, GatewayLimits, read_stack
from servedrill.refstack.engine.admission import QueueLimit
from servedrill.refstack.policies import HEALTHY, BadDefect, Policies, load_class

HERE = "servedrill.refstack.defects.engine"
OWN = """
from servedrill.refstack.engine.admission import QueueLimit

class Generous(QueueLimit):
    def admits(self, *, open_sequences, new_sequences):
        return True

class WithoutSlot:
    pass

class UnknownSlot:
    policy = "coffee"

not_a_class = QueueLimit
limit = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file of one's own with defects."""
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("slot", HEALTHY)
def test_every_slot_has_a_healthy_policy(slot: str) -> None:
    """Each name in the table can be imported, and the class says itself in which slot it belongs."""
    assert load_class(HEALTHY[slot]).policy == slot


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("servedrill.refstack.gateway.retries:FullJitterRetry", "No module named", id="module"),
        pytest.param("servedrill.refstack.gateway.retry:FullJiterRetry", "no class FullJiterRetry in", id="class"),
        pytest.param("servedrill.refstack.gateway.retry:random", "no class random in", id="no-class"),
    ],
)
def test_a_wrong_name_of_a_healthy_policy_is_caught(monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
    """A name that leads nowhere is told when its slot is filled; nothing stands in for it."""
    monkeypatch.setitem(HEALTHY, "retry", name)
    with pytest.raises(BadDefect, match=says):
        Policies().make("retry", GatewayLimits(), random.Random(1))


def test_slots_that_are_filled_are_those_of_the_table() -> None:
    """Each slot that the stack's code fills is in the table, and the table has no slot that nothing fills."""
    assert sorted(slots_filled()) == sorted(HEALTHY)


def slots_filled() -> set[str]:
    """The slots named where a policy is made."""
    sources = (path.read_text() for path in Path(refstack.__file__).parent.rglob("*.py"))
    calls = (node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    made = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "make")
    return {first.value for call in made if isinstance(first := call.args[0], ast.Constant)}


MODULES = [importlib.import_module(f"{room.__name__}.{one.name}") for one in pkgutil.iter_modules(room.__path__)]
DRILLS = {path.stem.split("_", 2)[2] for path in (Path(__file__).parents[2] / "drills").glob("test_*.py")}


def defects(module: ModuleType) -> list[str]:
    return [name for name, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__]


@pytest.mark.parametrize("spec", [f"{module.__name__}:{name}" for module in MODULES for name in defects(module)])
def test_every_shipped_defect_fits_its_slot(spec: str) -> None:
    """A defect stands in for the healthy policy, says what it does wrong and which drill catches it."""
    cls = load_class(spec)
    healthy = load_class(HEALTHY[cls.policy])
    assert issubclass(cls, healthy)
    assert cls is not healthy
    assert inspect.getdoc(cls) != inspect.getdoc(healthy)
    assert cls.caught_by in DRILLS
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        parameters = inspect.signature(method).parameters
        takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
        if hasattr(healthy, name) and not name.startswith("__") and not takes_all:
            assert list(parameters) == list(inspect.signature(getattr(healthy, name)).parameters), name


def test_healthy_unless_told_otherwise(own: Path) -> None:
    """A defect replaces the policy of its own slot alone."""
    limits = EngineLimits(max_num_seqs=1, max_num_queued_reqs=1)
    policies = Policies([f"{own}:Generous"])
    assert policies.make("engine_admission", limits).admits(open_sequences=99, new_sequences=1)
    assert not Policies().make("engine_admission", limits).admits(open_sequences=2, new_sequences=1)
    assert type(policies.make("core_abort")).__name__ == "ReleaseAtOnce"
    assert issubclass(load_class(f"{own}:Generous"), QueueLimit)
    assert load_class(f"{own}:Generous") is load_class(f"{own}:Generous")


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        pytest.param(
            ["{own}:UnknownSlot"],
            "policy = 'coffee'; expected a class whose `policy` is one of alert_rules, aliases",
            id="unknown-slot",
        ),
        pytest.param(["{own}:WithoutSlot"], "policy = None; expected a class whose `policy` is one of", id="no-slot"),
        pytest.param(["Generous"], "'Generous': expected package.module:Class or path/file.py:Class", id="no-colon"),
        pytest.param(["{own}:"], "expected package.module:Class or path/file.py:Class", id="no-name"),
        pytest.param(["{own}:not a name"], "expected package.module:Class or path/file.py:Class", id="bad-name"),
        pytest.param([":Generous"], "cannot be imported: Empty module name", id="no-module"),
        pytest.param(
            ["{own}:Missing"], "no class Missing in .*own.py; expected one of: .*Generous", id="unknown-class"
        ),
        pytest.param(["{own}:limit"], "no class limit in", id="not-a-class"),
        pytest.param(["/no/such/file.py:X"], "cannot be imported: no such file: /no/such/file.py", id="missing-file"),
        pytest.param(["no.such.module:X"], "no.such.module cannot be imported: No module named", id="missing-module"),
        pytest.param(["{own}x.py:X"], "cannot be imported: no such file", id="another-file"),
        pytest.param(
            [f"{HERE}:LateAbort", f"{HERE}:LateAbort"], "slot 'engine_abort' is already taken by LateAbort", id="twice"
        ),
        pytest.param(
            ["{own}:Generous", f"{HERE}:NoAdmission"], "is already taken by|no class NoAdmission", id="two-for-one-slot"
        ),
    ],
)
def test_a_defect_that_cannot_be_used_is_told_in_one_line(own: Path, specs: list[str], says: str) -> None:
    """The message names the spec, what is wrong with it, and what was expected."""
    with pytest.raises(BadDefect, match=says) as error:
        Policies([spec.format(own=own) for spec in specs])
    assert "\n" not in str(error.value)
    assert "defect" in str(error.value)


@pytest.mark.parametrize("text", ["def (:", "import no_such_module", "1 / 0"])
def test_a_file_that_cannot_be_run_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    """A file that fails to run is named, and again when it is asked for again."""
    path = tmp_path / "broken.py"
    path.write_text(text)
    for _ in range(2):
        with pytest.raises(BadDefect, match=r"broken\.py cannot be imported"):
            Policies([f"{path}:X"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "truncated", id="no-json"),
        pytest.param("{}", "missing required field `engines`", id="missing-field"),
        pytest.param('{"engines": 3}', "Expected `array`", id="wrong-type"),
        pytest.param("unknown", "unknown field `enginees`", id="unknown-field"),
        pytest.param("defect", "defect 'nonsense': expected package.module:Class", id="bad-defect"),
        pytest.param(None, "No such file", id="no-file"),
    ],
)
def test_a_stack_that_cannot_be_read_ends_the_program_with_4(tmp_path: Path, text: str | None, says: str) -> None:
    """There is one line on stderr, before anything is started."""
    path = tmp_path / "stack.json"
    whole = msgspec.to_builtins(small_stack())
    if text == "unknown":
        text = msgspec.json.encode({**whole, "enginees": 1}).decode()
    if text == "defect":
        text = msgspec.json.encode({**whole, "defects": ["nonsense"]}).decode()
    if text is not None:
        path.write_text(text)
    command = [sys.executable, "-m", "servedrill.refstack", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 4, done
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"refstack: {path}: ")
    assert says in done.stderr


def test_a_stack_file_says_who_is_who(tmp_path: Path) -> None:
    """A stack that was written is read back equal, and finds its parts by name."""
    path = tmp_path / "stack.json"
    path.write_bytes(msgspec.json.encode(small_stack()))
    stack = read_stack(path)
    assert stack == small_stack()
    assert stack.engine_url("engine-0") == "http://127.0.0.1:1"
    assert stack.model("v2") is not None
    assert stack.model("v3") is None
