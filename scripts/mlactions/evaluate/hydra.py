"""Which files a Hydra config is composed of, read from its defaults lists without running Hydra.

Reference: https://hydra.cc/docs/advanced/defaults_list/
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlactions.errors import UserError
from mlactions.evaluate.imports import read_imports
from mlactions.evaluate.mentions import strings, tokens, without_wildcards
from mlactions.evaluate.tree import CONFIG_SUFFIXES, Tree, join, parents
from mlactions.schema import canonical, parse_yaml

_SUFFIXES = (".yaml", ".yml")
_KEYWORDS = ("override ", "optional ")
_OVERRIDE = re.compile(r"[+~]{0,2}([\w/.-]+)(?:@[\w.:-]*)?=(.*)", re.DOTALL)
_NAME_OPTIONS = ("--config-name", "-cn")
_FOLDER_OPTIONS = ("--config-path", "-cp", "--config-dir", "-cd")
_PARSED = (*_SUFFIXES, ".json")


@dataclass
class Closure:
    """What a config is made of.

    `files` gives for each file the one that names it ("" for the start); `named` are those that
    are named but hold no settings: data, prompts. `words` are the strings in `files`. In `groups`,
    folders, any option may be chosen at run time. `doubt` says why even that is not known: then
    any change counts.
    """

    files: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    groups: dict[str, str] = field(default_factory=dict)
    doubt: str | None = None


@dataclass(frozen=True)
class _Page:
    """One file: its strings, those among them that may name a file, and why it is not understood.

    A defaults list names options, not files: it is read by Hydra's rules.
    """

    words: frozenset[str]
    names: tuple[str, ...]
    document: Any = None
    doubt: str | None = None


class Composer:
    """Reads closures from a tree; parsed files are kept for the next config."""

    def __init__(self, tree: Tree, folder: str) -> None:
        self._tree = tree
        self._folder = folder
        self._documents: dict[str, Any] = {}
        self._pages: dict[str, _Page] = {}

    def closure(
        self, config: str, arguments: Sequence[str] = (), others: Iterable[str] = ()
    ) -> Closure:
        """Return what a config is made of, given the command's Hydra overrides.

        `others` are primary configs that the script itself names.
        """
        visit = _Visit(self, self._tree, self._roots(config, arguments))
        try:
            visit.file(config, "", "")
            for other in others:
                if (root := posixpath.dirname(other)) not in visit.roots:
                    visit.roots.append(root)
                visit.file(other, "", "")
            for option in self._overrides(arguments, visit.roots):
                visit.option(option, config, required=False)
        except RecursionError:
            visit.closure.doubt = f"`{config}` composes a chain of hundreds of files"
        return visit.closure

    def document(self, path: str) -> Any:
        """Return a parsed config. Raises UserError for what is no YAML or JSON."""
        if path not in self._documents:
            text = self._tree.text(path)
            if text is None:
                raise UserError("cannot read", "not a text file.", file=path)
            self._documents[path] = parse_yaml(text, name=path)
        return self._documents[path]

    def page(self, path: str) -> _Page:
        """Return what a file holds, read once for all configs."""
        if path not in self._pages:
            self._pages[path] = self._read(path)
        return self._pages[path]

    def _read(self, path: str) -> _Page:
        if path.endswith(".py"):
            found = read_imports(self._tree.text(path))
            return _Page(frozenset(found.words), tuple(sorted(found.words)))
        if not path.endswith(_PARSED):
            words = set(tokens(self._tree.text(path) or ""))
            return _Page(frozenset(words), tuple(sorted(words)))
        try:
            document = self.document(path)
        except UserError as error:
            words = set(tokens(self._tree.text(path) or ""))
            doubt = f"`{path}` cannot be read: {error.title}"
            return _Page(frozenset(words), tuple(sorted(words)), doubt=doubt)
        words = names = strings(document)
        if isinstance(document, dict) and isinstance(document.get("defaults"), list):
            rest = {key: value for key, value in document.items() if key != "defaults"}
            names = strings(rest) | {word for word in words if word.endswith(_PARSED)}
        return _Page(frozenset(words), tuple(sorted(names)), document)

    def _roots(self, config: str, arguments: Sequence[str]) -> list[str]:
        """Return where groups may stand: beside the config, or in a folder further up."""
        above = [folder for folder in parents(config) if self._is_inside(folder)]
        given = [join(self._folder, value) for value in _values(arguments, _FOLDER_OPTIONS)]
        return list(dict.fromkeys([*above, *given]))

    def _is_inside(self, folder: str) -> bool:
        return not self._folder or folder == self._folder or folder.startswith(f"{self._folder}/")

    def _overrides(self, arguments: Sequence[str], roots: Sequence[str]) -> Iterator[str]:
        yield from (_stem(name) for name in _values(arguments, _NAME_OPTIONS))
        for argument in arguments:
            if match := _OVERRIDE.fullmatch(argument):
                group, values = match[1], match[2].strip("[]")
                if any(join(root, group) in self._tree.folders for root in roots):
                    yield from (f"{group}/{value.strip()}" for value in values.split(","))


@dataclass
class _Visit:
    """One walk over a config's defaults lists; `roots` are the folders that groups stand in."""

    composer: Composer
    tree: Tree
    roots: list[str]
    closure: Closure = field(default_factory=Closure)

    def file(self, path: str, parent: str, group: str) -> None:
        """Take a file in, and everything it names; `group` is its folder below the root."""
        if path in self.closure.files:
            return
        self.closure.files[path] = parent
        if not self.tree.exists(path):
            return
        if self.tree.leaves(path):
            self.closure.doubt = f"`{path}` is a link out of the repository"
        page = self.composer.page(path)
        self.closure.doubt = self.closure.doubt or page.doubt
        self.closure.words |= page.words
        for word in page.names:
            self._named(word, path)
        if isinstance(page.document, dict):
            self._search_path(page.document.get("hydra"))
            self._defaults(page.document.get("defaults"), path, group)

    def option(self, option: str, parent: str, *, required: bool = True) -> None:
        """Take in a group's option (`model/vit`), wherever it stands below a root."""
        found = [
            path
            for root in self.roots
            for suffix in _SUFFIXES
            if (path := join(root, f"{option}{suffix}")) in self.tree.files
        ]
        for path in found:
            self.file(path, parent, posixpath.dirname(option))
        if not found and required and not option.startswith("hydra/"):
            self._any_option("", f"`{parent}` composes `{option}`, which no file here holds")
            if any(self._is_unlisted(option, root) for root in self.roots):
                reason = f"`{parent}` composes `{option}`, which git does not track"
                self.closure.doubt = self.closure.doubt or reason

    def _is_unlisted(self, option: str, root: str) -> bool:
        """Say whether an option is there all the same: ignored, or behind a link that leads out."""
        places = (self.tree.root / join(root, f"{option}{suffix}") for suffix in _SUFFIXES)
        return any(place.is_file() for place in places)

    def _named(self, word: str, path: str) -> None:
        """Follow a value that names a file: `_base_: ../base.yaml`, `extends: base`."""
        folder = posixpath.dirname(path)
        for other in self.tree.named(word, (folder, *self.roots, ""), beside=folder):
            if other.endswith(CONFIG_SUFFIXES):
                self.file(other, path, posixpath.dirname(word))
            else:
                self.closure.named.setdefault(other, path)
        if "/" in word:  # `include: parts/*.yaml`, `extra: ./parts`: all that is in there
            self._named_folder(word, path)

    def _named_folder(self, word: str, path: str) -> None:
        above = set(parents(path))  # somebody's own folder says nothing
        places = (posixpath.dirname(path), *self.roots, "")
        for folder in self.tree.named_folders(without_wildcards(word), places):
            if folder not in above:
                self.closure.groups.setdefault(folder, f"`{path}` names its folder: `{word}`")

    def _search_path(self, hydra: Any) -> None:
        entries = hydra.get("searchpath") if isinstance(hydra, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            text = str(entry)
            place = text.partition("://")[2] if "://" in text else text
            if text.startswith("pkg://"):
                place = place.replace(".", "/")
            ending = join(place)
            self.roots += [
                folder
                for folder in sorted(self.tree.folders)
                if (folder == ending or folder.endswith(f"/{ending}")) and folder not in self.roots
            ]

    def _defaults(self, entries: Any, path: str, group: str) -> None:
        if not isinstance(entries, list):
            return
        for entry in entries:
            if isinstance(entry, str):
                self._entry("", entry, path, group)
            elif isinstance(entry, dict):
                for key, value in entry.items():
                    for choice in value if isinstance(value, list) else [value]:
                        self._entry(str(key), choice, path, group)

    def _entry(self, key: str, choice: Any, path: str, group: str) -> None:
        """Take in one entry: `name`, `/group/name`, `override group@package: name`."""
        optional = "optional " in key
        for keyword in _KEYWORDS * 2:
            key = key.removeprefix(keyword).lstrip()
        key = key.partition("@")[0]
        if choice is None or choice == "_self_":
            return
        name = str(choice) if key else str(choice).partition("@")[0]
        option = f"{key}/{name}" if key else name
        option = option.lstrip("/") if option.startswith("/") else join(group, option)
        if "${" in option or name == "???":
            folder = option.partition("${")[0].partition("???")[0].rpartition("/")[0]
            self._any_option(folder, f"`{path}` chooses `{key or name}` when it runs")
        else:
            self.option(_stem(option), path, required=not optional)

    def _any_option(self, group: str, reason: str) -> None:
        for root in self.roots[:1] if not group else self.roots:
            self.closure.groups.setdefault(join(root, group), reason)
        if group:
            for root in self.roots:
                for path in self.tree.below(join(root, group), ".yaml"):
                    self.file(path, f"{root}/{group}", group)


def _stem(option: str) -> str:
    return next((option[: -len(s)] for s in _SUFFIXES if option.endswith(s)), option)


def _values(arguments: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """Yield the values of command-line options, in both spellings: `-x value` and `-x=value`."""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options and equals:
            yield value
        elif argument in options and position + 1 < len(arguments):
            yield arguments[position + 1]


def composed_hash(composer: Composer, tree: Tree, config: str, arguments: Sequence[str]) -> str:
    """Return the hash of a composed config: every file it is made of, in one spelling.

    Comments and layout do not count; where files stand relative to the config does.
    """
    start = posixpath.dirname(config)
    parts = {}
    for path in composer.closure(config, arguments).files:
        if not tree.exists(path):
            continue
        try:
            content = canonical([composer.document(path)])
        except (UserError, ValueError, TypeError):
            content = (tree.root / path).read_bytes().hex()
        parts[posixpath.relpath(path, start or ".")] = content
    return f"sha256:{hashlib.sha256(canonical(parts).encode(errors='surrogatepass')).hexdigest()}"
