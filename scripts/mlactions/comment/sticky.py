"""One post per key, found again among all posts and updated in place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mlactions.github import GitHub, GitHubError
from mlactions.github_data import Post
from mlactions.markdown import link

LABEL = "mlactions"

_GONE = 404


class Outcome(StrEnum):
    """What became of the post."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept-newer"
    CLOSED = "closed"
    NOT_POSTED = "not-posted"


@dataclass(frozen=True)
class Identity:
    """How our own posts are told from others: whose they are, and how they begin."""

    login: str
    key: str

    @property
    def mark(self) -> str:
        """The invisible start of the post."""
        return f"<!-- mlactions:{self.key}:v1 -->"

    @property
    def folded_mark(self) -> str:
        """The start of a post that gave way; it is never found again."""
        return f"<!-- mlactions:{self.key}:v1:superseded -->"

    def owns(self, post: Post) -> bool:
        """Say whether a post is ours: a person's is never, whatever it begins with."""
        return self.is_author(post) and post.body.startswith(self.mark)

    def is_author(self, post: Post) -> bool:
        """Say whether the account is the expected bot; an App's login may lack its `[bot]`."""
        expected = self.login.removesuffix("[bot]").lower()
        return post.account == "Bot" and post.login.lower().removesuffix("[bot]") == expected


class Place(Protocol):
    """Where posts stand: below a pull request, or among a repository's issues."""

    def posts(self) -> Sequence[Post]:
        """Return all posts of everybody."""

    def create(self, body: str, find: Callable[[], Post | None]) -> Post:
        """Add a post; `find` looks for it before a lost request is repeated."""

    def update(self, post: Post, body: str) -> Post:
        """Replace a post's text."""

    def fold(self, post: Post, body: str) -> None:
        """Replace the text of a post that another one stands for, and hide it where possible."""


@dataclass(frozen=True)
class PullRequest:
    """The comments of one pull request."""

    hub: GitHub
    number: int

    def posts(self) -> Sequence[Post]:
        """Return all comments."""
        return self.hub.list_comments(self.number)

    def create(self, body: str, find: Callable[[], Post | None]) -> Post:
        """Add a comment."""
        return self.hub.create_comment(self.number, body, find)

    def update(self, post: Post, body: str) -> Post:
        """Edit a comment."""
        return self.hub.update_comment(post, body)

    def fold(self, post: Post, body: str) -> None:
        """Edit a comment and minimise it; where GitHub will not, the edit says enough."""
        self.hub.minimize_comment(self.hub.update_comment(post, body))


@dataclass(frozen=True)
class Issues:
    """The open issues with our label; a new one gets the title."""

    hub: GitHub
    title: str

    def posts(self) -> Sequence[Post]:
        """Return all open issues with our label."""
        return self.hub.list_issues(LABEL)

    def create(self, body: str, find: Callable[[], Post | None]) -> Post:
        """Open an issue."""
        return self.hub.create_issue(self.title, body, LABEL, find)

    def update(self, post: Post, body: str) -> Post:
        """Edit an issue."""
        return self.hub.update_issue(post, body)

    def fold(self, post: Post, body: str) -> None:
        """Close an issue."""
        self.hub.update_issue(post, body, state="closed")


def own(posts: Sequence[Post], identity: Identity) -> list[Post]:
    """Return our posts, the oldest first: that one is kept."""
    return sorted((post for post in posts if identity.owns(post)), key=lambda post: post.id)


def write(
    place: Place, identity: Identity, mine: Sequence[Post], body: str
) -> tuple[Outcome, Post]:
    """Make one post say `body`: create it, edit the oldest of ours, or leave it as it is."""

    def created() -> Post | None:
        return next(iter(own(place.posts(), identity)), None)

    if not mine:
        post = place.create(body, created)
        # Found after a lost answer, it may be another run's that was faster.
        return Outcome.CREATED, post if _same(post.body, body) else place.update(post, body)
    outcome, post = Outcome.UNCHANGED, mine[0]
    if not _same(post.body, body):
        try:
            outcome, post = Outcome.UPDATED, place.update(post, body)
        except GitHubError as error:
            if error.status != _GONE:
                raise
            # Deleted since it was listed.
            left = [other for other in own(place.posts(), identity) if other.id != post.id]
            return write(place, identity, left, body)
    # The verdict stands; a duplicate that cannot be folded now is found again by the next run.
    with contextlib.suppress(GitHubError):
        for other in mine[1:]:
            place.fold(other, _gave_way(identity, post))
    return outcome, post


def _same(first: str, second: str) -> bool:
    return first.replace("\r\n", "\n").strip() == second.strip()


def _gave_way(identity: Identity, winner: Post) -> str:
    return f"{identity.folded_mark}\nSuperseded by {link('this one', winner.url)}.\n"
