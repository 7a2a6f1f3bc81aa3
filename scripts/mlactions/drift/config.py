"""The configuration as the program would get it: plain YAML, or a Hydra config, composed."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.drift.interpolation import ENVIRONMENT, resolve
from mlactions.drift.model import Config, Setting, Settings, Unresolved
from mlactions.errors import UserError
from mlactions.schema import load_json, read_text
from mlactions.values import Place, flatten
from mlactions.yaml_lines import Marked, parse_marked

COMPOSE_SECONDS = 180.0
PROGRAM = Path(__file__).with_name("user") / "compose.py"
MAX_SETTINGS = 20_000
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_OVERRIDES = "from --overrides"


def read_config(settings: Settings, environ: Mapping[str, str]) -> Config:
    """Read and, where it has a defaults list, compose the configuration.

    `environ` is what the user's Python gets. Raises UserError for what is no configuration.
    """
    path = settings.folder / settings.config
    name = path.as_posix()
    marked = parse_marked(read_text(path), name=name)
    if not isinstance(marked.value, dict) or not marked.value:
        raise UserError("not a configuration", "it holds no keys and values.", file=name)
    if isinstance(marked.value.get("defaults"), list):
        config = _composed(settings, path, environ)
    else:
        config = Config(name, tuple(_plain(marked, name)))
    if len(config.settings) > MAX_SETTINGS:
        message = f"it has {len(config.settings):,} settings, more than {MAX_SETTINGS:,}."
        raise UserError("too many settings", message, file=name)
    return config


def _plain(marked: Marked, name: str) -> Iterator[Setting]:
    document = {key: value for key, value in marked.value.items() if key != "hydra"}
    raw = dict(flatten(document))
    for place, value in flatten(resolve(document)):
        yield Setting(place, value, raw.get(place, value), name, marked.line(place))


@dataclass(frozen=True)
class _Source:
    """A file of a composed config, and where its keys land."""

    name: str
    package: Place
    marked: Marked


def _composed(settings: Settings, path: Path, environ: Mapping[str, str]) -> Config:
    root = settings.folder / settings.config_root if settings.config_root else path.parent
    answer = _compose(settings, path, root, environ)
    sources = tuple(_sources(answer["sources"], root))
    raw, found = dict(flatten(_own(answer["raw"]))), []
    elsewhere = dict(_elsewhere(_own(answer["raw"])))
    for place, value in flatten(_own(answer["resolved"])):
        above = (place[:size] for size in range(1, len(place) + 1))
        known = next((elsewhere[item] for item in above if item in elsewhere), _known(value))
        written = raw.get(place, known.text if isinstance(known, Unresolved) else value)
        if _is_overridden(place, settings.overrides):
            found.append(Setting(place, known, written, origin=_OVERRIDES))
            continue
        file, line = _written_at(place, sources, path.as_posix())
        found.append(Setting(place, known, written, file, line))
    return Config(
        path.as_posix(), tuple(found), composed=True, files=tuple(item.name for item in sources)
    )


def _own(document: Any) -> Any:
    return {key: value for key, value in document.items() if key != "hydra"}


def _elsewhere(raw: Any) -> Iterator[tuple[Place, Unresolved]]:
    """Yield what only the machine that the model serves on knows, through however many keys.

    Hydra resolves such a value with the environment of this machine, which says nothing.
    """
    for place, value in flatten(resolve(raw)):
        if isinstance(value, Unresolved) and value.why == ENVIRONMENT:
            yield place, value


def _known(value: Any) -> Any:
    if isinstance(value, str) and ("${" in value or value == "???"):
        return Unresolved(value, "it cannot be resolved here")
    return value


def _is_overridden(place: Place, overrides: Sequence[str]) -> bool:
    """Tell whether an override gives a value, or a mapping that it stands in; no file does then.

    One that chooses a group does not: its values stand in the group's file.
    """
    key = ".".join(map(str, place))
    for override in overrides:
        name, equals, value = override.lstrip("+").partition("=")
        if equals and (key == name or (key.startswith(f"{name}.") and value[:1] in {"{", "["})):
            return True
    return False


def _compose(
    settings: Settings, path: Path, root: Path, environ: Mapping[str, str]
) -> Mapping[str, Any]:
    """Let Hydra compose, in the user's Python: it knows the groups, plugins and resolvers."""
    name = posixpath.splitext(_below(path, root))[0]
    with tempfile.TemporaryDirectory(prefix="mlactions-") as scratch:
        out = Path(scratch) / "composed.json"
        arguments = [str(PROGRAM), str(root.resolve()), name, str(out), *settings.overrides]
        said = _run(settings.python, arguments, settings.folder, environ)
        if not out.exists():
            message = f"`{settings.python}` did not compose it: {said or 'it said nothing'}."
            raise UserError("cannot compose", message, file=path.as_posix())
        answer: Any = load_json(out, max_bytes=MAX_ANSWER_BYTES)
    if "missing" in answer:
        message = f"it has a defaults list, and `{settings.python}` has no {answer['missing']!r}."
        hint = "Name the Python of the project with `--python`, for example .venv/bin/python."
        raise UserError("Hydra is missing", message, hint, path.as_posix())
    if "error" in answer:
        message = f"Hydra cannot compose it: {' '.join(str(answer['error']).split())[:600]}"
        raise UserError("cannot compose", message, file=path.as_posix())
    return dict(answer)


