"""What a proposed space has to hold to: the user's own keys, the budget, and the config tree.

No user code is run for it. The configs are composed from a copy, by our own Python, without the
caller's variables; where that cannot be done, as with a ConfigStore, names are held to the files.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from mlactions.ask.repository import NoSourceError, Repository
from mlactions.errors import UserError
from mlactions.schema import parse_yaml

MAX_CONFIGS = 2000
MAX_SAMPLES = 2000
OWN = (
    "budget",
    "command",
    "max_parallel",
    "metric",
    "program",
    "resources",
    "retry",
    "reuse_across_commits",
)
"""Keys that are the user's to set: a proposal keeps them as they are in the current file."""


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,99}")


@dataclass(frozen=True)
class Held:
    """A space as it was checked: the text to offer, its parameters, why it is not offered.

    `note` says why it was not composed, and is empty where it was. `takes` says what it would take.
    """

    text: str
    parameters: tuple[str, ...] = ()
    struck: tuple[str, ...] = ()
    note: str = ""
    takes: str = ""


def hold(
    text: str, current: str, result: Mapping[str, Any], repository: Repository, name: str
) -> Held:
    """Check a proposed file as a user's is, and against what only the user may say."""
    from mlactions.sweep.cost import told
    from mlactions.sweep.space import parse_space  # only an answer with a sweep needs it

    try:
        own = _mapping(current)
        whole, struck = _with_own(text, own)
        space = parse_space(whole, file=name)
    except UserError as error:
        return Held(text, struck=(_told(error),))
    names = tuple(item.key for item in space.parameters)
    estimate, over = _over(space, result)
    struck += [*_misnamed(space.name, own), *unsafe(space), *over]
    note = ""
    if not struck:
        found, note = _composed(space, result, repository)
        struck += found
    return Held(whole, names, tuple(struck), note, "" if struck else told(space, estimate))


def _told(error: UserError) -> str:
    line = f"line {error.line}: " if error.line else ""
    return " ".join(f"{line}{error.title}: {error.message} {error.hint}".split())[:400]


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        found = parse_yaml(text, name="space.yaml") if text.strip() else {}
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}


