"""What the user chose on the command line, and the sweep's name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlactions.errors import UserError
from mlactions.schema import read_text
from mlactions.sweep.model import Space
from mlactions.sweep.space import parse_space
from mlactions.sweep.user.sweep_trials import own_paths

_NO_SPACE = (
    "Name it with `--space`, or write it; this is a whole one:"
    " {program: train.py, parameters: {training.max_lr: {values: [0.001, 0.002]}}}."
    " Its other keys are in actions/sweep/README.md."
)
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True)
class Settings:
    """The command line, read and checked."""

    space: Path
    folder: Path
    config_dir: str
    config_name: str
    backends: tuple[str, ...] = ("shell",)
    name: str = ""
    command: str = ""
    python: str = "python"
    imports: tuple[str, ...] = ()
    compose: str = "choices"
    files: bool = True
    replace: bool = False
    tracking_uri: str = ""
    experiment: str = ""
    data: str = ""
    across_commits: bool = False
    max_jobs: int = 256
    now_ms: float = 0
    key: str = "sweep"

    def place(self, sweep: str) -> str:
        """Return a sweep's folder relative to the project's, as reports and manifests name it."""
        return f"{Path(self.config_dir).as_posix()}/sweeps/{sweep}"

    @property
    def space_name(self) -> str:
        """The search space's path relative to the project's folder, where it lies in it."""
        try:
            return self.space.relative_to(self.folder).as_posix()
        except ValueError:
            return self.space.as_posix()

    @property
    def own(self) -> tuple[str, ...]:
        """What is the sweep's own and no code, relative to the project's folder."""
        return own_paths(str(self.folder), self.place(""), self.space_name)

    @property
    def configs(self) -> Path:
        """The folder of the config tree."""
        return self.folder / self.config_dir


def read_space(settings: Settings) -> Space:
    """Read the search space's file."""
    file = settings.space.as_posix()
    if not settings.space.exists():
        raise UserError("no search space", "there is no such file.", _NO_SPACE, file)
    return parse_space(read_text(settings.space), file=file)


def sweep_name(given: str, space: Space) -> str:
    """Return the sweep's name: as given, the file's `name`, or the file's own name.

    It becomes a config group of Hydra's, so other characters become dashes.
    """
    if given and not _NAME.fullmatch(given):
        hint = "Use letters, digits, dashes and underscores; begin with a letter."
        raise UserError("bad input", f"`name` is {given!r}.", hint)
    text = given or space.name or Path(space.file).stem
    slug = _NOT_IN_NAME.sub("-", text).strip("-_")[:100]
    if not slug:
        raise UserError("bad input", f"the name {text!r} has no letters.", "Write `name: lr`.")
    return slug if slug[0].isalpha() else f"s{slug}"[:100]
