"""How a repository's environment is made: package manager, Python, installation. Pure."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from mlactions.init.model import Packages, Read

FALLBACK = "3.12"
_OLDEST = (3, 10)
_VERSION = re.compile(r"3\.(\d{1,2})")
_LOWER = re.compile(r"(?:>=|~=|==|\^|~|=|^)\s*(3\.\d{1,2})")


def find_packages(files: Collection[str], read: Read, notes: list[str]) -> Packages:
    """Return how to install; what cannot be read is noted and not guessed from."""
    project = _toml(read, notes) if "pyproject.toml" in files else {}
    manager, install, run, source = _manager(files, project)
    python, python_source = _python(files, read, project)
    return Packages(manager, install, run, source, python, python_source)


def _toml(read: Read, notes: list[str]) -> Mapping[str, Any]:
    try:
        return tomllib.loads(read("pyproject.toml") or "")
    except tomllib.TOMLDecodeError as error:
        notes.append(f"`pyproject.toml` is not valid TOML: {error}.")
        return {}


def _manager(files: Collection[str], project: Mapping[str, Any]) -> tuple[Any, str, str, str]:
    """Return manager, installation, how Python starts, and the file that says so."""
    tools = project.get("tool") if isinstance(project.get("tool"), dict) else {}
    if "uv.lock" in files:
        install = "python -m pip install uv && uv sync --frozen"
        return "uv", install, "uv run --frozen python", "uv.lock"
    if tools and "uv" in tools:
        return "uv", "python -m pip install uv && uv sync", "uv run python", "pyproject.toml"
    if "poetry.lock" in files or (tools and "poetry" in tools):
        install = "python -m pip install poetry && poetry install --no-interaction"
        source = "poetry.lock" if "poetry.lock" in files else "pyproject.toml"
        return "poetry", install, "poetry run python", source
    package = next(
        (name for name in ("setup.py", "setup.cfg") if name in files),
        "pyproject.toml" if "build-system" in project else "",
    )
    lists = [name for name in ("requirements.txt", "requirements/base.txt") if name in files]
    if lists or package:
        parts = ["python -m pip install", *(f"-r {name}" for name in lists[:1])]
        parts += ["-e ."] if package else []
        return "pip", " ".join(parts), "python", (lists or [package])[0]
    for name in ("environment.yml", "environment.yaml"):
        if name in files:
            install = f"conda env create --quiet --file {name} --name mlactions"
            run = "conda run --no-capture-output --name mlactions python"
            return "conda", install, run, name
    return "none", "", "python", ""


def _python(files: Collection[str], read: Read, project: Mapping[str, Any]) -> tuple[str, str]:
    """Return the minor version to set up and the file that names it: a pin, else a lower bound."""
    if ".python-version" in files and (found := _VERSION.search(read(".python-version") or "")):
        return found[0], ".python-version"
    for source, text in _bounds(files, read, project):
        if found := _LOWER.search(text):
            minor = int(found[1].partition(".")[2])
            return (found[1] if (3, minor) >= _OLDEST else FALLBACK), source
    return FALLBACK, ""


def _bounds(
    files: Collection[str], read: Read, project: Mapping[str, Any]
) -> list[tuple[str, str]]:
    found = [("pyproject.toml", str(_below(project, "project", "requires-python")))]
    poetry = _below(project, "tool", "poetry", "dependencies", "python")
    found.append(("pyproject.toml", str(poetry)))
    if "setup.cfg" in files:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(read("setup.cfg") or "")
            bound = parser.get("options", "python_requires", fallback="")
            found.append(("setup.cfg", bound))
        except configparser.Error:
            pass  # setuptools says so when it is installed
    listed = (name for name in ("environment.yml", "environment.yaml") if name in files)
    pins = ((name, re.search(r"- python\s*([=>].*)", read(name) or "")) for name in listed)
    return [*found, *((name, pin[1]) for name, pin in pins if pin)]


def _below(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key, "") if isinstance(value, dict) else ""
    return value
