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
from mlactions.evaluate.tree import Tree, join, parents
from mlactions.schema import canonical, parse_yaml

_SUFFIXES = (".yaml", ".yml")
_KEYWORDS = ("override ", "optional ")
_OVERRIDE = re.compile(r"[+~]{0,2}([\w/.-]+)(?:@[\w.:-]*)?=(.*)", re.DOTALL)
_NAME_OPTIONS = ("--config-name", "-cn")
_FOLDER_OPTIONS = ("--config-path", "-cp", "--config-dir", "-cd")
_TOKEN = re.compile(r"[^\s'\",=:(){}\[\]]+")


@dataclass
class Closure:
    """What a config is made of.

    `files` gives for each file the one that names it ("" for the start). `words` are the strings
    in them. In `groups`, folders, any option may be chosen at run time. `doubt` says why even
    that is not known: then any change counts.
    """

    files: dict[str, str] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    groups: dict[str, str] = field(default_factory=dict)
    doubt: str | None = None


class Composer:
    """Reads closures from a tree; parsed files are kept for the next config."""

    def __init__(self, tree: Tree, folder: str) -> None:
        self._tree = tree
        self._folder = folder
        self._documents: dict[str, Any] = {}

    def closure(
        self, config: str, arguments: Sequence[str] = (), others: Iterable[str] = ()
    ) -> Closure:
        """Return what a config is made of, given the command's Hydra overrides.

        `others` are primary configs that the script itself names.
        """
        visit = _Visit(self, self._tree, self._roots(config, arguments))
        visit.file(config, "", "")
        for other in others:
            visit.roots += [root for root in (posixpath.dirname(other),) if root not in visit.roots]
            visit.file(other, "", "")
        for option in self._overrides(arguments, visit.roots):
            visit.option(option, config, required=False)
        return visit.closure

    def document(self, path: str) -> Any:
        """Return a parsed config. Raises UserError for what is no YAML or JSON."""
        if path not in self._documents:
            text = self._tree.text(path)
            if text is None:
                raise UserError("cannot read", "not a text file.", file=path)
            self._documents[path] = parse_yaml(text, name=path)
        return self._documents[path]

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
        if not path.endswith((*_SUFFIXES, ".json")):
            self.closure.words.update(_TOKEN.findall(self.tree.text(path) or ""))
            return
        try:
            document = self.composer.document(path)
        except UserError as error:
            self.closure.doubt = f"`{path}` cannot be read: {error.title}"
            self.closure.words.update(_TOKEN.findall(self.tree.text(path) or ""))
            return
        words = set(_scalars(document))
        self.closure.words |= words
        for word in sorted(words):
            self._named(word, path)
        if isinstance(document, dict):
            self._search_path(document.get("hydra"))
            self._defaults(document.get("defaults"), path, group)

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

    def _named(self, word: str, path: str) -> None:
        """Follow a value that names another config: `_base_: ../base.yaml`, `include: x.yaml`."""
        if word.endswith((*_SUFFIXES, ".json")):
            for place in (posixpath.dirname(path), *self.roots):
                if (other := join(place, word)) in self.tree.files:
                    self.file(other, path, posixpath.dirname(word))

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


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    elif isinstance(value, str):
        yield value


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
    return f"sha256:{hashlib.sha256(canonical(parts).encode()).hexdigest()}"
