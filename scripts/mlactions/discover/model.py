"""What `discover` knows: what is asked for, what the Hub says of a repository, what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mlactions.discover.formats import loading
from mlactions.errors import UserError
from mlactions.settings import Status

Kind = Literal["model", "dataset"]
State = Literal[
    "found", "no-candidate", "unreachable", "unauthorized", "rate-limited", "hub-failed"
]

HOME = "https://huggingface.co"
"""The Hub, where HF_ENDPOINT names no other."""

NOUNS: Mapping[str, str] = {"model": "model", "dataset": "data set"}
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})?")
REVISION = re.compile(r"[0-9a-f]{40}")
MAX_NAME = 96


def is_repository(name: str) -> bool:
    """Return whether a text can be the name of a repository on the Hub."""
    odd = "--" in name or ".." in name or name.endswith(".git")
    return len(name) <= MAX_NAME and bool(REPOSITORY.fullmatch(name)) and not odd


@dataclass(frozen=True)
class Constraints:
    """What a candidate has to prove; what it does not say is never a pass."""

    licences: tuple[str, ...] = ()
    library: str = ""
    max_parameters: int | None = None
    min_samples: int | None = None
    splits: tuple[str, ...] = ()
    safetensors_only: bool = False
    not_gated: bool = False


@dataclass(frozen=True)
class Settings:
    """What the caller decides. `limit` is how many repositories are looked up at most."""

    kind: Kind
    task: str
    constraints: Constraints
    limit: int = 20
    key: str = "discover"


@dataclass(frozen=True)
class Query:
    """One search of the Hub: words in names, and what the Hub itself filters by."""

    search: str = ""
    tag: str = ""
    filters: tuple[str, ...] = ()
    parameters: str = ""
    open_only: bool = False


@dataclass(frozen=True)
class Plan:
    """The searches, in groups: one that fills the limit makes those after it unnecessary.

    `near` groups leave the constraints out: where nothing was found they show what was missed.
    """

    tag: str
    words: tuple[str, ...]
    groups: tuple[tuple[Query, ...], ...]
    near: tuple[tuple[Query, ...], ...]


@dataclass(frozen=True)
class File:
    """A file of a repository; None where the Hub does not say how large it is."""

    path: str
    size: int | None


@dataclass(frozen=True)
class Metric:
    """What an author reports of a model. Nobody has measured it here."""

    name: str
    value: str
    dataset: str
    task: str
    source: str


@dataclass(frozen=True)
class Split:
    """A part of a data set and how many samples it has."""

    name: str
    samples: int | None


@dataclass(frozen=True)
class Entry:
    """A repository as the Hub describes it at one revision; None and "" mean that it does not say.

    `samples` are those of the first configuration, `samples_least` the lower end where only a range
    is known. `size` is in bytes. `parameters_why` says why a declared number does not count,
    `headers` whether the Hub has read those of its safetensors, `alone` which weights can run code
    without data beside them, `closed` which files of a data set were not looked into, `readable`
    whether `datasets` reads one.
    """

    kind: Kind
    id: str
    revision: str
    asked: str = ""
    gated: str = ""
    disabled: bool = False
    licence_card: tuple[str, ...] = ()
    licence_tags: tuple[str, ...] = ()
    licence_name: str = ""
    library: str = ""
    libraries: tuple[str, ...] = ()
    task: str = ""
    parameters: int | None = None
    parameters_from: str = ""
    parameters_why: str = ""
    headers: bool = False
    files: int = 0
    size: int | None = None
    weights: tuple[File, ...] = ()
    pickles: tuple[File, ...] = ()
    alone: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    remote_code: bool = False
    unsafe: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    unscanned: bool = False
    closed: tuple[str, ...] = ()
    readable: bool = True
    downloads: int | None = None
    likes: int | None = None
    modified: str = ""
    samples: int | None = None
    samples_least: int | None = None
    config: str = ""
    splits: tuple[Split, ...] = ()
    metrics: tuple[Metric, ...] = ()
    auto_model: str = ""
    processor: str = ""
    citation: str = ""
    authors: str = ""

    @property
    def safetensors(self) -> tuple[File, ...]:
        """The weights that nothing executes when they are read."""
        return tuple(file for file in self.weights if file.path.endswith(".safetensors"))

    @property
    def data(self) -> tuple[File, ...]:
        """The weights in a format of data alone."""
        return tuple(file for file in self.weights if loading(file.path) == "data")

    @property
    def licence(self) -> str:
        """The licence as it is shown."""
        said = self.licence_card or self.licence_tags
        name = f" ({self.licence_name})" if self.licence_name else ""
        return f"{', '.join(said)}{name}"


@dataclass(frozen=True)
class Reason:
    """Why a candidate was dropped: a stable code, and a sentence."""

    code: str
    text: str


@dataclass(frozen=True)
class Dropped:
    """A candidate that does not hold, with every reason. `entry` is None if it was never read."""

    id: str
    reasons: tuple[Reason, ...]
    entry: Entry | None = None


@dataclass(frozen=True)
class Citation:
    """BibTeX, and whether the card gives it or it was generated."""

    text: str
    source: Literal["card", "generated"]


@dataclass(frozen=True)
class Snippet:
    """Code that loads a candidate at its revision."""

    title: str
    language: str
    text: str


@dataclass(frozen=True)
class Candidate:
    """A repository that holds, with what is needed to use it."""

    entry: Entry
    warnings: tuple[str, ...]
    citation: Citation
    snippets: tuple[Snippet, ...]


@dataclass(frozen=True)
class Searched:
    """A query, and how many repositories the Hub named for it."""

    query: Query
    found: int


@dataclass(frozen=True)
class Outcome:
    """What the search came to; `error` where the Hub stopped answering."""

    plan: Plan
    searched: tuple[Searched, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    error: HubError | None = None


@dataclass(frozen=True)
class Verdict:
    """What the outcome means."""

    status: Status
    state: State
    sentence: str


@dataclass(eq=False)
class HubError(UserError):
    """The Hub cannot be asked: nothing can be said about any candidate."""

    state: State = "hub-failed"


@dataclass(eq=False)
class NotReadError(Exception):
    """One repository cannot be read; the Hub itself answers."""

    reason: Reason


@dataclass(frozen=True)
class Hit:
    """A repository that a search named."""

    id: str
    downloads: int = 0


class Hub(Protocol):
    """What is read of the Hub. Every method raises HubError where the Hub cannot be asked."""

    @property
    def endpoint(self) -> str:
        """Its address, without credentials."""
        ...

    def search(self, kind: Kind, query: Query, limit: int) -> tuple[Hit, ...]:
        """Return the names that a search gives, the most downloaded first."""
        ...

    def look_up(self, kind: Kind, name: str) -> Entry:
        """Return what the Hub says of one repository. Raises NotReadError."""
        ...

    def card(self, entry: Entry) -> str:
        """Return README.md at the entry's revision; empty where there is none."""
        ...


@dataclass(frozen=True)
class Conventions:
    """What the repository at hand already uses."""

    packages: frozenset[str] = field(default_factory=frozenset)
    hydra: bool = False
