"""What GitHub says about comments, issues and pull requests, as far as we use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Post:
    """Text under somebody's name: a comment, or an issue (then `id` is its number)."""

    id: int
    node_id: str
    body: str
    login: str
    account: str
    url: str


@dataclass(frozen=True)
class Pull:
    """A pull request. The names of its head are empty when the fork was deleted."""

    number: int
    head_sha: str
    head_branch: str
    head_owner: str
    head_repository: str


@dataclass(frozen=True)
class Draft:
    """A pull request that we write: its number and page, its text, where its branch is."""

    number: int
    url: str
    body: str
    branch: str
    repository: str


@dataclass(frozen=True)
class TreeEntry:
    """A file of a tree on GitHub: its path, octal mode and blob; without a blob it is removed."""

    path: str
    mode: str
    blob: str


def read_comment(item: Mapping[str, Any]) -> Post:
    """Read a comment."""
    return _post(item, item["id"])


def read_issue(item: Mapping[str, Any]) -> Post:
    """Read an issue."""
    return _post(item, item["number"])


def read_pull(item: Mapping[str, Any]) -> Pull:
    """Read a pull request."""
    head = item["head"]
    return Pull(
        number=item["number"],
        head_sha=head["sha"],
        head_branch=head["ref"],
        head_owner=(head["user"] or {}).get("login", ""),
        head_repository=(head["repo"] or {}).get("full_name", ""),
    )


def read_draft(item: Mapping[str, Any]) -> Draft:
    """Read a pull request that may be ours."""
    head = item["head"]
    return Draft(
        number=item["number"],
        url=item["html_url"],
        body=item["body"] or "",
        branch=head["ref"],
        repository=(head["repo"] or {}).get("full_name", ""),
    )


def _post(item: Mapping[str, Any], identifier: int) -> Post:
    user = item["user"] or {}
    return Post(
        id=identifier,
        node_id=item["node_id"],
        body=item["body"] or "",
        login=user.get("login", ""),
        account=user.get("type", ""),
        url=item["html_url"],
    )
