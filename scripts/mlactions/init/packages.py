"""How a repository's environment is made: package manager, Python, installation. Pure."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mlactions.init.model import Packages, Read

FALLBACK = "3.12"
_NEWEST = 12
"""The minor version that most packages have wheels for: taken where a project asks for no newer."""
_OLDEST = 10
_CHECKERS = re.compile(r"['\"](pytest|ruff|mypy)\b")
_PLAIN = re.compile(r"[A-Za-z0-9][\w.-]*")
_VERSION = re.compile(r"3\.(\d{1,2})")
_BOUND = re.compile(r"(>=|<=|==|~=|!=|\^|~|>|<|=|^)\s*(\d+)(?:\.(\d{1,2}))?(?:\.(\d+))?")
_CONDA = re.compile(
    r"""(?:^\s*-|[\[,])\s*["']?(?:[\w./-]+::)?python\s*([=<>~!][\d.*=<>~!, ]*)""", re.MULTILINE
)
_ENVIRONMENTS = ("environment.yml", "environment.yaml")


def find_packages(files: Collection[str], read: Read, notes: list[str]) -> Packages:
    """Return how to install; what cannot be read is noted and not guessed from."""
    project = _toml(read, notes) if "pyproject.toml" in files else {}
    manager, install, run, source = _manager(files, project)
    python, python_source = _python(files, read, project)
    tools = _tools(manager, files, project)
    return Packages(manager, install, run, source, python, python_source, tools)


def _tools(
    manager: str, files: Collection[str], project: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Return how the tools of the checks are installed, where an extra or a list has them."""
    listed = _below(project, "project", "optional-dependencies")
    extras = listed.items() if isinstance(listed, dict) else ()
    extra = next((name for name, of_it in extras if _CHECKERS.search(str(of_it))), "")
    command = {
        "pip": f"python -m pip install -e '.[{extra}]'",
        "uv": f"uv sync{' --frozen' if 'uv.lock' in files else ''} --extra {extra}",
        "poetry": f"poetry install --no-interaction --extras {extra}",
    }.get(manager)
    if extra and command and _PLAIN.fullmatch(extra):
        return command, "pyproject.toml"
    lists = ("requirements-dev.txt", "requirements/dev.txt", "dev-requirements.txt")
    path = next((name for name in lists if name in files), "") if manager == "pip" else ""
    return (f"python -m pip install -r {path}", path) if path else None


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
    environment = next((name for name in _ENVIRONMENTS if name in files), "")
    if environment and not lists:
        install = f"conda env create --quiet --file {environment} --name mlactions"
        own = " && conda run --name mlactions python -m pip install -e ." if package else ""
        run = "conda run --no-capture-output --name mlactions python"
        return "conda", f"{install}{own}", run, environment
    if lists or package:
        parts = ["python -m pip install", *(f"-r {name}" for name in lists[:1])]
        parts += ["-e ."] if package else []
        return "pip", " ".join(parts), "python", (lists or [package])[0]
    return "none", "", "python", ""


def _python(files: Collection[str], read: Read, project: Mapping[str, Any]) -> tuple[str, str]:
    """Return the minor version to set up and the file that names it: a pin, else a lower bound."""
    if ".python-version" in files and (found := _VERSION.search(read(".python-version") or "")):
        return found[0], ".python-version"
    bounds = [item for item in _bounds(files, read, project) if any(_minors(item[1]))]
    pinned = [item for item in bounds if item[0] in _ENVIRONMENTS and len(_minors(item[1])) == 1]
    wanted = _minors(bounds[0][1]) if bounds else []
    for source, text in pinned:
        if set(_minors(text)) <= set(wanted):
            return f"3.{_minors(text)[0]}", source
    return (f"3.{_chosen(wanted)}", bounds[0][0]) if bounds else (FALLBACK, "")


def _chosen(minors: Sequence[int]) -> int:
    """Return the oldest that is asked for; where that is very old, the newest up to the usual."""
    if minors[0] >= _OLDEST:
        return minors[0]
    return max((minor for minor in minors if minor <= _NEWEST), default=minors[0])


def _minors(text: str) -> list[int]:
    """Return the versions 3.x that bounds allow, as far as any Python has them by now."""
    bounds = _BOUND.findall(text)
    return [n for n in range(6, 16) if all(_allows(n, bound) for bound in bounds)] if bounds else []


def _allows(minor: int, bound: tuple[str, str, str, str]) -> bool:
    """Say whether some 3.`minor` is inside of one bound; a patch release bounds no minor."""
    sign, major, of_major, patch = bound
    here, there = (3, minor), (int(major), int(of_major or 0))
    match sign:
        case ">=" | "~=" | "^":
            return here >= there and (sign == ">=" or here[0] == there[0])
        case "<" | ">" if not patch:
            return here < there if sign == "<" else here > there
        case "<" | "<=":
            return here <= there
        case ">":
            return here >= there
        case "!=":
            return bool(patch) or here != there
    return here == there if of_major else here[0] == there[0]


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
    if "setup.py" in files:
        found.append(("setup.py", _required_by(read("setup.py") or "")))
    listed = (name for name in _ENVIRONMENTS if name in files)
    pins = ((name, _CONDA.search(read(name) or "")) for name in listed)
    return [*found, *((name, pin[1]) for name, pin in pins if pin)]


def _required_by(text: str) -> str:
    """Return the `python_requires` of a setup.py's `setup(...)`, where it is written out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in the user's strings
            nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # read as a module as well, where it is noted
    assigned = [node for node in nodes if isinstance(node, ast.Assign)]
    names = {_name(target): node.value for node in assigned for target in node.targets}
    calls = (node for node in nodes if isinstance(node, ast.Call) and _name(node.func) == "setup")
    given = (keyword for call in calls for keyword in call.keywords)
    wanted = [keyword.value for keyword in given if keyword.arg == "python_requires"]
    values = [names.get(_name(value), value) if _name(value) else value for value in wanted]
    return next((str(value.value) for value in values if isinstance(value, ast.Constant)), "")


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _below(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key, "") if isinstance(value, dict) else ""
    return value
