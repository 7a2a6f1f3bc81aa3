"""The GitHub side of a golden case: what stands there before, and what after.

`github.json` beside a case's `command` holds `event_name` and `event`, as a runner gives them, and
`pulls` and `comments`, as `FakeGitHub.load` reads them. `from` lists what the case takes from
others, as `PATH TARGET`: the expectation of one word is the input of the next.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlactions.bundle import seal
from tests.fakes.github import FakeGitHub
from tests.fakes.github_state import Comment

SHOWN_URL = "https://api.github.example"
REPORT = "temp/mlactions/comment/report.md"


def borrow(case: Path, cases: Path, folder: Path) -> None:
    """Copy what a case takes from others, and seal what is a bundle there."""
    listed = case / "from"
    for line in listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else ():
        source, target = (cases / line.split()[0], folder / line.split()[1])
        if source.is_dir():
            shutil.copytree(source, target)
            seal(target, json.loads((target / "result.json").read_text(encoding="utf-8"))["word"])
        else:
            shutil.copy(source, target)


@contextmanager
def github(case: Path, folder: Path) -> Iterator[FakeGitHub | None]:
    """Serve the GitHub that a case describes, if it does."""
    described = case / "github.json"
    if not described.is_file():
        yield None
        return
    state = json.loads(described.read_text(encoding="utf-8"))
    with FakeGitHub() as hub:
        hub.load(state)
        (folder / "event.json").write_text(json.dumps(state["event"]), encoding="utf-8")
        yield hub


def variables(case: Path, folder: Path, hub: FakeGitHub | None) -> dict[str, str]:
    """Return what a runner sets besides, for a job that talks to GitHub."""
    if hub is None:
        return {}
    state = json.loads((case / "github.json").read_text(encoding="utf-8"))
    return {
        "GITHUB_API_URL": hub.url,
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": hub.store.repository,
        "GITHUB_RUN_ID": "99",
        "GITHUB_SHA": "e" * 40,
        "GITHUB_EVENT_NAME": state["event_name"],
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }


def left_behind(hub: FakeGitHub | None, written: Mapping[str, str]) -> dict[str, str]:
    """Return what was written and the comments, with an address that stays the same."""
    if hub is None:
        return dict(written)
    comments = sorted(hub.store.comments.values(), key=lambda comment: comment.id)
    posted = {
        "comments.md": "\n".join(_shown(comment, written.get(REPORT, "")) for comment in comments)
    }
    return {path: text.replace(hub.url, SHOWN_URL) for path, text in {**written, **posted}.items()}


def _shown(comment: Comment, report: str) -> str:
    hidden = f", hidden as {comment.minimized}" if comment.minimized else ""
    head = f"=== {comment.id} by {comment.author.login}, pull request {comment.number}{hidden}"
    same = comment.body.strip() == report.strip()
    return f"{head}\n{'(report.md)' if same else comment.body.rstrip()}\n"
