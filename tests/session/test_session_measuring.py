"""What a stack can promise, found out: exact where it is a count, and no time is compared with a clock here."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from servedrill.commands.measured import lines, with_figures
from servedrill.drill.progress import Silent
from servedrill.history.promises import Promises
from servedrill.leases.guard import Guard
from servedrill.session.measuring import Measured, measure
from servedrill.session.notebook import rounded_up
from servedrill.session.stack import guarded_stack
from servedrill.stacks.newcomer import look_at
from servedrill.stacks.promising import with_promises
from servedrill.stacks.reading import read_stack_file
from tests.worlds.speakers import Speaks, speaking

SMALL = """
[embedded]
engines = 1
gateways = 1
[embedded.settings.costs]
overhead_s = 0.004
decode_s_per_sequence = 0.0001
warmup_steps = 1
[embedded.settings.engine_limits]
max_num_seqs = 8
max_num_queued_reqs = 8
max_tokens_cap = 300
max_n = 4
default_max_tokens = 60
[embedded.settings.gateway_limits]
max_in_flight = 16
max_queue = 8
[[embedded.settings.models]]
version = "v1"
max_model_len = 512
"""


def found(measured: Measured) -> dict[str, object]:
    return {one.name: one.value for one in measured.figures}


@pytest.fixture(scope="module")
def of_small(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A small stack of ours, known by its URL alone, and measured."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.toml").write_text(SMALL)
    file = read_stack_file(folder / "small.toml")
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.closing(Guard(folder)) as guard,
        guarded_stack(file, folder, guard, defects=[], seed=1) as stack,
    ):
        url = next(one.url for one in stack.replicas() if one.role == "gateway")
        patch.setattr("servedrill.session.measuring.BURSTS", (8, 64))
        (folder / "measured").mkdir()
        file = look_at(url).stack_file("chat-model")
        return measure(file, folder / "measured", Silent(), budget_s=600)  # a minute where nobody else computes


def test_counts_are_exact(of_small: Measured) -> None:
    """Caps, context, choices and slots are those of its configuration."""
    told = found(of_small)
    assert told["slots"] == 8, of_small
    assert (told["max_tokens_cap"], told["max_n"], told["max_model_len"]) == (300, 4, 512), of_small
    assert told["default_max_tokens"] == 60
    assert set(told["refuses"]) == {"prompt", "output", "endless", "choices", "overload"}  # type: ignore[call-overload]
    assert told["tokens_per_word"] == 1.0


def test_what_is_refused_bounds_what_is_taken(of_small: Measured) -> None:
    told = found(of_small)
    assert 8 <= int(str(told["gateway_admits"])) <= 27


def test_every_figure_says_where_it_comes_from_and_fits_a_stack_file(of_small: Measured, tmp_path: Path) -> None:
    assert all(one.because for one in of_small.figures)
    path = tmp_path / "stack.toml"
    text = 'kind = "external"\nname = "x"\n[external]\nurl = "http://a:1"\n[promises]\nmodel = "m"\n'
    path.write_text(with_promises(text, lines(of_small), where="x"))
    file = read_stack_file(path)
    assert file.promises is not None and file.promises.slots == 8
    assert "slots" not in file.promises.assumed and "detect_s" in file.promises.assumed


def test_nothing_is_promised_for_a_server_that_takes_whatever_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was never refused is not known, and no drill asks for it."""
    monkeypatch.setattr("servedrill.session.measuring.BURSTS", (4, 8))  # as many as this one takes at once
    monkeypatch.setattr("servedrill.session.sizes._PROMPT_MAX", 1024)
    with speaking(Speaks(invalid=200, token_s=0.0)) as url:
        file = look_at(url).stack_file("m")
        measured = measure(file, tmp_path, Silent(), budget_s=600)
    told = found(measured)
    assert told["refuses"] == ["endless"], measured
    assert "max_tokens_cap" in measured.unknown
    promises = with_figures(file, measured).promises
    assert promises is not None and "max_tokens_cap" in promises.assumed and "slots" not in promises.assumed


@pytest.mark.parametrize(("seconds", "up"), [(0.0, 0.01), (0.123, 0.13), (1.0, 1.0), (1.01, 1.1), (12.1, 13.0)])
def test_times_are_rounded_upwards(seconds: float, up: float) -> None:
    assert rounded_up(seconds) == pytest.approx(up)


def test_words_stay_away_from_a_limit_where_nobody_knows_how_long_they_are() -> None:
    """A tenth on either side; where each is a token they are exact."""
    exact, rough = Promises(model="m"), Promises(model="m", tokens_per_word=1.3)
    assert (exact.words_within(100), exact.words_beyond(100)) == (100, 101)
    assert rough.words_within(100) * 1.3 < 92 and rough.words_beyond(100) * 1.3 > 108
