"""Fetch the source distributions whose places `tests/cases/audit/others` labels.

    audited.py REQUIREMENTS FOLDER     unpack what `name==version --hash=sha256:...` names
    audited.py --pin NAME...           print such a line for each package's newest final version

The index is PIP_INDEX_URL's, or PyPI's. Only an archive that has the pinned hash is unpacked.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

_LINE = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+) --hash=sha256:(?P<digest>[0-9a-f]{64})")
_JSON = "application/vnd.pypi.simple.v1+json"
_SECONDS = 60


@dataclass(frozen=True)
class Pin:
    """One source distribution, known by its hash."""

    name: str
    version: str
    digest: str


def read_pins(text: str) -> tuple[Pin, ...]:
    """Return the pins of a requirements file. Raises ValueError for a line that is none."""
    lines = [line.strip() for line in text.splitlines()]
    found = []
    for line in lines:
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"no pin with a hash: {line}")
        found.append(Pin(match["name"], match["version"], match["digest"]))
    return tuple(found)


def _files(name: str) -> Iterator[Mapping[str, object]]:
    """Yield a package's source distributions, their addresses whole."""
    index = os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    page = f"{index.rstrip('/')}/{re.sub('[-_.]+', '-', name).lower()}/"
    request = urllib.request.Request(page, headers={"Accept": _JSON})  # noqa: S310  # the index
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  # the same
        for item in json.load(answer)["files"]:
            if item["filename"].endswith(".tar.gz"):
                yield {**item, "url": urljoin(page, item["url"])}


def _fetch(pin: Pin) -> bytes:
    for item in _files(pin.name):
        hashes = item["hashes"]
        if isinstance(hashes, Mapping) and hashes.get("sha256") == pin.digest:
            with urllib.request.urlopen(str(item["url"]), timeout=_SECONDS) as answer:  # noqa: S310  # the index's own
                data: bytes = answer.read()
            if hashlib.sha256(data).hexdigest() != pin.digest:
                raise ValueError(f"{pin.name}: another file than the pinned one was sent")
            return data
    raise ValueError(f"{pin.name}: the index has no file with the pinned hash")


def unpack(data: bytes, target: Path) -> None:
    """Lay an archive's only folder at `target`, links left out: whole, or not at all.

    It becomes a git repository that knows every file, since one rule asks what is committed.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = [item for item in archive.getmembers() if item.isreg() or item.isdir()]
            archive.extractall(folder, members=members, filter="data")
        (only,) = Path(folder).iterdir()
        for command in (["init", "-q"], ["add", "-f", "."]):
            subprocess.run(["git", "-C", str(only), *command], check=True)
        shutil.rmtree(target, ignore_errors=True)
        only.rename(target)


def fetch(pins: Sequence[Pin], folder: Path) -> None:
    """Unpack every pin into `folder`, as `name-version`; what lies there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{pin.name}-{pin.version}": pin for pin in pins}
    for name, pin in wanted.items():
        if not (folder / name).is_dir():
            unpack(_fetch(pin), folder / name)
    for path in folder.iterdir():
        if path.is_dir() and path.name not in wanted:
            shutil.rmtree(path)


def newest(name: str) -> str:
    """Return the pin of a package's newest final version that has a source distribution."""
    found = []
    for item in _files(name):
        version = str(item["filename"]).removesuffix(".tar.gz").rpartition("-")[2]
        if re.fullmatch(r"\d+(\.\d+)*", version):
            found.append((tuple(map(int, version.split("."))), version, item["hashes"]))
    _, version, hashes = max(found, key=lambda item: item[0])
    digest = hashes["sha256"] if isinstance(hashes, Mapping) else ""
    return f"{name}=={version} --hash=sha256:{digest}"


def main(arguments: Sequence[str]) -> int:
    """Fetch, or pin; 1 where something cannot be had."""
    try:
        if arguments[0] == "--pin":
            print("\n".join(newest(name) for name in arguments[1:]))
            return 0
        pins = read_pins(Path(arguments[0]).read_text(encoding="utf-8"))
        fetch(pins, Path(arguments[1]))
    except (OSError, ValueError, tarfile.TarError, subprocess.SubprocessError) as error:
        print(f"audited: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