def _below(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        hint = "It is the folder that the groups stand in."
        message = f"`--config-root` is {root}, which does not hold {path}."
        raise UserError("bad input", message, hint) from None


def _run(python: str, arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str:
    """Run the user's Python to its end; return the end of what it said."""
    # Absolute, because it starts in `folder`; a link stays one, because environments hang on it.
    here = folder / python
    found = str(here) if "/" in python and here.exists() else None
    program = os.path.abspath(found or shutil.which(python, path=environ.get("PATH")) or python)  # noqa: PTH100  # the same
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMPOSE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"`{python}` did not compose it within {COMPOSE_SECONDS:.0f} s."
        raise UserError("cannot compose", message) from None
    except OSError as error:
        message = f"`{python}` cannot be run: {error.strerror}."
        hint = "Name the Python of the project with `--python`, for example .venv/bin/python."
        raise UserError("bad input", message, hint) from None
    return " ".join(done.stderr.decode(errors="replace").split())[-300:].rstrip(".")


def _sources(listed: Sequence[Mapping[str, str]], root: Path) -> Iterator[_Source]:
    """Yield the files of a composed config; the last to set a key comes first."""
    for item in reversed(listed):
        if item["path"].startswith("hydra/"):
            continue
        for suffix in (".yaml", ".yml"):
            path = root / f"{item['path']}{suffix}"
            try:
                marked = parse_marked(read_text(path), name=path.as_posix())
            except UserError:
                continue
            yield _Source(path.as_posix(), _package(item["package"]), marked)
            break


def _package(text: str) -> Place:
    return tuple(part for part in text.split(".") if part and part != "_global_")


def _written_at(place: Place, sources: Sequence[_Source], default: str) -> tuple[str, int | None]:
    """Return the file and line that give a value, as far as a file does: overrides may."""
    for source in sources:
        size = len(source.package)
        if tuple(map(str, place[:size])) == source.package:
            line = source.marked.line(place[size:], least=len(place) - size)
            if line is not None:
                return source.name, line
    return default, 1


def config_document(config: Config) -> dict[str, Any]:
    """Return what a result says of the configuration."""
    return {"file": config.name, "composed": config.composed, "files": list(config.files)}


def values_of(config: Config) -> Mapping[str, Any]:
    """Return the settings that are known here, by their dotted names."""
    known = (item for item in config.settings if not isinstance(item.value, Unresolved))
    return {item.key: json.loads(json.dumps(item.value, default=str)) for item in known}
