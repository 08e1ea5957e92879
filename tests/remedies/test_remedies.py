"""Every checker says what to do when its claim does not hold, and says nothing that nobody has seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from servedrill.checkers.checker import REGISTRY
from servedrill.dialect.vendors import KNOWN
from servedrill.judging.catalogue import MODULES
from servedrill.remedies.remedy import Remedy, Setting, all_remedies, remedy_for

ROOT = Path(__file__).parents[2]
WORDS_MAX = 25
"""Of a sentence."""
WITHOUT_METRICS = {"Envoy", "nginx", "HAProxy", "Kubernetes"}
"""Software of settings that is no vendor of a metrics page that is read."""
INCIDENT = re.compile(r"[A-Za-z][\w.-]*#\d+")

ENTRIES = sorted(all_remedies().items())
SETTINGS = [(name, setting) for name, remedy in ENTRIES for setting in remedy.settings]


def ours() -> dict[str, str]:
    """Id of each checker of this package -> the name of its module's file."""
    inside = {module.__name__ for module in MODULES}
    return {id: cls.__module__.rpartition(".")[2] for id, cls in REGISTRY.items() if cls.__module__ in inside}


def texts(remedy: Remedy) -> Iterator[str]:
    yield from (remedy.users, remedy.do)
    yield from (cause.what for cause in remedy.causes)
    yield from (setting.does for setting in remedy.settings)


def written() -> str:
    """Everything that says where a bug was seen in public."""
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "servedrill" / "refstack" / "defects").glob("*.py")]
    return "\n".join(page.read_text() for page in pages)


def test_every_checker_has_a_remedy_in_the_file_of_its_module() -> None:
    """None is missing, none is left of a checker that is gone, and each is where one looks for it."""
    placed = {}
    for file in files("servedrill.remedies").iterdir():
        if file.name.endswith(".toml"):
            for name in msgspec.toml.decode(file.read_bytes()):
                assert name not in placed, f"{name} stands in {placed[name]}.toml and in {file.name}"
                placed[name] = file.name.removesuffix(".toml")
    assert placed == ours()
    assert set(all_remedies()) == set(placed)


def test_a_checker_of_another_package_has_none() -> None:
    """Its package says what to do."""
    assert remedy_for("elsewhere.checks:NoFailures") is None
    assert remedy_for("Nobodys") is None


def test_incidents_are_those_that_the_docs_and_defects_name() -> None:
    """A reader finds each of them there."""
    known = set(INCIDENT.findall(written()))
    named = {cause.incident for _, remedy in ENTRIES for cause in remedy.causes if cause.incident}
    assert named
    assert named <= known, sorted(named - known)


@pytest.mark.parametrize(("name", "setting"), SETTINGS, ids=[f"{name}-{one.software}" for name, one in SETTINGS])
def test_a_setting_says_whose_it_is_and_where_to_read_of_it(name: str, setting: Setting) -> None:
    """Software by the one name that it has here, the version, and an https address."""
    vendors = {vendor.name for vendor in KNOWN if vendor.name != "servedrill"}
    assert setting.software in vendors | WITHOUT_METRICS
    assert setting.setting.strip() == setting.setting != ""
    assert setting.does[0].islower() and not setting.does.endswith(".")
    assert re.match(r"\d", setting.version)
    assert re.fullmatch(r"https://[\w.-]+/[\w./#-]*", setting.source)


def test_a_setting_of_two_checkers_is_the_same_in_both() -> None:
    """What was corrected in one place was corrected in all."""
    told: dict[tuple[str, str], Setting] = {}
    for _, setting in SETTINGS:
        assert told.setdefault((setting.software, setting.setting), setting) == setting


@pytest.mark.parametrize(("name", "remedy"), ENTRIES, ids=[name for name, _ in ENTRIES])
def test_texts_are_short(name: str, remedy: Remedy) -> None:
    """Sentences that are read at once, one line each, and one or two of them."""
    for text in texts(remedy):
        assert text == " ".join(text.split()) != ""
        for sentence in re.split(r"[.?:;] ", text):
            assert len(sentence.split()) <= WORDS_MAX, sentence
    for text in (remedy.users, remedy.do):
        assert text[0].isupper() and text.endswith(".")
        assert len(re.findall(r"[.?](?: |$)", text)) <= 2, text
    assert 1 <= len(remedy.causes) <= 4
    assert all(len(setting.told) <= 240 for setting in remedy.settings)


def test_the_short_form_is_the_stacks_own_setting_or_what_helps_anywhere() -> None:
    """Nobody is told to set what they do not have."""
    remedy = remedy_for("StreamsStream")
    assert remedy is not None
    assert remedy.short({"vLLM", "HAProxy"}).startswith("HAProxy: `option http-no-delay` ")
    assert remedy.short({"servedrill"}) == remedy.short(()) == remedy.do
    assert [one.software for one in remedy.for_software({"HAProxy"})] == ["HAProxy", "nginx"]


def test_only_what_makes_a_run_invalid_is_told_of_a_doubt() -> None:
    """Where a claim could not be judged, a setting of the stack would mend nothing."""
    assert {name for name, remedy in ENTRIES if remedy.of_doubt} == {
        name for name, module in ours().items() if module == "validity"
    }
    assert not any(remedy.settings for _, remedy in ENTRIES if remedy.of_doubt)
