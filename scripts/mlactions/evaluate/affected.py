"""Which configs a change touches. When in doubt, a config is evaluated."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlactions.evaluate.git import Change
from mlactions.evaluate.globs import matches
from mlactions.evaluate.graph import Graph, Reach
from mlactions.evaluate.hydra import Closure, Composer
from mlactions.evaluate.imports import HydraEntry
from mlactions.evaluate.mentions import Mentions, mentions, names
from mlactions.evaluate.records import Choice, Config
from mlactions.evaluate.template import Template
from mlactions.evaluate.tree import CONFIG_SUFFIXES, Tree, join, parents

# Files that decide what gets installed. They count beside the working directory and above it.
_ENVIRONMENT = re.compile(
    r"(?:.*requirements.*|constraints.*)\.(?:txt|in)|pyproject\.toml|setup\.(?:py|cfg)|Pipfile"
    r"|(?:uv|poetry|pdm|pixi|Pipfile|conda)\.lock|pixi\.toml|(?:environment|conda).*\.ya?ml"
    r"|conda-lock\.yml|\.python-version|Dockerfile.*|dvc\.(?:lock|yaml)|\.gitmodules"
)
_TRACKED_DATA = re.compile(r".*\.dvc")
_NATIVE = re.compile(r".*\.(?:c|cc|cpp|cxx|cu|cuh|h|hpp|pyx|pxd|rs|f|f90|so)")
_PROSE = re.compile(r".*\.(?:md|rst|png|jpe?g|gif|svg|pdf)|LICENSE.*")
_MAIN = "__main__.py"
_UNTRACKED = "is not committed"


@dataclass(frozen=True)
class Project:
    """What the static analysis sees: paths are relative to `root`, the repository.

    `workflow` is the file of the workflow that runs us, "" outside of one.
    """

    root: Path
    folder: str
    template: Template
    depends: tuple[str, ...]
    files: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[str, ...] = ()
    workflow: str = ""


def explain(
    project: Project, configs: Sequence[Config], changes: Sequence[Change]
) -> tuple[Choice, ...]:
    """Return a choice for each config, with the change that reaches it or why none does."""
    changed = _changed_paths(changes)
    if not changed:
        return _same(configs, selected=False, reason="unchanged: nothing differs from the base")
    if reason := next(_reaches_all(project, changed), None):
        return _same(configs, selected=True, reason=reason)
    tree = Tree(project.root, project.files | set(changed), project.aliases)
    entries = find_entries(project.template.arguments, project.folder, tree)
    if not entries:
        reason = "in doubt: no Python script of this repository is named in `command`"
        return _same(configs, selected=True, reason=reason)
    analysis = _Analysis(project, tree, entries, changed)
    return tuple(analysis.choose(config) for config in configs)


def _same(configs: Iterable[Config], *, selected: bool, reason: str) -> tuple[Choice, ...]:
    return tuple(Choice(config, selected=selected, reason=reason) for config in configs)


def _changed_paths(changes: Iterable[Change]) -> dict[str, str]:
    """Return every path that differs, with the words for how."""
    words = {
        "added": "is new",
        "changed": "changed",
        "deleted": "was deleted",
        "untracked": _UNTRACKED,
    }
    changed = {}
    for change in changes:
        if change.kind == "renamed" and change.old is not None:
            changed[change.old] = f"was renamed to `{change.path}`"
            changed[change.path] = f"was renamed from `{change.old}`"
        else:
            changed[change.path] = words[change.kind]
    return changed


def _committed(changed: Mapping[str, str]) -> dict[str, str]:
    """Leave out what git does not track: it is in doubt only where code or a config names it."""
    return {path: how for path, how in changed.items() if how != _UNTRACKED}


def _unchanged(changed: Mapping[str, str], *, watched: int) -> str:
    """Say what was looked at. Of what git does not track, only code and configs could matter."""
    committed = _committed(changed)
    could = [p for p in changed if p not in committed and p.endswith(CONFIG_SUFFIXES)]
    if len(committed) + len(could) == 1:
        path = next(iter((*committed, *could)))
        return f"unchanged: `{path}` is not among the {watched} files it depends on"
    counts = {"changed": len(committed), "untracked": len(could)}
    named = " and ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    if not named:
        return "unchanged: no tracked file differs from the base"
    return f"unchanged: none of the {named} files is among the {watched} it depends on"


def _reaches_all(project: Project, changed: Mapping[str, str]) -> Iterator[str]:
    """Yield reasons why every config is affected: what is declared, installed, or not readable."""
    above = {project.folder, *parents(project.folder)} if project.folder else {""}
    for path, how in changed.items():
        odd = path.encode(errors="replace").decode()
        if odd != path and (how != _UNTRACKED or path.endswith(CONFIG_SUFFIXES)):
            yield f"in doubt: `{odd}` {how}, and its name is not UTF-8"
    for path, how in _committed(changed).items():
        name = posixpath.basename(path)
        if any(matches(path, glob, folder=project.folder) for glob in project.depends):
            yield f"`{path}` {how}, and `depends` names it"
        elif _ENVIRONMENT.fullmatch(name) and posixpath.dirname(path) in above:
            yield f"`{path}` {how}: it decides what is installed"
        elif _TRACKED_DATA.fullmatch(name):
            yield f"`{path}` {how}: it names tracked data"
        elif path == project.workflow:
            yield f"`{path}` {how}: it is the workflow that runs the evaluations"
        elif _NATIVE.fullmatch(name):
            yield f"in doubt: `{path}` {how}, and compiled code is not analysed"
        elif (project.root / path).is_dir():
            yield f"in doubt: `{path}` {how}, a linked folder or a submodule"


def find_entries(arguments: Sequence[str], folder: str, tree: Tree) -> list[str]:
    """Return the scripts and `-m` modules of the command line that are files of the repository."""
    found = []
    for position, argument in enumerate(arguments):
        if argument.endswith(".py") and (path := join(folder, argument)) in tree.files:
            found.append(path)
        elif argument == "-m" and position + 1 < len(arguments):
            name = arguments[position + 1].replace(".", "/")
            for root in (folder, "", join(folder, "src"), "src"):
                names = (f"{name}.py", f"{name}/__init__.py", f"{name}/{_MAIN}")
                found += [p for n in names if (p := join(root, n)) in tree.files]
    return list(dict.fromkeys(found))


class _Analysis:
    """Answers for one config after another; what they share is read once."""

    def __init__(
        self, project: Project, tree: Tree, entries: Sequence[str], changed: Mapping[str, str]
    ) -> None:
        self._project = project
        self._tree = tree
        self._changed = changed
        self._graph = Graph(tree, list(_roots(project, entries)))
        self._composer = Composer(tree, project.folder)
        self._shared = self._graph.reach(entries)
        self._primary = self._primaries(self._shared)
        self._command = mentions(project.template.arguments)
        self._targets: dict[str, list[str]] = {}

    def choose(self, config: Config) -> Choice:
        """Return the first change that reaches a config, the most direct kind first."""
        path = join(self._project.folder, config.path)
        closure = self._composer.closure(path, self._arguments(config), self._primary)
        targets = {file: word for word in sorted(closure.words) for file in self._target(word)}
        scripts = [file for file in closure.files if file.endswith(".py")]
        reach = self._graph.reach([*scripts, *targets], self._shared)
        for reason in self._reasons(path, closure, reach, targets):
            return Choice(config, selected=True, reason=reason)
        watched = len({*closure.files, *closure.named, *reach.files})
        reason = _unchanged(self._changed, watched=watched)
        return Choice(config, selected=False, reason=reason)

    def _reasons(
        self, config: str, closure: Closure, reach: Reach, targets: Mapping[str, str]
    ) -> Iterator[str]:
        if config in self._changed:
            yield f"its config {self._changed[config]}"
        composed = {self._tree.real(path) for path in closure.files}
        named = {self._tree.real(path): by for path, by in closure.named.items()}
        imported = {self._tree.real(path): path for path in reach.files}
        for path, how in self._changed.items():
            if path in composed:
                yield f"`{path}` {how}, which it composes"
            elif path in named:
                yield f"`{path}` {how}, which `{named[path]}` names"
            elif path in imported:
                chain = reach.path_to(imported[path])
                yield f"`{path}` {how}{_chain(chain, targets.get(chain[0]))}"
        yield from (f"in doubt: {doubt}" for doubt in self._doubts(closure, reach))

    def _doubts(self, closure: Closure, reach: Reach) -> Iterator[str]:
        if closure.doubt:
            yield closure.doubt
        words = mentions(closure.words)
        packages = {posixpath.dirname(file) for file in reach.files if file.endswith("__init__.py")}
        for path, how in _committed(self._changed).items():
            if group := next((g for g in closure.groups if path.startswith(f"{g}/")), None):
                yield f"`{path}` {how}, and {closure.groups[group]}"
            elif path.endswith(".py"):
                if reach.doubts:
                    yield f"`{path}` {how}, and {reach.doubts[0]}"
            elif why := self._read_by(path, closure, (reach.words, words), packages):
                yield f"`{path}` {how}, and {why}"

    def _read_by(
        self, path: str, closure: Closure, words: Sequence[Mentions], packages: Collection[str]
    ) -> str:
        """Say why a file that is neither code nor a composed config may be read; "" if nothing."""
        is_config = path.endswith(CONFIG_SUFFIXES) and any(
            folder and path.startswith(f"{folder}/")
            for folder in {posixpath.dirname(file) for file in closure.files}
        )
        # A folder that is read for its data holds notes as well, which nobody reads there.
        is_prose = _PROSE.fullmatch(posixpath.basename(path)) is not None
        known = (*words, self._command)
        folders = not (is_config or is_prose)
        for name in names(path, folder=self._project.folder, folders=folders):
            if found := [index[name] for index in known if name in index]:
                return f"`{min(found)}` may name it"
        if folders and any(above in packages for above in parents(path) if above):
            return "it stands in a package that is imported"
        return ""

    def _target(self, word: str) -> list[str]:
        """Return the modules a config value names: `src.models.vit.ViT`, `eval/custom.py`."""
        if word not in self._targets:
            self._targets[word] = self._find_target(word)
        return self._targets[word]

    def _find_target(self, word: str) -> list[str]:
        if word.endswith(".py"):
            places = ("", self._project.folder)
            return [p for place in places if (p := join(place, word)) in self._tree.files]
        if not re.fullmatch(r"[A-Za-z_][\w:]*(?:\.[\w:]+)+\.?(?:\$\{.*)?", word):
            return []
        name, interpolated, _ = word.partition("${")
        if interpolated:
            inits = self._graph.find(name.rstrip("."))
            folders = {posixpath.dirname(file) for file in inits}
            return [
                file for folder in folders if folder for file in self._tree.below(folder, ".py")
            ]
        return self._graph.find(name.replace(":", "."))

    def _arguments(self, config: Config) -> list[str]:
        return self._project.template.preview(config.path, config.stem)

    def _primaries(self, reach: Reach) -> list[str]:
        """Return the primary configs that scripts name: `@hydra.main(config_name="config")`."""
        found = []
        for script, entry in sorted(reach.hydra, key=str):
            folder = self._hydra_folder(script, entry)
            for suffix in (".yaml", "") if entry.name else ():
                path = join(folder, f"{entry.name}{suffix}")
                found += [path] if path in self._tree.files else []
        return list(dict.fromkeys(found))

    def _hydra_folder(self, script: str, entry: HydraEntry) -> str:
        """`config_path` is relative to the script that calls Hydra."""
        return join(posixpath.dirname(script), entry.path or "")


def _roots(project: Project, entries: Iterable[str]) -> Iterator[str]:
    """Yield the folders that Python may import from: the scripts' own first, as it does."""
    yield from (posixpath.dirname(entry) for entry in entries)
    for text in project.python_path:
        path = (project.root / project.folder / text).resolve()
        if path.is_relative_to(project.root):
            yield join(path.relative_to(project.root).as_posix())
    for folder in dict.fromkeys((project.folder, "")):
        yield folder
        yield join(folder, "src")


def _chain(chain: Sequence[str], target: str | None) -> str:
    """Say how a file is reached: `, imported by a.py through b.py`."""
    *first, _ = chain
    named = f", which the config names as `{target}`" if target else ""
    if not first:
        return named
    through = " → ".join(f"`{file}`" for file in first[1:4])
    return f", imported by `{first[0]}`{' through ' if through else ''}{through}{named}"
