"""What the fake GitHub remembers, and how each thing looks in a reply.

The `facts` methods give the fields that matter here; the description fills in the others.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

ALL_SCOPES = frozenset({"checks", "contents", "issues", "pull_requests", "statuses"})


@dataclass(frozen=True)
class Identity:
    """Whom a token speaks for, and what it may write (read it may everything)."""

    login: str = "github-actions[bot]"
    type: str = "Bot"
    writes: frozenset[str] = ALL_SCOPES

    def facts(self) -> dict[str, Any]:
        """Show the account as `user` of a comment."""
        return {"login": self.login, "id": stable_number(self.login), "type": self.type}


@dataclass(frozen=True)
class Fault:
    """A scripted failure of one or more of the next matching requests.

    `status` 0 drops the connection; `after` does the work first, so that only the reply is lost.
    """

    status: int = 502
    method: str = ""
    path: str = ""
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "Server Error"
    times: int = 1

    def matches(self, method: str, path: str) -> bool:
        """Whether a request meets this fault: same method, and the path holds ours."""
        return self.times > 0 and self.method in ("", method) and self.path in path

    @classmethod
    def lost_reply(cls, method: str = "POST", path: str = "/comments", status: int = 502) -> Fault:
        """Make the change and say it was not made (status 0: say nothing)."""
        return cls(status, method, path, after=True)

    @classmethod
    def throttled(cls, retry_after: int, status: int = 429, method: str = "") -> Fault:
        """Be the secondary rate limit, which says how long to wait."""
        message = "You have exceeded a secondary rate limit. Please wait before you try again."
        return cls(status, method, headers={"retry-after": str(retry_after)}, message=message)

    @classmethod
    def exhausted(cls, reset: int, method: str = "") -> Fault:
        """Be the primary rate limit, which says when it ends (seconds since 1970)."""
        headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
        message = "API rate limit exceeded for installation ID 1."
        return cls(403, method, headers=headers, message=message)


@dataclass(frozen=True)
class Comment:
    """A comment on an issue or pull request."""

    id: int
    number: int
    body: str
    author: Identity
    created_at: str
    updated_at: str
    minimized: str | None = None

    @property
    def node_id(self) -> str:
        """The id that GraphQL uses."""
        return f"IC_{self.id:012d}"

    def facts(self, repository: str) -> dict[str, Any]:
        """Show the comment as the API does; `repository` is the repository's address."""
        return {
            "id": self.id,
            "node_id": self.node_id,
            "body": self.body,
            "user": self.author.facts(),
            "url": f"{repository}/issues/comments/{self.id}",
            "html_url": f"{repository}/issues/{self.number}#issuecomment-{self.id}",
            "issue_url": f"{repository}/issues/{self.number}",
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "minimized": {"reason": self.minimized} if self.minimized else None,
        }


@dataclass(frozen=True)
class Issue:
    """An issue, or the issue side of a pull request."""

    number: int
    title: str
    body: str = ""
    author: Identity = field(default_factory=Identity)
    state: str = "open"
    labels: tuple[str, ...] = ()

    def issue_facts(self, repository: str) -> dict[str, Any]:
        """Show the issue as the API does."""
        return {
            "id": 1000 + self.number,
            "number": self.number,
            "title": self.title,
            "body": self.body,
            "user": self.author.facts(),
            "state": self.state,
            "labels": [{"name": name} for name in self.labels],
            "url": f"{repository}/issues/{self.number}",
            "html_url": f"{repository}/issues/{self.number}",
        }


