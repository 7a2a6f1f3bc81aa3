"""The code: the commit that the run was made from against the one that is checked out."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mlactions.compare.rules import Git
from mlactions.drift.model import Deployed, Row, Rules
from mlactions.evaluate.globs import selects
from mlactions.text import plural

COMMIT_TAG = "mlflow.source.git.commit"
MAX_FILES = 50
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def head_of(git: Git) -> str:
    """Return the commit that is checked out; empty outside of a repository."""
    return git("rev-parse", "--verify", "--quiet", "HEAD").stdout.decode().strip()


def root_of(git: Git) -> Path:
    """Return the repository's root, below which GitHub names files; else where we stand."""
    done = git("rev-parse", "--show-toplevel")
    return Path(os.fsdecode(done.stdout).strip()) if done.returncode == 0 else Path()


def code(deployed: Deployed, git: Git, rules: Rules) -> Row:
    """Return what changed in the code since the run, as far as it counts as code."""
    commit = deployed.run.tags.get(COMMIT_TAG, "").strip().lower()
    head = head_of(git)
    if not _COMMIT.fullmatch(commit):
        return _unknown(head, "", "the run logged no commit")
    if not head:
        return _unknown("", commit, "this folder is in no git repository")
    if git("cat-file", "-e", "--end-of-options", f"{commit}^{{commit}}").returncode:
        return _unknown(head, commit, "this clone does not have the run's commit: fetch-depth: 0")
    try:
        # Against the files as they lie here: what is not committed runs all the same.
        changed = _changed(git, rules, commit)
        uncommitted = _changed(git, rules, head)
    except ValueError:
        return _unknown(head, commit, "git cannot compare the two commits")
    if not changed:
        note = "" if commit == head else "no file that counts as code changed in between"
        return Row("code", "commit", "same", "none", head, commit, note=note)
    own = f" ({len(uncommitted):,} not committed)" if uncommitted else ""
    files = f"{plural(len(changed), 'file')} changed{own} since"
    return Row(
        "code", "commit", "drift", rules.code, head, commit, note=files, details=changed[:MAX_FILES]
    )


def _changed(git: Git, rules: Rules, commit: str) -> tuple[str, ...]:
    """Return the files that count as code and differ from a commit. Raises ValueError.

    A file that git does not know changes nothing before one that it knows uses it.
    """
    # `--relative` names files as the working directory does, and leaves out what is beside it.
    listed = git("diff", "--name-only", "--no-renames", "--relative", "-z", commit)
    if listed.returncode:
        raise ValueError(commit)
    names = [name for name in listed.stdout.decode(errors="replace").split("\0") if name]
    return tuple(name for name in names if selects(name, rules.code_paths))


def _unknown(head: str, commit: str, why: str) -> Row:
    return Row("code", "commit", "unknown", "notice", head, commit, note=why)
