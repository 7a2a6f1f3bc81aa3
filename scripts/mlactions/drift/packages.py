"""Versions of packages: those the model was trained with against those that are locked here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.drift.model import Deployed, Row, Rules, Settings, first_level
from mlactions.errors import UserError
from mlactions.mlflow_store import Store
from mlactions.schema import read_text

_OR = ", "
MAX_BYTES = 1024 * 1024
MAX_LOCK_BYTES = 16 * 1024 * 1024
LOGGED = ("requirements.txt", "model/requirements.txt")
HERE = ("uv.lock", "requirements.lock", "requirements.txt")
_PINNED = re.compile(
    r"^\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*={2,3}\s*(?P<version>[^\s;,#\\]+)"
)
_NAMED = re.compile(r"^\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")


def packages(settings: Settings, deployed: Deployed, store: Store, rules: Rules) -> tuple[Row, ...]:
    """Return a row per package that the model needs; one row where nothing can be compared."""
    logged = _logged(deployed, store)
    if logged is None:
        return (_unknown("the run kept no requirements.txt"),)
    name, ours = _here(settings)
    if not name:
        return (_unknown("no lock file or requirements.txt is here"),)
    return tuple(_rows(pins(logged), ours, name, rules))


def _unknown(why: str) -> Row:
    return Row("package", "packages", "unknown", "notice", note=f"none was compared: {why}")


def _logged(deployed: Deployed, store: Store) -> str | None:
    """Return the requirements that MLflow keeps beside a model, or those the run kept itself."""
    if deployed.version is not None:
        text = store.artifact_text(deployed.version, LOGGED[0], MAX_BYTES)
        if text is not None:
            return text
    found = (store.artifact_text(deployed.run, path, MAX_BYTES) for path in LOGGED)
    return next((text for text in found if text is not None), None)


def _here(settings: Settings) -> tuple[str, Mapping[str, tuple[str, int | None]]]:
    """Return the file that pins packages here, and its pins; nothing where there is none."""
    names = [settings.requirements] if settings.requirements else list(HERE)
    for name in names:
        path = settings.folder / name
        if settings.requirements or path.is_file():
            text = read_text(path, max_bytes=MAX_LOCK_BYTES)
            shown = path.as_posix()
            return shown, _lock(text, shown) if name.endswith(".lock") else pins(text)
    return "", {}


def _lock(text: str, name: str) -> Mapping[str, tuple[str, int | None]]:
    """Read uv.lock or poetry.lock; any other lock is a list of requirements."""
    if "[[package]]" not in text:
        return pins(text)
    try:
        document: Mapping[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError("not valid TOML", f"{error}.", file=name) from None
    found: dict[str, tuple[str, int | None]] = {}
    for item in document.get("package", ()):
        if "version" in item and "name" in item:
            _add(found, item["name"], str(item["version"]), None)
    return found


def pins(text: str) -> dict[str, tuple[str, int | None]]:
    """Return by name the version and line of each requirement; an unpinned one has version "".

    One that is pinned to several versions, as markers choose between them, has all: `1.26, 2.1`.
    """
    found: dict[str, tuple[str, int | None]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _PINNED.match(line) or _NAMED.match(line)
        if match is not None and "://" not in line.partition("#")[0]:
            _add(found, match["name"], match.groupdict().get("version") or "", number)
    return found


def _add(
    found: dict[str, tuple[str, int | None]], package: str, version: str, line: int | None
) -> None:
    name = normal(package)
    before, first = found.get(name, ("", line))
    versions = [*filter(None, before.split(_OR)), *([version] if version else [])]
    found[name] = (_OR.join(dict.fromkeys(versions)), first)


def normal(name: str) -> str:
    """Return a package's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def same_version(first: str, second: str) -> bool:
    """Return whether two versions are one; a local part (`+cpu`) counts where both have it."""
    left, right = first.partition("+"), second.partition("+")
    if left[2] and right[2] and left[2] != right[2]:
        return False
    return _release(left[0]) == _release(right[0])


def _release(version: str) -> str:
    return re.sub(r"(?:\.0)+$", "", version.strip().lower().removeprefix("v"))


def _rows(
    logged: Mapping[str, tuple[str, int | None]],
    ours: Mapping[str, tuple[str, int | None]],
    file: str,
    rules: Rules,
) -> Iterator[Row]:
    for name, (theirs, _) in sorted(logged.items()):
        version, line = ours.get(name, ("", None))
        about = {"current": version, "logged": theirs, "file": file, "line": line}
        if not theirs or not version:
            missing = "not pinned by the run" if not theirs else f"not pinned in {file}"
            yield Row("package", name, "unknown", "notice", note=missing, **about)  # type: ignore[arg-type]  # one mapping of several types
            continue
        pairs = [(a, b) for a in theirs.split(_OR) for b in version.split(_OR)]
        equal = [same_version(*pair) for pair in pairs]
        if all(equal):
            yield Row("package", name, "same", **about)  # type: ignore[arg-type]  # the same
        elif any(equal):
            note = "pinned to several versions: which one is installed is not known here"
            yield Row("package", name, "unknown", "notice", note=note, **about)  # type: ignore[arg-type]  # the same
        else:
            level = first_level(rules.packages, name, "warn")
            yield Row("package", name, "drift", level, **about)  # type: ignore[arg-type]  # the same
