"""An image of this very Python, servedrill and what it needs: the embedded stack in containers, without any registry.

Built from what runs here: the interpreter, its standard library, the shared libraries that they load, and the
distributions that servedrill asks for. Its tag is a digest of what went in, so a change of the code is another image.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import docker
from packaging.requirements import Requirement

from servedrill.host.launch import tied

REPOSITORY = "servedrill"
_APP = "/app"
_NOT_RUN = {"test", "tests", "idlelib", "tkinter", "ensurepip", "turtledemo"}
_SKIPPED = {"__pycache__", "site-packages", "dist-packages", *_NOT_RUN}


def ensure_image(client: docker.DockerClient) -> str:
    """The tag of the image, which is built where the engine lacks it; one of earlier code is removed."""
    digest = hashlib.sha256()
    for path, name in _sources():
        digest.update(name.encode() + path.read_bytes())
    wanted = f"{REPOSITORY}:{digest.hexdigest()[:12]}"
    if client.images.list(name=wanted):
        return wanted
    client.api.import_image_from_data(
        _tar(),
        repository=REPOSITORY,
        tag=wanted.partition(":")[2],
        changes=[f"ENV PYTHONPATH={_APP}", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "WORKDIR /"],
    )
    for image in client.images.list(name=REPOSITORY):
        with contextlib.suppress(docker.errors.APIError):  # in use
            client.images.remove(image.id) if wanted not in image.tags else None
    return wanted


def _tar() -> bytes:
    """Everything at the path that it has here, and what is servedrill's below `_APP`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("tmp", "proc", "sys", "dev", "etc", "usr/local/bin"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        link = tarfile.TarInfo("usr/local/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, str(_interpreter())
        tar.addfile(link)
        for path, name in _sources():
            entry = tar.gettarinfo(str(path.resolve()), arcname=name.lstrip("/"))
            with path.open("rb") as content:
                tar.addfile(entry, content)
    return buffer.getvalue()


def _sources() -> list[tuple[Path, str]]:
    """``(file here, path in the image)``, each path once."""
    found: dict[str, Path] = {str(_interpreter()): _interpreter()}
    for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        base = _unprefixed(folder)
        found |= {str(path): path for path in _files(base)}
    package = Path(__file__).resolve().parents[1]
    found |= {f"{_APP}/servedrill/{path.relative_to(package)}": path for path in _files(package)}
    for each in _distributions("servedrill"):
        for file in each.files or []:
            if ".." not in file.parts and file.suffix != ".pyc":
                found[f"{_APP}/{file}"] = Path(str(file.locate()))
    binaries = [path for path in found.values() if path == _interpreter() or ".so" in path.name]
    libraries = {library for path in binaries for library in _libraries(path)}
    found |= {str(path): path for path in libraries if str(path) not in found}
    return [(path, name) for name, path in sorted(found.items()) if path.is_file()]


def _interpreter() -> Path:
    return Path(sys.executable).resolve()


def _unprefixed(folder: str) -> Path:
    """The base installation's own, where this is a virtual environment."""
    return Path(folder.replace(sys.prefix, sys.base_prefix, 1) if folder.startswith(sys.prefix) else folder)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in _SKIPPED and not path.name.startswith("config-"):
                yield from _files(path)
        elif path.suffix not in (".pyc", ".a"):
            yield path


def _distributions(name: str, seen: dict[str, Distribution] | None = None) -> list[Distribution]:
    """What a distribution needs to run, itself left out: it may be installed from its sources."""
    seen = {} if seen is None else seen
    for line in distribution(name).requires or []:
        needed = Requirement(line)
        key = re.sub(r"[-_.]+", "-", needed.name).lower()
        if key not in seen and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            seen[key] = distribution(needed.name)
            _distributions(needed.name, seen)
    return list(seen.values())


def _libraries(path: Path) -> Iterator[Path]:
    """Shared libraries that a binary loads, the loader included, as ldd(1) finds them."""
    told = subprocess.run(tied(["ldd", str(path)]), capture_output=True, text=True, check=False).stdout
    for match in re.finditer(r"(?:=>\s+)?(/\S+)\s+\(0x", told):
        yield Path(match[1])
