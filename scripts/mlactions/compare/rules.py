"""Which rules count: those on disk, or on a pull request those of the base commit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mlactions.compare.baseline import parse_baseline
from mlactions.compare.model import Baseline, Finding
from mlactions.compare.renames import did_you_mean
from mlactions.errors import UserError
from mlactions.schema import MAX_BYTES, read_text

MAX_DIFF_LINES = 400
_BLOB = re.compile(r"(?P<id>[0-9a-f]{40,64}) blob (?P<size>[0-9]+)")

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

    @property
    def shown(self) -> Baseline:
        """The file as it lies in the work tree: what annotations point into."""
        if self.head_error:
            return Baseline(self.baseline.name, "")
        return self.head or self.baseline


def git_in(folder: Path) -> Git:
    """Return a function that runs git in a folder, also one that another user owns."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[bytes]:
        command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", *arguments]
        environ = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
        try:
            return subprocess.run(
                command,
                cwd=folder,
                env=environ,
                input=os.fsencode(stdin),
                capture_output=True,
                check=False,
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
        if not path.exists():
            found = above(path, folder, git)
            raise no_baseline(name, found)
        return Rules(parse_baseline(read_text(path), name=name), "file")
    commit = commit_of(base_ref, git)
    below = Path(os.path.relpath(path, folder)).as_posix()
    text = text_at(f"{commit}:./{below}", name, git)
    if text is None and not bootstrap:
        raise AbsentAtBaseError(name, commit, above(path, folder, git, commit))
    if text is None:
        return Rules(parse_baseline(existing(path, name), name=name), "head", commit)
    rules = Rules(parse_baseline(text, name=name), "base", commit)
    if _leads_out(path, git):
        # What a pull request lets it lead to is nobody's to read, and a report would show it.
        why = f"{name} is a link that leads out of the repository."
        return replace(rules, head_error=why, diff=why)
    return _beside(rules, text, path, name)


def existing(path: Path, name: str) -> str:
    """Return the text of a baseline; where there is none, say how to begin one."""
    if not path.exists():
        raise no_baseline(name)
    return read_text(path)


def no_baseline(name: str, found: str = "") -> UserError:
    """Return the error for a baseline that is not there, and where it was `found` instead."""
    hint = found or f"`compare update --baseline {name} --metrics PATH` begins one."
    return UserError("file not found", "there is no baseline.", hint, name)


def above(path: Path, folder: Path, git: Git, commit: str = "") -> str:
    """Say that the file lies at the repository's root instead, on disk or in a commit; or ""."""
    try:
        up = os.fsdecode(git("rev-parse", "--show-cdup").stdout).strip()
        below = Path(os.path.relpath(path, folder)).as_posix()
        known = commit and not git("cat-file", "-e", f"{commit}:{below}").returncode
    except UserError:
        return ""
    if not up or not (known or (not commit and (folder / up / below).is_file())):
        return ""
    root = Path(os.path.normpath(folder / up)).as_posix()
    return (
        f"It lies at the repository's root: give `--working-directory {root}`, or run this there."
    )


class AbsentAtBaseError(Exception):
    """The base commit has no baseline file."""

    def __init__(self, name: str, commit: str, found: str = "") -> None:
        super().__init__(name)
        self.name, self.commit, self.found = name, commit, found

    def finding(self) -> Finding:
        """Return what the verdict says of it."""
        advice = self.found or (
            "Merge one first (`compare update` writes it), or set `bootstrap: head` to judge this"
            " change by its own."
        )
        return Finding(
            "baseline-absent-at-base",
            "fail",
            f"`{self.name}` does not exist at the base commit {self.commit[:12]}. {advice}",
        )


def commit_of(base_ref: str, git: Git) -> str:
    """Return the full name of the commit that a reference stands for."""
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base_ref}^{{commit}}")
    if found.returncode and git("rev-parse", "--git-dir").returncode:
        raise UserError(
            "no git repository",
            f"`base-ref` is {base_ref!r}, and this folder is in no git repository.",
            "Check the repository out first, or leave `base-ref` out to use the file on disk.",
        )
    if found.returncode:
        raise UserError(
            "base commit not found",
            f"`base-ref` is {base_ref!r}, and there is no such commit in this clone.",
            _close_ref(base_ref, git)
            or "Check out with `fetch-depth: 0`, or fetch the base first.",
        )
    return found.stdout.decode().strip()


def _close_ref(name: str, git: Git) -> str:
    listed = git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes")
    return did_you_mean(name, listed.stdout.decode(errors="replace").split()).strip()


def text_at(place: str, name: str, git: Git, *, what: str = "baseline") -> str | None:
    """Return the file at a place (`<commit>:./<path>`), None if the commit does not have it.

    A link is followed as far as it stays in the repository; git bounds how many.
    """
    found = git("cat-file", "--batch-check", "--follow-symlinks", stdin=f"{place}\n")
    first, _, rest = found.stdout.decode(errors="replace").partition("\n")
    if first.startswith(("symlink ", "loop ")):
        where = "in a circle" if first.startswith("loop ") else f"to {rest.strip()[:200]!r}"
        message = f"it is a link that leads {where}."
        hint = "Commit the file itself, or a link to a file of the repository."
        raise UserError(f"cannot read the base's {what}", message, hint, name)
    blob = _BLOB.fullmatch(first)
    if blob is None:
        return None
    if int(blob["size"]) > MAX_BYTES:
        why = f"more than {MAX_BYTES:,} bytes."
        raise UserError(f"cannot read the base's {what}", why, file=name)
    content = git("cat-file", "blob", blob["id"])
    if content.returncode:
        why = f"{content.stderr.decode(errors='replace').strip()}."
        raise UserError(f"cannot read the base's {what}", why, file=name)
    try:
        return content.stdout.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8."
        raise UserError("not text", message, file=name) from None


def _leads_out(path: Path, git: Git) -> bool:
    """Tell whether the file in the work tree is a link to somewhere else on the machine."""
    top = Path(os.fsdecode(git("rev-parse", "--show-toplevel").stdout.rstrip(b"\n")))
    return path.exists() and not path.resolve().is_relative_to(top.resolve())


def _beside(rules: Rules, base_text: str, path: Path, name: str) -> Rules:
    """Add the head's version, if it is another one. It is read to be shown, so it may be broken."""
    try:
        head_text = read_text(path)
    except UserError as error:
        return Rules(rules.baseline, "base", rules.ref, None, str(error), str(error))
    if _unified(head_text) == _unified(base_text):
        return rules
    shown = diff(base_text, head_text, (f"base/{name}", f"head/{name}"))
    try:
        head = parse_baseline(head_text, name=name)
    except UserError as error:
        return Rules(rules.baseline, "base", rules.ref, None, str(error), shown)
    return Rules(rules.baseline, "base", rules.ref, head, "", shown)


def _unified(text: str) -> str:
    """Return text without the line ends that a checkout may have changed."""
    return text.replace("\r\n", "\n")


def diff(before: str, after: str, names: tuple[str, str]) -> str:
    """Return what changed between two named texts; at most MAX_DIFF_LINES of it."""
    import difflib  # only where a pull request edits the baseline

    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))
    more = len(lines) - MAX_DIFF_LINES
    shown = "\n".join(line[:300] for line in lines[:MAX_DIFF_LINES])
    return f"{shown}\n… {more:,} more lines" if more > 0 else shown
