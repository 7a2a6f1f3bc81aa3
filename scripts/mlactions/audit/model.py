"""What an audit is about: rules, findings, files, and what one file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Rule:
    """One kind of finding: what it is, why it matters, what to do, where that is documented."""

    id: str
    family: str
    level: Level
    title: str
    why: str
    fix: str
    link: str


@dataclass(frozen=True)
class Place:
    """Where something stands: the line a person opens; `cell` counts a notebook's from 1."""

    line: int
    cell: int | None = None


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold at a place.

    `quote` is the source line, by which a baseline knows the finding again after lines moved.
    `last_line` ends the statement, in lines of the parsed source like `source_line`.
    """

    rule: str
    level: Level
    file: str
    place: Place
    message: str
    quote: str = ""
    source_line: int = 1
    last_line: int = 1

    def at(self, **changes: object) -> Finding:
        """Return it with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # the fields' own types


@dataclass(frozen=True)
class Suppression:
    """`# audit: ignore[rule] reason` on a line of the parsed source; `covers` are lines."""

    file: str
    rules: tuple[str, ...]
    reason: str
    place: Place
    covers: tuple[int, ...]
    quote: str


@dataclass(frozen=True)
class Skip:
    """A file, or a notebook's cell, that was not audited, and why."""

    file: str
    why: str
    place: Place = Place(1)


@dataclass(frozen=True)
class Step:
    """A call in a function that seeds: an effect, or `call.name`; `branches` stand around it."""

    what: str
    branches: frozenset[tuple[int, str]]
    finding: Finding


@dataclass(frozen=True)
class Launch:
    """A call at the top level of a module: the dotted name, the line and its text.

    With a `method`, that is what is called, of what `name` made.
    """

    name: str
    method: str
    line: int
    quote: str


@dataclass(frozen=True)
class Function:
    """What a function, method or module body refers to and does.

    `refs` are dotted names, `@name` for one of the same module. `effects` say what it does, each
    with the first source line: `seed.torch`, `use.numpy`, `train`, … `steps` order the calls of
    functions that seed. `methods` are attributes of what no name leads to: `fit` of `model.fit`.
    """

    refs: frozenset[str]
    effects: Mapping[str, int]
    steps: tuple[Step, ...] = ()
    methods: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Conditional:
    """A finding that counts in programs with the effects `when` and none of `unless`.

    It stands in `function` of its file, which the program has to reach; None: anywhere in the file.
    `alone`: it also counts in a file that no program reaches.
    """

    finding: Finding
    function: str | None = None
    when: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()
    alone: bool = False


@dataclass(frozen=True)
class Summary:
    """What remains of a parsed module: enough to follow calls from file to file.

    `exports` are the names that its imports bind, `stars` the modules it imports everything of,
    `entry` the line where running it as a program starts; without one, `launches` may be entries.
    """

    path: str
    functions: Mapping[str, Function]
    exports: Mapping[str, str]
    stars: tuple[str, ...]
    entry: int | None
    entry_place: Place
    entry_quote: str
    notebook: bool = False
    conditional: tuple[Conditional, ...] = ()
    starts: tuple[str, ...] = ()
    launches: tuple[Launch, ...] = ()


@dataclass(frozen=True)
class Program:
    """An entry point that trains, and what is reached from it."""

    path: str
    place: Place
    effects: frozenset[str]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """Everything an audit found, before baselines; `suppressed` pairs a finding with a reason."""

    findings: tuple[Finding, ...]
    suppressed: tuple[tuple[Finding, str], ...]
    programs: tuple[Program, ...]
    skipped: tuple[Skip, ...]
    files: int
    lines: int
    tests: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
