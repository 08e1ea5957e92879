"""``servedrill init``: a stack file, drills and objectives for one's own service, in one's own repository."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from servedrill.errors import ExitCode, UsageError
from servedrill.files.arguments import some_path

if TYPE_CHECKING:
    from servedrill.files.planted import Planned
    from servedrill.stacks.newcomer import Newcomer

_ENVIRONMENTS = ("local", "staging", "production")


def register(commands: Any) -> None:
    """Add ``init`` to the commands."""
    init = commands.add_parser(
        "init",
        help="write a stack file, drills and objectives for a service of your own",
        description="Look at what answers at URL (no tokens are asked for), and write stack.toml, slo.toml and the "
        "folder drills. At a terminal it asks; elsewhere --yes takes what it would propose. Nothing that is there is "
        "overwritten unless --overwrite says so.",
    )
    init.add_argument("url", nargs="?", metavar="URL", help="where users come in")
    init.add_argument("--yes", action="store_true", help="take what would be proposed, and ask nothing")
    init.add_argument("--model", metavar="NAME", help="the model to ask for, where there are several")
    init.add_argument("--api-key-env", metavar="NAME", help="the environment variable that holds the key it asks for")
    init.add_argument("--name", help="how the stack is called (default: its host)")
    init.add_argument("--environment", choices=_ENVIRONMENTS, help="default: local on loopback, else staging")
    init.add_argument("--blast-radius", metavar="TEXT", help="what a drill may cost users at worst, for production")
    init.add_argument("--ci", choices=("github", "gitlab"), default="", help="a workflow that runs the drills, too")
    init.add_argument("--folder", type=some_path, default=Path(), metavar="DIR", help="where to write (default: here)")
    init.add_argument("--overwrite", action="store_true", help="also over files that are there; the diff is shown")
    init.set_defaults(run=_init)


def _init(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.commands.planted_texts import texts
    from servedrill.files.planted import planned, plant
    from servedrill.stacks.secrets_of import require_hidden

    if not given.folder.is_dir():
        raise UsageError("is no folder", where=str(given.folder), expected="a folder that is there")
    _require_new(given)
    ask = _asker(given)
    found = _looked_at(given, ask)
    file = found.stack_file(_model(given, found, ask))
    environment = given.environment or ask(
        f"environment ({', '.join(_ENVIRONMENTS)})", "local" if _on_loopback(found.url) else "staging"
    )
    file = msgspec.structs.replace(
        file,
        name=given.name or file.name,
        environment=_one_of(environment, _ENVIRONMENTS, "environment"),
        blast_radius=_blast_radius(given, environment, ask),
    )
    require_hidden(file)
    files = planned(given.folder, texts(file, software=found.software, ci=given.ci, gitignore=_gitignore(given.folder)))
    _show(found, files)
    if any(one.changes and one.path != ".gitignore" for one in files) and not given.overwrite:
        names = ", ".join(one.path for one in files if one.changes and one.path != ".gitignore")
        raise UsageError(
            f"{names} would be overwritten",
            where=str(given.folder.resolve()),
            expected="files that are not there yet",
            hint="nothing was written; --overwrite writes what the diff shows, --folder DIR somewhere else",
        )
    if _one_of(ask("write these files (y, n)", "y"), ("y", "n"), "an answer") == "n":
        print("nothing was written")
        return ExitCode.PASSED
    plant(given.folder, files)
    _say_next(given, file.external.url if file.external else "")
    return ExitCode.PASSED


def _require_new(given: argparse.Namespace) -> None:
    """A second time, what a measurement has written since would be lost."""
    if (given.folder / "stack.toml").exists() and not given.overwrite:
        raise UsageError(
            "is there already",
            where=str(given.folder / "stack.toml"),
            expected="a folder without one",
            hint="`servedrill doctor` says what it allows; --overwrite begins again, --folder DIR somewhere else",
        )


def _asker(given: argparse.Namespace) -> Callable[[str, str], str]:
    """Asks at a terminal; with ``--yes``, or where there is none, what is proposed is taken."""
    if given.yes or not sys.stdin.isatty():
        return lambda question, proposed: proposed

    def ask(question: str, proposed: str) -> str:
        try:
            said = input(f"{question} [{proposed}]: " if proposed else f"{question}: ").strip()
        except EOFError:
            raise UsageError("no answer", where=question, hint="nothing was written; --yes asks nothing") from None
        return said or proposed

    return ask


def _looked_at(given: argparse.Namespace, ask: Callable[[str, str], str]) -> Newcomer:
    from servedrill.stacks.newcomer import KeyAsked, look_at

    url = given.url or ask("URL where users come in", "")
    if not url:
        raise UsageError("no URL", where="init", expected="servedrill init http://HOST:PORT")
    try:
        return look_at(url, api_key_env=given.api_key_env)
    except KeyAsked:
        name = ask("it asks for a key; the environment variable that holds it", "") if not given.api_key_env else ""
        if not name:
            raise
        return look_at(url, api_key_env=name)


def _model(given: argparse.Namespace, found: Newcomer, ask: Callable[[str, str], str]) -> str:
    if given.model is None and len(found.models) > 1:
        shown = ", ".join(found.models[:10])
        return found.model(ask(f"model ({shown})", found.models[0]))
    return found.model(given.model)


def _blast_radius(given: argparse.Namespace, environment: str, ask: Callable[[str, str], str]) -> str:
    if environment != "production":
        return given.blast_radius or ""
    said = given.blast_radius or ask("what may a drill cost users at worst, in a sentence", "")
    if not said:
        raise UsageError(
            "production needs a blast radius", where="init", expected='--blast-radius "what a drill may cost users"'
        )
    return str(said)


def _one_of(said: str, choices: tuple[str, ...], what: str) -> Any:
    if said not in choices:
        raise UsageError(f"{said!r} is no {what}", where="init", expected=f"one of {', '.join(choices)}")
    return said


def _on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _gitignore(folder: Path) -> str | None:
    """What is in it; None where there is no repository."""
    path = folder / ".gitignore"
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    return "" if (folder / ".git").exists() else None


def _show(found: Newcomer, files: list[Planned]) -> None:
    from servedrill.reporting.shown import shown

    what = found.software or "a server of OpenAI's routes"
    print(shown(f"found {what} at {found.url}; models: {', '.join(found.models[:10]) or 'it lists none'}"))
    print(f"metrics: {found.metrics or 'no page that is known'}")
    for file in files:
        if file.before is None:
            print(f"  new      {file.path}")
        elif file.changes:
            print(f"  changed  {file.path}", shown(file.diff()), sep="\n")


def _say_next(given: argparse.Namespace, url: str) -> None:
    where = "" if given.folder == Path() else f"cd {given.folder} && "
    print(f"\nwritten. Next, with a small load on {url}, for a minute at most:")
    print(f"  {where}servedrill doctor --measure   # finds what it can promise, and writes that into stack.toml")
    print(f"  {where}pytest drills                 # breaks what the stack allows to be broken, and judges")
