"""The commit of this library that workflows are pinned to."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from mlactions import __version__
from mlactions.errors import UserError
from mlactions.evaluate.git import Git

_SHA = re.compile(r"[0-9a-f]{40}")


def choose_pin(given: str) -> tuple[str, str]:
    """Return commit and version: as given, else our own; both empty where it is not known.

    The version is only told of our own commit: of another one nobody here knows it.
    """
    own = own_commit()
    if not given:
        return own, f"v{__version__}" if own else ""
    if not _SHA.fullmatch(given):
        hint = "Give the 40 digits of a commit: a tag or a branch can be moved."
        raise UserError("bad input", f"--pin is {given!r}.", hint)
    return given, f"v{__version__}" if given == own else ""


def own_commit() -> str:
    """Return the commit that this library was installed from; empty where nothing says it."""
    try:
        text = metadata.distribution("codex-ml-actions").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return _checked_out()
    return commit_of(text) or _checked_out()


def commit_of(text: str | None) -> str:
    """Return the commit in a direct_url.json (PEP 610); empty for other origins."""
    try:
        document: Any = json.loads(text or "null")
        found = str(document["vcs_info"]["commit_id"])
    except (ValueError, KeyError, TypeError):
        return ""
    return found if _SHA.fullmatch(found) else ""


def _checked_out() -> str:
    """Return the commit of our own checkout, where we run from one."""
    root = Path(__file__).resolve().parents[3]
    git = Git.find(root) if (root / "action.yml").is_file() else None
    return (git.head() or "") if git and git.root.resolve() == root else ""
