"""A plan and its seed say every request, however far and by how many workers it is generated."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_servers import one_class

from servedrill.errors import UsageError
from servedrill.history.events import CancelPlan
from servedrill.load.arrivals import Burst, Constant, Gamma, Poisson, Users
from servedrill.load.lengths import LogNormal, Uniform
from servedrill.load.plan import CancelMix, CancelPoint, LoadPlan, RequestClass, Target
from servedrill.load.schedule import ClassSchedule, requests, schedule_digest
from servedrill.oracle.prompts import expand
from servedrill.oracle.tokens import prompt_tokens

TARGET = Target(base_url="http://127.0.0.1:9")
MIX = CancelMix(
    [
        CancelPoint(CancelPlan(at="queued"), weight=3.0),
        CancelPoint(CancelPlan(at="tokens", tokens=4)),
    ],
    probability=0.5,
)


def plan(*classes: RequestClass, seed: int = 1, **more: Any) -> LoadPlan:
    """A plan of these classes."""
    return LoadPlan(classes=list(classes), seed=seed, target=TARGET, **more).check()


CLASSES = st.builds(
    one_class,
    arrivals=st.one_of(
        st.builds(Constant, st.floats(1, 50)),
        st.builds(Poisson, st.floats(1, 50)),
        st.builds(Gamma, st.floats(1, 50), st.floats(0.2, 5)),
        st.builds(Burst, st.integers(1, 50)),
    ),
    route=st.sampled_from(["chat", "completions"]),
    prompt_words=st.one_of(st.integers(1, 50), st.builds(LogNormal, st.just(20), st.integers(20, 90))),
    output_tokens=st.one_of(st.none(), st.integers(1, 9), st.builds(Uniform, st.just(1), st.integers(1, 20))),
    prefix_words=st.integers(0, 5),
    prefixes=st.integers(1, 3),
    n=st.sampled_from([1, 2, [1, 4]]),
    stream=st.sampled_from([0.0, 0.5, 1.0]),
    cancel=st.sampled_from([None, MIX]),
)


@settings(max_examples=60, deadline=None)
@given(cls=CLASSES, seed=st.integers(0, 2**40), duration_s=st.floats(0.5, 5), workers=st.integers(1, 4))
def test_the_same_seed_is_the_same_schedule(cls: RequestClass, seed: int, duration_s: float, workers: int) -> None:
    """Generated twice, lazily, from its JSON, or by several workers together, a schedule is the same."""
    bounded = plan(cls, seed=seed, duration_s=duration_s)
    schedule = list(requests(bounded))
    assert list(requests(msgspec.json.decode(msgspec.json.encode(bounded), type=LoadPlan))) == schedule
    assert list(islice(requests(plan(cls, seed=seed)), len(schedule))) == schedule
    shares = [request for share in range(workers) for request in requests(bounded, share=share, shares=workers)]
    assert sorted(shares, key=lambda request: request.index) == sorted(schedule, key=lambda request: request.index)


def test_the_digest_names_the_schedule() -> None:
    """Same seed, same digest; another seed or another length, another digest; where it goes does not matter."""
    cls = one_class(arrivals=Poisson(5.0))
    digest = schedule_digest(plan(cls))
    assert digest == schedule_digest(plan(cls, nonce="abc"))
    assert digest == schedule_digest(LoadPlan(classes=[cls], seed=1, target=Target(base_url="https://elsewhere:443")))
    others = [
        plan(cls, seed=2),
        plan(one_class(arrivals=Poisson(6.0))),
        plan(one_class(arrivals=Poisson(5.0), prompt_words=5)),
    ]
    assert len({digest, *map(schedule_digest, others)}) == 4
    users = [plan(one_class(arrivals=Users(3))), plan(one_class(arrivals=Users(4)))]
    assert len(set(map(schedule_digest, users))) == 2


def test_classes_do_not_disturb_each_other() -> None:
    """Adding a class, or a hang-up to a class, changes nothing about the requests that were there."""
    chat, code = one_class(arrivals=Poisson(9.0)), one_class(name="code", arrivals=Poisson(9.0))
    alone = list(requests(plan(chat, duration_s=5.0)))
    assert [request for request in requests(plan(code, chat, duration_s=5.0)) if request.cls == "chat"] == alone
    hanging_up = list(requests(plan(msgspec.structs.replace(chat, cancel=MIX), duration_s=5.0)))
    assert [msgspec.structs.replace(request, cancel=None) for request in hanging_up] == alone


def test_classes_are_merged_by_time() -> None:
    """Requests of all classes come in the order of their instants."""
    both = plan(one_class(arrivals=Poisson(20.0)), one_class(name="code", arrivals=Constant(7.0)), duration_s=10.0)
    offsets = [request.offset_s for request in requests(both)]
    assert offsets == sorted(offsets)
    assert len(offsets) > 200


@pytest.mark.parametrize("route", ["chat", "completions"])
def test_prompts_are_what_they_say(route: str) -> None:
    """The short form expands to as many tokens as planned; prefixes are shared by as many as there are."""
    cls = one_class(arrivals=Burst(300), route=route, prompt_words=Uniform(3, 9), prefix_words=20, prefixes=4)
    prefixes = set()
    for request in requests(plan(cls)):
        words = expand(request.prompt).split()
        assert len(prompt_tokens(expand(request.prompt), chat=route == "chat")) == request.prompt_tokens
        assert 23 <= len(words) <= 29
        prefixes.add(tuple(words[:20]))
    assert len(prefixes) == 4


def test_own_prompts_are_used_in_turn() -> None:
    """A class with prompts of its own asks them one after the other."""
    cls = one_class(arrivals=Burst(3), prompts=["golden:1", "golden:2"])
    assert [request.prompt for request in requests(plan(cls))] == ["golden:1", "golden:2", "golden:1"]


def test_shares_of_streams_and_cancels() -> None:
    """As many as planned stream, hang up and ask for several choices."""
    cls = one_class(arrivals=Burst(4000), stream=0.25, cancel=MIX, n=[1, 2, 3])
    planned = list(requests(plan(cls)))
    assert sum(request.stream for request in planned) == pytest.approx(1000, rel=0.1)
    points = Counter(request.cancel.at for request in planned if request.cancel is not None)
    assert points["queued"] == pytest.approx(1500, rel=0.1)
    assert points["tokens"] == pytest.approx(500, rel=0.2)
    assert all(0 <= r.cancel.after_s <= 0.005 for r in planned if r.cancel is not None and r.cancel.at == "queued")
    assert {request.n for request in planned} == {1, 2, 3}


def test_what_users_ask() -> None:
    """A user's turns are requests of their own, up to the count of the class."""
    cls = one_class(arrivals=Users(3, count=5))
    schedule = ClassSchedule(plan(cls), cls)
    asked = [schedule.of_user(user, turn) for turn in (0, 1) for user in (0, 1, 2)]
    assert [request.index for request in asked if request is not None] == [0, 1, 2, 3, 4]
    assert len({request.prompt for request in asked if request is not None}) == 5


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"model": ""}, "model"),
        ({"n": 0}, "choices"),
        ({"n": []}, "choices"),
        ({"prompt_words": 0}, "length"),
        ({"prompt_words": -3}, "length"),
        ({"output_tokens": 0}, "length"),
        ({"stream": 1.5}, "share"),
        ({"retries": -1}, "retries"),
        ({"deadline_s": 0.0}, "deadline_s"),
        ({"idle_timeout_s": -1.0}, "idle_timeout_s"),
        ({"slow_reader_bytes_per_s": 0.0}, "slow_reader"),
        ({"params": {"stream": False}}, "params"),
        ({"api_key": "a\r\nb"}, "api_key"),
        ({"cancel": CancelMix([])}, "points"),
        ({"cancel": CancelMix([CancelPoint(CancelPlan(at="tokens"))])}, "tokens"),
        ({"cancel": CancelMix([CancelPoint(CancelPlan(at="queued"))], probability=0.0)}, "probability"),
    ],
)
def test_classes_that_cannot_be_sent_are_refused(change: dict[str, Any], match: str) -> None:
    """The line names the class, the field and what was expected."""
    with pytest.raises(UsageError, match=match) as caught:
        plan(one_class(**change))
    assert caught.value.where.startswith("class ")
    assert caught.value.expected


@pytest.mark.parametrize(
    "target",
    [
        {"base_url": "127.0.0.1:80"},
        {"base_url": "ftp://x"},
        {"base_url": "http://x:99999"},
        {"base_url": "http://x", "resolver": "dns.example:53"},
        {"base_url": "http://x", "resolver": "127.0.0.1"},
        {"base_url": "https://x", "ca_file": "/nowhere/ca.pem"},
        {"base_url": "https://x", "api_key_env": "SERVEDRILL_NO_SUCH_KEY"},
    ],
)
def test_targets_that_cannot_be_reached_are_refused(target: dict[str, str]) -> None:
    """Before anything starts."""
    with pytest.raises(UsageError, match="target"):
        LoadPlan(classes=[one_class()], seed=1, target=Target(**target)).check()


def test_plans_that_cannot_be_run_are_refused() -> None:
    """No classes, two of one name, no time."""
    for classes, duration_s in (([], None), ([one_class(), one_class()], None), ([one_class()], 0.0)):
        with pytest.raises(UsageError, match="plan"):
            LoadPlan(classes=classes, seed=1, target=TARGET, duration_s=duration_s).check()
