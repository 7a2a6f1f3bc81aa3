"""Findings from a file listing and texts. Pure: nothing of the repository is run."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mlactions.errors import UserError
from mlactions.init.code import (
    FRAMEWORKS,
    Module,
    conventions_of,
    idle_scripts,
    read_module,
    scripts_of,
)
from mlactions.init.model import Evidence, Findings, Read, Script
from mlactions.init.packages import find_packages
from mlactions.init.recall import recall
from mlactions.schema import parse_yaml

MAX_MODULES = 2000
_FOLDERS = ("configs", "config", "conf", "cfg", "cfgs")
_SUFFIXES = (".yaml", ".yml", ".json", ".toml")
_SAFE = re.compile(r"(?!-)[A-Za-z0-9_./+][A-Za-z0-9_./+-]*")
_ASIDE = re.compile(r"(^|/)(tests?|docs|examples|notebooks|\.[^/]+|build|dist)/|/sweep_trials\.py$")
_NO_MODEL = re.compile(r"(baseline|sweep|drift|production|config|defaults?|train|smoke[\w-]*)\.\w+")
_USES = re.compile(
    r"""uses:\s*["']?codex-ml-actions/codex-ml-actions"""
    r"(?:/(?:actions|\.github/workflows)/([a-z/-]+))?"
)
_WORKFLOW = re.compile(r"\.github/workflows/[^/]+\.ya?ml")
_IN_CONFIGS = re.compile(rf"(^|/)({'|'.join(_FOLDERS)})/.*\.ya?ml$")
_EXPERIMENT = re.compile(r"""\s*(?:mlflow_)?experiment_name:\s*["']?([\w./-]+)["']?\s*(?:#.*)?""")
_RUNS_DOCTOR = re.compile(r"\bmlactions doctor\b")


def look(files: Sequence[str], read: Read) -> Findings:
    """Return what a repository holds; what cannot be read or named safely is noted."""
    notes: list[str] = []
    safe = [path for path in files if _SAFE.fullmatch(path)]
    if len(safe) < len(files):
        count = len(files) - len(safe)
        notes.append(f"{count} of {len(files)} names do not fit into a workflow: not looked at.")
    known = frozenset(safe)
    modules = _modules(safe, read, notes)
    packages = frozenset(posixpath.dirname(path) for path in safe if path.endswith("/__init__.py"))
    scripts = scripts_of(modules, packages)
    configs, config_files = find_configs(safe, scripts)
    return Findings(
        packages=find_packages(known, read, notes),
        scripts=scripts,
        configs=configs,
        config_files=config_files,
        frameworks=_frameworks(modules, known, read),
        conventions=conventions_of(modules),
        names=_names(modules, safe, read),
        checks=_checks(known, read),
        workflows=_workflows(files, read, notes),
        sources=_sources(modules),
        notes=tuple(notes),
        recalled=recall((path, read(path) or "") for path in files if _WORKFLOW.fullmatch(path)),
        idle=idle_scripts(modules),
    )


def _modules(files: Sequence[str], read: Read, notes: list[str]) -> dict[str, Module]:
    paths = [path for path in files if path.endswith(".py") and not _ASIDE.search(path)]
    if len(paths) > MAX_MODULES:
        notes.append(f"{len(paths):,} Python files: the first {MAX_MODULES:,} were read.")
    found = {}
    for path in paths[:MAX_MODULES]:
        text = read(path)
        module = Module(problem="cannot be read as UTF-8 text") if text is None else None
        module = module or read_module(text or "")
        if module.problem:
            notes.append(f"`{path}` was left out: {module.problem}.")
        else:
            found[path] = module
    return found


