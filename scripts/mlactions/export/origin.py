"""Which commit a measured bundle may be about: what wrote it ran user code, the event did not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.export.exported import Exported
from mlactions.schema import load_json

MAX_EVENT_BYTES = 32 * 1024 * 1024

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def check_head(text: str) -> str:
    """Return the commit that a user names, which may be none."""
    if text and not _COMMIT.fullmatch(text):
        raise UserError("bad input", f"`head-sha` is {text!r}.", "Write the full commit hash.")
    return text


def hold_to_head(
    exported: Exported, head: str, environ: Mapping[str, str], *, file: str
) -> Exported:
    """Refuse a bundle of another commit than `head`.

    Without `head`, one that the run did not begin with is named in the notes: a workflow may well
    check something else out.
    """
    commit = exported.metadata.commit
    if head and commit != head:
        raise UserError(
            "another commit",
            f"it was measured at {commit[:12] or 'no commit'}, not at {head[:12]}.",
            "Measure the commit that is checked, and fetch the artifact of this run.",
            file=file,
        )
    known = _begun_with(environ)
    if head or not commit or not known or commit in known:
        return exported
    note = f"Measured at {commit[:12]}; this run began with {' or '.join(k[:12] for k in known)}."
    return replace(exported, notes=(*exported.notes, note))


def _begun_with(environ: Mapping[str, str]) -> list[str]:
    """Return the commits of the event: a pull request has its head, and a merge of it."""
    found = [_pull_head(environ.get("GITHUB_EVENT_PATH", "")), environ.get("GITHUB_SHA", "")]
    return [sha for sha in found if _COMMIT.fullmatch(sha)]


def _pull_head(path: str) -> str:
    if not path or not Path(path).is_file():
        return ""
    value: Any = load_json(Path(path), max_bytes=MAX_EVENT_BYTES)
    for name in ("pull_request", "head", "sha"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
