"""Which rules count: those on disk, or on a pull request those of the base commit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlactions.compare.baseline import parse_baseline
from mlactions.compare.model import Baseline, Finding
from mlactions.errors import UserError
from mlactions.schema import MAX_BYTES, read_text

MAX_DIFF_LINES = 400

Git = Callable[..., "subprocess.CompletedProcess[bytes]"]


@dataclass(frozen=True)
class Rules:
    """The rules that count, and the head's where those differ."""

    baseline: Baseline
    origin: Literal["file", "base", "head"]
    ref: str = ""
    head: Baseline | None = None
    head_error: str = ""
    diff: str = ""


def git_in(folder: Path) -> Git:
    """Return a function that runs git in a folder, also one that another user owns."""

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", *arguments]
        environ = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
        try:
            return subprocess.run(
                command, cwd=folder, env=environ, capture_output=True, check=False
            )
        except OSError as error:
            message = f"{error.strerror}: {error.filename}."
            raise UserError("cannot run git", message, "`--base-ref` needs git.") from None

    return run


def read_rules(
    path: Path, *, folder: Path, name: str, base_ref: str, bootstrap: bool, git: Git
) -> Rules:
    """Read the rules from disk, or from `base_ref` if one is given.

    `git` runs in `folder`, which exists also where the file's own folder does not.
    Raises UserError for rules that cannot be used, and AbsentAtBaseError if the base has none and
    `bootstrap` does not allow the head's own.
    """
    if not base_ref:
        return Rules(parse_baseline(existing(path, name), name=name), "file")
    commit = _commit(base_ref, git)
    place = f"{commit}:./{Path(os.path.relpath(path, folder)).as_posix()}"
    text = _show(place, name, git)
    if text is None and not bootstrap:
        raise AbsentAtBaseError(name, commit)
    if text is None:
        return Rules(parse_baseline(existing(path, name), name=name), "head", commit)
    baseline = parse_baseline(text, name=name)
    return _beside(Rules(baseline, "base", commit), text, path, name)


def existing(path: Path, name: str) -> str:
    """Return the text of a baseline; where there is none, say how to begin one."""
    if not path.exists():
        hint = f"`compare update --baseline {name} --metrics PATH` begins one."
        raise UserError("file not found", "there is no baseline.", hint, name)
    return read_text(path)


class AbsentAtBaseError(Exception):
    """The base commit has no baseline file."""

    def __init__(self, name: str, commit: str) -> None:
        super().__init__(name)
        self.name, self.commit = name, commit

    def finding(self) -> Finding:
        """Return what the verdict says of it."""
        return Finding(
            "baseline-absent-at-base",
            "fail",
            f"`{self.name}` does not exist at the base commit {self.commit[:12]}. Merge one first"
            " (`compare update` writes it), or set `bootstrap: head` to judge this change by its"
            " own.",
        )


def _commit(base_ref: str, git: Git) -> str:
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base_ref}^{{commit}}")
    if found.returncode:
        raise UserError(
            "base commit not found",
            f"`base-ref` is {base_ref!r}, which this clone does not have.",
            "Check out with `fetch-depth: 0`, or fetch the base first.",
        )
    return found.stdout.decode().strip()


def _show(place: str, name: str, git: Git) -> str | None:
    """Return a file of a commit, None if the commit does not have it."""
    if git("cat-file", "-e", place).returncode:
        return None
    content = git("cat-file", "blob", place)
    if content.returncode or len(content.stdout) > MAX_BYTES:
        why = content.stderr.decode(errors="replace").strip() or f"more than {MAX_BYTES:,} bytes"
        raise UserError("cannot read the base's baseline", f"{why}.", file=name)
    try:
        return content.stdout.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8."
        raise UserError("not text", message, file=name) from None


def _beside(rules: Rules, base_text: str, path: Path, name: str) -> Rules:
    """Add the head's version, if it is another one. It is read to be shown, so it may be broken."""
    try:
        head_text = read_text(path)
    except UserError as error:
        return Rules(rules.baseline, "base", rules.ref, None, str(error), str(error))
    if head_text == base_text:
        return rules
    shown = diff(base_text, head_text, (f"base/{name}", f"head/{name}"))
    try:
        head = parse_baseline(head_text, name=name)
    except UserError as error:
        return Rules(rules.baseline, "base", rules.ref, None, str(error), shown)
    return Rules(rules.baseline, "base", rules.ref, head, "", shown)


def diff(before: str, after: str, names: tuple[str, str]) -> str:
    """Return what changed between two named texts; at most MAX_DIFF_LINES of it."""
    import difflib  # only where a pull request edits the baseline

    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))
    more = len(lines) - MAX_DIFF_LINES
    shown = "\n".join(line[:300] for line in lines[:MAX_DIFF_LINES])
    return f"{shown}\n… {more:,} more lines" if more > 0 else shown