def find_configs(
    files: Sequence[str], scripts: Sequence[Script]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return globs of model configs and the files they match; both empty where there are none."""
    own = [script.hydra.folder for script in scripts if script.hydra and script.hydra.folder]
    deeper = {posixpath.dirname(path) for path in files if not _ASIDE.search(path)}
    named = sorted(path for path in deeper if posixpath.basename(path) in _FOLDERS)
    below = sorted(named, key=lambda path: path.count("/"))
    for folder in dict.fromkeys([*own, *_FOLDERS, *below]):
        for place in (f"{folder}/experiment", folder, f"{folder}/model", f"{folder}/models"):
            beside = [path for path in files if posixpath.dirname(path) == place]
            found = [path for path in beside if path.endswith(_SUFFIXES)]
            # Where something else evaluates, the primary config of the training is a model too.
            primaries = {
                f"{s.hydra.name}.yaml" for s in scripts if s.hydra and s.role == "evaluate"
            }
            wanted = [path for path in found if _is_model(path, primaries)]
            if wanted:
                return _globs(place, found, wanted)
    return (), ()


def _is_model(path: str, primaries: Collection[str]) -> bool:
    name = posixpath.basename(path)
    return not _NO_MODEL.fullmatch(name) and name not in primaries


def _globs(
    place: str, found: Sequence[str], wanted: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write one glob of the commonest suffix, and take away again what is no model."""
    suffix = Counter(posixpath.splitext(path)[1] for path in wanted).most_common(1)[0][0]
    chosen = tuple(path for path in wanted if path.endswith(suffix))
    rest = [path for path in found if path.endswith(suffix) and path not in chosen]
    away = tuple(f"!{path}" for path in rest if "baseline" not in posixpath.basename(path))
    return (f"{place}/*{suffix}", *away), chosen


def _frameworks(
    modules: Mapping[str, Module], files: Collection[str], read: Read
) -> dict[str, Evidence]:
    """Return what is imported, or asked for in a list of requirements, and where first."""
    found: dict[str, Evidence] = {}
    for path, module in modules.items():
        for package, line in module.imports.items():
            if package in FRAMEWORKS:
                found.setdefault(FRAMEWORKS[package], Evidence(path, line, f"import {package}"))
        if module.gpu:
            found.setdefault("a GPU", Evidence(path, module.gpu, "cuda"))
    for name in ("requirements.txt", "pyproject.toml", "setup.cfg", "environment.yml"):
        text = (read(name) or "") if name in files else ""
        for number, written in enumerate(text.splitlines(), 1):
            match = re.match(r"""[\s"'-]*([A-Za-z_][\w-]*)(?=[\s"'=<>~!^\[,;]|$)""", written)
            package = match[1].lower().replace("-", "_") if match else ""
            if package in FRAMEWORKS:
                found.setdefault(FRAMEWORKS[package], Evidence(name, number, package))
    return found


def _names(modules: Mapping[str, Module], files: Sequence[str], read: Read) -> dict[str, Evidence]:
    """Return what `mlflow` calls name by a literal; an experiment may stand in a config too."""
    found: dict[str, Evidence] = {}
    for path, module in modules.items():
        for kind, (line, text) in module.names.items():
            found.setdefault(kind, Evidence(path, line, text))
    for path in files:
        if "experiment" in found or _ASIDE.search(path) or not _IN_CONFIGS.search(path):
            continue
        for number, written in enumerate((read(path) or "").splitlines(), 1):
            if match := _EXPERIMENT.fullmatch(written):
                found.setdefault("experiment", Evidence(path, number, match[1]))
    return found


def _checks(files: Collection[str], read: Read) -> tuple[tuple[str, str], ...]:
    """Return the commands that check the code, each with the file that shows it."""
    project = read("pyproject.toml") or "" if "pyproject.toml" in files else ""
    found = []
    tests = [path for path in files if re.fullmatch(r"tests?/(.*/)?test_\w+\.py", path)]
    if tests or "[tool.pytest" in project:
        found.append(("pytest", min(tests) if tests else "pyproject.toml"))
    found += [("ruff check .", "pyproject.toml")] if "[tool.ruff" in project else []
    found += [("mypy .", "pyproject.toml")] if "[tool.mypy" in project else []
    found += [("make test", "Makefile")] if "Makefile" in files and _has_target(read) else []
    return tuple(found)


def _has_target(read: Read) -> bool:
    return bool(re.search(r"^test:", read("Makefile") or "", re.MULTILINE))


def _workflows(files: Sequence[str], read: Read, notes: list[str]) -> dict[str, frozenset[str]]:
    """Return the workflows that are there, and which of our words each uses already."""
    found = {}
    for path in files:
        if _WORKFLOW.fullmatch(path):
            text = read(path) or ""
            if (problem := _yaml_problem(text, path)) is not None:
                notes.append(f"`{path}` is not valid YAML: {problem}")
            words = {match[1] or "gate" for match in _USES.finditer(text)}
            words |= {"doctor"} if _RUNS_DOCTOR.search(text) else set()
            found[path] = frozenset(words)
    return found


def _yaml_problem(text: str, path: str) -> str | None:
    try:
        document: Any = parse_yaml(text, name=path)
    except UserError as error:
        return f"line {error.line or 1}: {error.message}"
    return None if isinstance(document, dict) else "it holds no keys."


def _sources(modules: Mapping[str, Module]) -> tuple[str, ...]:
    """Return the top folders that hold code; a file at the root stands for itself."""
    tops = {path.partition("/")[0] for path in modules if path != "setup.py"}
    return tuple(sorted(tops))