def _with_own(text: str, current: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the proposed text with the user's own keys, and which of them it sets otherwise."""
    import yaml

    document = _mapping(text)
    struck = [
        f"it sets `{key}`, which is the user's to say"
        for key in OWN
        if key in document and _spelt_out(document[key]) != _spelt_out(current.get(key))
        if not (key == "metric" and key not in current)
    ]
    kept = {key: current[key] for key in OWN if key in current and key not in document}
    if not kept or not document:
        return text, struck
    if text.lstrip().startswith("{"):  # nothing can be added below
        return yaml.safe_dump({**document, **kept}, sort_keys=False, allow_unicode=True), struck
    added = yaml.safe_dump(kept, sort_keys=True, allow_unicode=True)
    return f"{text.rstrip()}\n# As in the current file.\n{added}", struck


def _spelt_out(value: Any) -> Any:
    """Return a value of the user's with W&B's default, so that equal metrics are equal."""
    return {"goal": "minimize", **value} if isinstance(value, dict) and "name" in value else value


def _misnamed(name: str, current: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a name, which becomes a folder's; the user's own may stay."""
    if name and name != current.get("name") and not _NAME.fullmatch(name):
        yield (
            f"its `name` is {name[:100]!r}: at most 100 letters, digits, spaces, dots, dashes and"
            " underscores are allowed, a letter first"
        )


def unsafe(space: Any) -> Iterator[str]:
    """Yield what a proposal must not say, because the training would act on it."""
    from mlactions.sweep.domains import Choice

    for item in space.parameters:
        values = item.domain.values if isinstance(item.domain, Choice) else ()
        texts = [item.name, *_texts(values)]
        if item.package.partition(".")[0] == "hydra":
            yield f"`{item.key}` is put among Hydra's own settings"
        if any("${" in text for text in texts):
            yield f"`{item.key}` holds an interpolation, which would be resolved where it trains"
        if any(_is_special(text) for text in texts):
            yield f"`{item.key}` names what is to be called: `_target_` and its like are refused"


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from (*_texts(value.keys()), *_texts(value.values()))
        elif isinstance(value, list):
            yield from _texts(value)


def _is_special(text: str) -> bool:
    return any(len(part) > 1 and part[0] == part[-1] == "_" for part in text.split("."))


def _over(space: Any, result: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return what the whole of a proposed sweep would take, and which limits it would break."""
    from mlactions.sweep.cost import Spent, estimate, over_budget
    from mlactions.sweep.trials import size

    found = result["estimate"] or {}
    trials = size(space) * max(len(space.seeds), 1)
    whole = estimate(space, trials, Spent(median=found.get("hours_per_trial")))
    if found.get("hours_from"):
        whole = replace(whole, hours_from=found["hours_from"])
    return whole, over_budget(space, whole)


def _composed(
    space: Any, result: Mapping[str, Any], repository: Repository
) -> tuple[list[str], str]:
    """Compose what a proposal changes; where that cannot be done, hold names to the files."""
    from mlactions.sweep.compose import Project, ask_hydra

    root = PurePosixPath(result["folder"]).parent.parent
    with tempfile.TemporaryDirectory(prefix="mlactions-") as scratch:
        configs = Path(scratch) / "configs"
        paths = _copied(repository, root, configs)
        empty = Path(scratch) / "empty"
        empty.mkdir()
        name = result["composed"].get("config", "")
        project = Project(empty, configs, name, sys.executable)
        try:
            current = ask_hydra(project, choices=[[]])["configs"][0]
            why = current.get("error", "")
        except UserError as error:
            why = f"{error.title}: {error.message}"
        if not why:
            return _against_hydra(space, project), ""
        return _against_files(space, configs, paths), f"not composed, because {why[:300]}"


def _copied(repository: Repository, root: PurePosixPath, configs: Path) -> list[PurePosixPath]:
    """Copy the config files as the repository has them; return their names in the tree."""
    configs.mkdir()
    found = []
    for path in islice(_listed(repository, root), MAX_CONFIGS):
        try:
            text = repository.read((root / path).as_posix()).text
        except NoSourceError:
            continue
        (configs / path).parent.mkdir(parents=True, exist_ok=True)
        (configs / path).write_text(text, encoding="utf-8")
        found.append(path)
    return found


def _listed(repository: Repository, root: PurePosixPath) -> Iterator[PurePosixPath]:
    """Yield the config files of the tree, without those of generated sweeps."""
    top = repository.root.resolve()
    for base in (top / repository.prefix, top):
        folder = base / root
        if folder.is_dir() and folder.resolve().is_relative_to(top):
            for end in ("*.yaml", "*.yml"):
                for path in sorted(folder.rglob(end)):
                    name = PurePosixPath(path.relative_to(folder).as_posix())
                    if name.parts[0] != "sweeps":
                        yield name
            return


def _against_hydra(space: Any, project: Any) -> list[str]:
    from mlactions.sweep.compose import bases_of, compose
    from mlactions.sweep.compose_checks import Files, Samples, check
    from mlactions.sweep.trials import make_trials

    try:
        resolved, found = compose(project, space)
        bases = bases_of(found, resolved)
        samples = Samples(bases.groups)
        seeds = max(len(resolved.seeds), 1)
        drawn = resolved  # a grid; of other methods the points do not matter, only the values
        if resolved.method != "grid":
            drawn = replace(resolved, method="random", run_cap=MAX_SAMPLES // 10 * seeds)
        for trial in islice(make_trials(drawn, bases), MAX_SAMPLES):
            samples.note(trial)
        return check(project, resolved, found, samples, Files(""))
    except UserError as error:
        return [_told(error)]


def _against_files(space: Any, configs: Path, paths: Sequence[PurePosixPath]) -> list[str]:
    """Hold names and options to the files, without what only the user's Python knows."""
    from mlactions.sweep.compose import check_options
    from mlactions.sweep.compose_checks import floats_for_integer
    from mlactions.sweep.tree import group_options
    from mlactions.sweep.trials import resolve_globs

    options = group_options(configs, space)
    try:
        check_options(resolve_globs(space, options), options)
    except UserError as error:
        return [_told(error)]
    documents = {path: _mapping((configs / path).read_text(encoding="utf-8")) for path in paths}
    asked = [item for item in space.parameters if not item.prefix and item.key not in options]
    values = {item.name: list(_values(item.name, documents)) for item in asked}
    if space.seeds:
        values[space.seed_parameter] = list(_values(space.seed_parameter, documents))
    unknown = [f"the configs have no `{name}`" for name, found in values.items() if not found]
    floats = (
        {floats_for_integer(item, value) for value in values[item.name]}
        for item in asked
        if values[item.name]
    )
    return [*unknown, *(min(told) for told in floats if all(told))]


def _values(name: str, documents: Mapping[PurePosixPath, Mapping[str, Any]]) -> Iterator[Any]:
    """Yield what files set a key to; one in a group's folder sets it below the group's name."""
    wanted = name.split(".")
    for path, document in documents.items():
        group = list(path.parent.parts)
        below = bool(group) and wanted[: len(group)] == group
        yield from _at(document, wanted[len(group) :] if below else wanted)


def _at(document: Any, parts: Sequence[str]) -> Iterator[Any]:
    for part in parts:
        if not isinstance(document, Mapping) or part not in document:
            return
        document = document[part]
    if parts:
        yield document
