"""Commits, branches and draft pull requests through GitHub: no clone, no push, no hook."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlactions.github import GitHub, GitHubError
from mlactions.github_data import Draft, TreeEntry, read_draft

_NOT_FOUND, _EMPTY = 404, 409


@dataclass(frozen=True)
class Commit:
    """A commit: its tree, and what it says."""

    sha: str
    tree: str
    message: str


@dataclass(frozen=True)
class GitData:
    """The git objects of one repository. They are named by content: storing twice is safe."""

    hub: GitHub

    def branch(self, name: str) -> str | None:
        """Return the commit of a branch, None where there is no such branch."""
        try:
            return self.hub.ask("git.get_ref", _sha_of_ref, ref=f"heads/{name}")
        except GitHubError as error:
            if error.status in {_NOT_FOUND, _EMPTY}:
                return None
            raise

    def commit(self, sha: str) -> Commit:
        """Return a commit."""
        return self.hub.ask("git.get_commit", _commit, commit_sha=sha)

    def files(self, tree: str) -> Mapping[str, TreeEntry] | None:
        """Return all files of a tree by path; None where there are more than GitHub lists."""
        return self.hub.ask("git.get_tree", _files, tree_sha=tree, recursive="1")

    def blob(self, data: bytes) -> str:
        """Store a file's content; return its name."""
        content = base64.b64encode(data).decode()
        return self.hub.ask("git.create_blob", _sha, content=content, encoding="base64")

    def tree(self, base: str, entries: Sequence[TreeEntry]) -> str:
        """Store a tree that differs from `base` in some files; one without a blob is removed."""
        listed = [
            {"path": e.path, "mode": e.mode, "type": "blob", "sha": e.blob or None} for e in entries
        ]
        return self.hub.ask("git.create_tree", _sha, base_tree=base, tree=listed)

    def create_commit(self, message: str, tree: str, parent: str) -> str:
        """Store a commit by the account that the token speaks for; return its name."""
        return self.hub.ask("git.create_commit", _sha, message=message, tree=tree, parents=[parent])

    def create_branch(self, name: str, sha: str) -> None:
        """Let a new branch begin, once."""
        self.hub.ask(
            "git.create_ref",
            _sha_of_ref,
            lambda: self.branch(name),
            ref=f"refs/heads/{name}",
            sha=sha,
        )

    def move_branch(self, name: str, sha: str) -> None:
        """Let a branch of ours begin anew at another commit."""
        self.hub.ask("git.update_ref", _sha_of_ref, ref=f"heads/{name}", sha=sha, force=True)

    def drafts(self, branch: str) -> tuple[Draft, ...]:
        """Return the open pull requests whose head is this branch of this very repository."""
        owner = self.hub.connection.repository.partition("/")[0]
        listed = map(
            read_draft, self.hub.pages("pulls.list", head=f"{owner}:{branch}", state="open")
        )
        # GitHub ignores a `head` it cannot read and lists everything.
        own = self.hub.connection.repository.lower()
        return tuple(d for d in listed if (d.branch, d.repository.lower()) == (branch, own))

    def open_draft(self, branch: str, base: str, title: str, body: str) -> Draft:
        """Open a draft pull request, once."""
        find: Callable[[], Draft | None] = lambda: next(iter(self.drafts(branch)), None)  # noqa: E731
        text: dict[str, Any] = {"title": title, "body": body}
        return self.hub.ask(
            "pulls.create", read_draft, find, head=branch, base=base, draft=True, **text
        )

    def edit_draft(self, draft: Draft, title: str, body: str) -> Draft:
        """Replace the title and the text of a pull request."""
        number = draft.number
        return self.hub.ask("pulls.update", read_draft, pull_number=number, title=title, body=body)


def _sha(item: Mapping[str, Any]) -> str:
    return str(item["sha"])


def _sha_of_ref(item: Mapping[str, Any]) -> str:
    return str(item["object"]["sha"])


def _commit(item: Mapping[str, Any]) -> Commit:
    return Commit(item["sha"], item["tree"]["sha"], item["message"])


def _files(item: Mapping[str, Any]) -> Mapping[str, TreeEntry] | None:
    if item.get("truncated"):
        return None
    found = (TreeEntry(e["path"], e["mode"], e["sha"]) for e in item["tree"] if e["type"] != "tree")
    return {entry.path: entry for entry in found}
