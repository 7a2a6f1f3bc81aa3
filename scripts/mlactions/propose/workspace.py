"""The folder a task lives in: where each file is, and what `take` must know of `prepare`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mlactions.ask.workspace import Workspace
from mlactions.bundle import write_json
from mlactions.propose.model import WORD, Rules
from mlactions.propose.tree import WorkTree
from mlactions.publish import empty_folder
from mlactions.schema import load_json

_NAMES = frozenset(
    {"prompt.md", "answer.schema.json", "answer.json", "facts", "home", "context.json"}
) | {"bundle", "tree", "git", "codex.log"}


@dataclass(frozen=True)
class Place(Workspace):
    """Names below one folder. Codex writes in `tree`, and nowhere else."""

    @property
    def tree(self) -> WorkTree:
        """The throw-away work tree, Codex's working directory."""
        return WorkTree(self.folder / "tree", self.folder / "git")


@dataclass(frozen=True)
class Context:
    """What `take` must know. `reason` says why Codex is not called, empty if it is.

    `commit` is what the work tree began as, `base` the branch that the patch is meant for,
    `config` the hash of Codex's config as we wrote it.
    """

    reason: str
    detail: str
    task: str
    slug: str
    commit: str
    base: str
    prompt: str
    actor: str
    declined: bool
    sessions: tuple[str, ...]
    config: str
    rules: Rules


def make_room(place: Place) -> None:
    """Remove an earlier task; raises UserError for a folder of anybody else's."""
    empty_folder(place.folder, WORD, _NAMES, mark=place.context.name, keep={"home"})
    write_json(place.context, {"word": WORD})


def write_context(place: Place, context: Context) -> None:
    """Leave the context for `take`."""
    write_json(place.context, {"word": WORD, **asdict(context)})


def read_context(place: Place) -> Context | None:
    """Return the context, or None if `prepare` did not finish."""
    document: Any = load_json(place.context) if place.context.is_file() else None
    if not isinstance(document, dict) or "rules" not in document:
        return None
    rules: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in document.pop("rules").items()
    }
    document.pop("word")
    sessions = tuple(document.pop("sessions"))
    return Context(**document, sessions=sessions, rules=Rules(**rules))
