"""Which pull request a result belongs to, from the event that started the workflow.

Never from the result: a fork's artifact could name any pull request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.github import GitHub
from mlactions.schema import load_json
from mlactions.settings import Status

MAX_EVENT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Head:
    """The commit an event is about, by the names GitHub knows it under; empty if unknown."""

    sha: str = ""
    branch: str = ""
    owner: str = ""
    repository: str = ""


@dataclass(frozen=True)
class Event:
    """What started the workflow; `run` is the other run that a `workflow_run` follows."""

    name: str = ""
    number: int | None = None
    head: Head = Head()
    run: int | None = None
    run_event: str = ""

    @property
    def follows_a_run(self) -> bool:
        """True for `workflow_run`: what it hands on was made elsewhere and is unverified."""
        return self.name == "workflow_run"


@dataclass(frozen=True)
class Target:
    """The pull request to comment on, and the commit the event knows it by."""

    number: int
    sha: str = ""


class NoTargetError(Exception):
    """There is nothing to comment on, which is no mistake: the sentence says why."""

    def __init__(self, why: str, status: Status = Status.SKIPPED) -> None:
        super().__init__(why)
        self.status = status


def read_event(environ: Mapping[str, str]) -> Event:
    """Read the event file of the runner; outside of one there is none."""
    name, path = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_EVENT_PATH", "")
    if not path or not Path(path).is_file():
        return Event(name)
    payload = load_json(Path(path), max_bytes=MAX_EVENT_BYTES)
    return parse_event(name, payload if isinstance(payload, Mapping) else {})


def parse_event(name: str, payload: Mapping[str, Any]) -> Event:
    """Take from a payload what we need; everything in it may be missing."""
    run = _mapping(payload, "workflow_run")
    if name == "workflow_run":
        repository = _mapping(run, "head_repository")
        head = Head(
            sha=_text(run, "head_sha"),
            branch=_text(run, "head_branch"),
            owner=_text(_mapping(repository, "owner"), "login"),
            repository=_text(repository, "full_name"),
        )
        return Event(name, None, head, _number(run, "id"), _text(run, "event"))
    pull = _mapping(payload, "pull_request")
    head_part = _mapping(pull, "head")
    head = Head(
        sha=_text(head_part, "sha"),
        branch=_text(head_part, "ref"),
        owner=_text(_mapping(head_part, "user"), "login"),
        repository=_text(_mapping(head_part, "repo"), "full_name"),
    )
    issue = _mapping(payload, "issue")
    number = _number(pull, "number")
    if number is None and "pull_request" in issue:
        number = _number(issue, "number")
    return Event(name, number, head)


def find_target(event: Event, given: int | None, hub: GitHub) -> Target:
    """Return the pull request; raises NoTargetError where there is none to comment on.

    A `workflow_run` names no pull request of a fork: it is looked up by head owner, branch and
    commit, and only a single one with all three will do.
    """
    if event.follows_a_run:
        return _look_up(event, given, hub)
    number = given or event.number
    if number is None:
        raise NoTargetError(f"the event `{event.name or 'none'}` belongs to no pull request")
    return Target(number, event.head.sha if number == event.number else "")


def _look_up(event: Event, given: int | None, hub: GitHub) -> Target:
    head = event.head
    if event.run_event != "pull_request":
        raise NoTargetError(f"the run was started by `{event.run_event}`, not by a pull request")
    if not (head.owner and head.branch and head.sha):
        raise NoTargetError("the run's head repository or branch is gone")
    found = hub.find_pulls(head.owner, head.branch, head.sha)
    where = f"{head.owner}:{head.branch} at {head.sha[:7]}"
    if not found:
        raise NoTargetError(f"no open pull request is at {where} any more")
    if len(found) > 1:
        numbers = ", ".join(str(pull.number) for pull in found)
        why = f"{len(found)} pull requests are at {where} ({numbers})"
        raise NoTargetError(why, Status.REFUSED)
    if given is not None and given != found[0].number:
        raise UserError(
            "bad input",
            f"`pull-request` is {given}, but the run belongs to {found[0].number}.",
            "Leave `pull-request` empty in a `workflow_run`.",
        )
    return Target(found[0].number, head.sha)


def _mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(parent: Mapping[str, Any], name: str) -> str:
    value = parent.get(name)
    return value if isinstance(value, str) else ""


def _number(parent: Mapping[str, Any], name: str) -> int | None:
    value = parent.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