@dataclass(frozen=True)
class Pull:
    """A pull request; a fork is a head repository with another name (None: the fork is gone)."""

    number: int
    head_sha: str
    base_sha: str = "b" * 40
    head_ref: str = "change"
    base_ref: str = "main"
    repository: str = "octo/digits"
    head_repository: str | None = "octo/digits"
    title: str = "A change"
    body: str = ""
    state: str = "open"
    draft: bool = False
    author: Identity = field(default_factory=lambda: Identity("alice", "User"))
    files: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def head_owner(self) -> str:
        """The account that the head branch belongs to."""
        return (self.head_repository or "ghost/gone").split("/")[0]

    def facts(self, repository: str) -> dict[str, Any]:
        """Show the pull request as the API does, in a list or alone."""
        return {
            "id": 1000 + self.number,
            "number": self.number,
            "title": self.title,
            "body": self.body,
            "state": self.state,
            "draft": self.draft,
            "user": self.author.facts(),
            "head": self._side(self.head_sha, self.head_ref, self.head_repository),
            "base": self._side(self.base_sha, self.base_ref, self.repository),
            "url": f"{repository}/pulls/{self.number}",
            "html_url": f"{repository}/pull/{self.number}",
        }

    def issue_facts(self, repository: str) -> dict[str, Any]:
        """Show the pull request as the API does among issues."""
        issue = Issue(
            self.number, self.title, self.body, self.author, self.state, self.labels
        ).issue_facts(repository)
        page = f"{repository}/pull/{self.number}"
        links = {"url": f"{repository}/pulls/{self.number}", "html_url": page}
        links |= {"diff_url": f"{page}.diff", "patch_url": f"{page}.patch"}
        return {**issue, "html_url": page, "pull_request": links}

    @staticmethod
    def _side(sha: str, ref: str, repository: str | None) -> dict[str, Any]:
        owner = (repository or "ghost/gone").split("/")[0]
        side = {"sha": sha, "ref": ref, "label": f"{owner}:{ref}", "user": {"login": owner}}
        return {**side, "repo": repository and repository_facts(repository)}


@dataclass(frozen=True)
class Run:
    """A workflow run, as a `workflow_run` workflow looks it up."""

    id: int
    head_sha: str
    head_branch: str = "change"
    head_repository: str = "octo/digits"
    event: str = "pull_request"
    status: str = "completed"
    conclusion: str | None = "success"
    name: str = "gate"
    artifacts: tuple[str, ...] = ()

    def facts(self, repository: str, name: str) -> dict[str, Any]:
        """Show the run as the API does; `name` is the repository's."""
        return {
            "id": self.id,
            "name": self.name,
            "head_sha": self.head_sha,
            "head_branch": self.head_branch,
            "event": self.event,
            "status": self.status,
            "conclusion": self.conclusion,
            "repository": repository_facts(name),
            "head_repository": repository_facts(self.head_repository),
            # GitHub leaves this empty for forks; nobody may rely on it.
            "pull_requests": [],
            "url": f"{repository}/actions/runs/{self.id}",
            "html_url": f"{repository}/actions/runs/{self.id}",
        }


@dataclass
class Store:
    """Everything of one repository; `files` maps (branch, path) to content."""

    repository: str = "octo/digits"
    default_branch: str = "main"
    comments: dict[int, Comment] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    permissions: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    checks: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, Any] = field(default_factory=dict)
    ticks: int = 0

    def now(self) -> str:
        """Return the time of the next change: a second after the last, whatever the clock says."""
        self.ticks += 1
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        return (start + dt.timedelta(seconds=self.ticks)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def has_thread(self, number: int) -> bool:
        """Whether an issue or pull request has this number."""
        return number in self.issues or number in self.pulls

    def next_number(self) -> int:
        """Issues and pull requests share one count."""
        return max([0, *self.issues, *self.pulls]) + 1

    def add_comment(self, number: int, body: str, author: Identity) -> Comment:
        """Add a comment, with an id above all others'."""
        identifier = max(self.comments, default=1_000_000) + 1
        now = self.now()
        comment = Comment(identifier, number, body, author, now, now)
        self.comments[identifier] = comment
        return comment

    def change_comment(self, identifier: int, **changes: Any) -> Comment:
        """Give a comment other content."""
        comment = replace(self.comments[identifier], **changes, updated_at=self.now())
        self.comments[identifier] = comment
        return comment

    def commit(self, branch: str, path: str, content: bytes) -> str:
        """Write a file on a branch; the branch's new commit."""
        self.files[branch, path] = content
        old = self.branches.get(branch, "")
        self.branches[branch] = blob_sha(old.encode() + path.encode() + content)
        return self.branches[branch]


def blob_sha(content: bytes) -> str:
    """Git's name for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def stable_number(name: str) -> int:
    """Return a number that is the same for the same name in every process."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)


def repository_facts(name: str) -> dict[str, Any]:
    """Show a repository as it stands inside other things."""
    owner, short = name.split("/")
    return {
        "id": stable_number(name),
        "name": short,
        "full_name": name,
        "owner": {"login": owner, "id": stable_number(owner)},
    }
