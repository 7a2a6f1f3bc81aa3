"""From material to a post: find the place, check what is there, write once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlactions.comment.body import Frame, commit_of, compose
from mlactions.comment.event import Event, NoTargetError, Target, find_target
from mlactions.comment.sticky import (
    Identity,
    Issues,
    Outcome,
    PullRequest,
    own,
    write,
)
from mlactions.github import GitHub, GitHubError
from mlactions.github_data import Post
from mlactions.report import Report
from mlactions.runner import Annotation
from mlactions.settings import Status


@dataclass(frozen=True)
class Draft:
    """What is to be said, and all we know before GitHub is asked.

    `commit` is what the deciding result names; `sha` is the head the caller fixed; `merge_sha` is
    the run's own commit, which on pull requests is a merge that nobody pushed.
    """

    report: Report
    identity: Identity
    event: Event
    commit: str = ""
    number: int | None = None
    sha: str = ""
    merge_sha: str = ""
    repository: str = ""
    server_url: str = "https://github.com"
    run_id: str = ""
    artifact_url: str = ""

    @property
    def from_fork(self) -> bool:
        """True where the event says so: there the token cannot write."""
        return self.event.head.repository.lower() not in ("", self.repository.lower())


@dataclass(frozen=True)
class Posted:
    """What was done; `post` is None where nothing was written, and the body was not used."""

    outcome: Outcome
    status: Status
    verdict: str
    body: str
    commit: str = ""
    number: int | None = None
    post: Post | None = None
    warning: Annotation | None = None


def post_comment(draft: Draft, hub: GitHub) -> Posted:
    """Write the draft below its pull request; where that cannot be, say why and succeed."""
    try:
        target = find_target(draft.event, draft.number, hub)
    except NoTargetError as nothing:
        level: Level = "notice" if nothing.status is Status.SKIPPED else "warning"
        return _not_posted(draft, nothing.status, f"{nothing}", level)
    except GitHubError as error:
        return _denied(draft, error, Target(draft.number or 0))
    try:
        return _upsert(draft, target, hub)
    except GitHubError as error:
        return _denied(draft, error, target)


def post_issue(draft: Draft, title: str, hub: GitHub, *, close_on_pass: bool = False) -> Posted:
    """Write the draft as one issue per key; with `close_on_pass` there is none while all is well.

    An issue that was closed is not opened again: the next failure gets one of its own.
    """
    place = Issues(hub, title)
    frame = _frame(draft, Target(0), "")
    body = compose(draft.report, frame)
    mine = own(place.posts(), draft.identity)
    if close_on_pass and draft.report.status is Status.PASS:
        return _closed(place, mine, body, frame.commit)
    outcome, post = write(place, draft.identity, mine, body)
    verdict = f"The issue is {outcome}: {post.url}"
    return Posted(outcome, Status.PASS, verdict, body, frame.commit, post.id, post)


def _closed(place: Issues, mine: Sequence[Post], body: str, commit: str) -> Posted:
    """Close our issues with the good news; without one there is nothing to write."""
    if not mine:
        verdict = "All is well, and no issue is open."
        return Posted(Outcome.NOT_POSTED, Status.SKIPPED, verdict, body, commit)
    for post in mine:
        place.fold(post, body)
    verdict = f"The issue is closed: {mine[0].url}"
    return Posted(Outcome.CLOSED, Status.PASS, verdict, body, commit, mine[0].id, mine[0])


def _upsert(draft: Draft, target: Target, hub: GitHub) -> Posted:
    place = PullRequest(hub, target.number)
    mine = own(place.posts(), draft.identity)
    # Asked last, because between this answer and our write the pull request can move again.
    head = hub.pull(target.number).head_sha
    frame = _frame(draft, target, head)
    body = compose(draft.report, frame)
    if frame.stale and mine and commit_of(mine[0].body) == head:
        verdict = f"A newer result stays where it is: {mine[0].url}"
        return Posted(
            Outcome.KEPT, Status.SKIPPED, verdict, body, frame.commit, target.number, mine[0]
        )
    outcome, post = write(place, draft.identity, mine, body)
    verdict = f"The comment on pull request {target.number} is {outcome}: {post.url}"
    posted = Posted(outcome, Status.PASS, verdict, body, frame.commit, target.number, post)
    return replace(posted, warning=_unexpected_author(draft, post))


def _frame(draft: Draft, target: Target, head: str) -> Frame:
    repository_url = f"{draft.server_url}/{draft.repository}"
    run = draft.event.run or draft.run_id
    run_url = f"{repository_url}/actions/runs/{run}" if run else ""
    return Frame(
        draft.identity,
        repository_url,
        commit=measured_at(draft, target.sha),
        head=head,
        unverified=draft.event.follows_a_run,
        run_url=run_url,
        artifact_url=draft.artifact_url or (f"{run_url}#artifacts" if run_url else ""),
    )


def measured_at(draft: Draft, event_sha: str) -> str:
    """Return the commit the result is about.

    One of the merge commit that GitHub made for the run counts as one of the head that the run
    started with.
    """
    started_with = draft.sha or event_sha
    if not draft.commit or draft.commit == draft.merge_sha:
        return started_with or draft.commit
    return draft.commit


def unposted(draft: Draft) -> str:
    """Return the body as far as it is known without GitHub, for the job summary."""
    return compose(draft.report, _frame(draft, Target(0), ""))


def _denied(draft: Draft, error: GitHubError, target: Target) -> Posted:
    """Fall back where the token may not write; every other error stays one."""
    if not error.denied:
        raise error
    if draft.from_fork:
        why = "a pull request from a fork gets a token that cannot write"
        return _not_posted(draft, Status.SKIPPED, why, "notice", target)
    why = f"{error.message.rstrip('.')}. {error.hint}"
    return _not_posted(draft, Status.SKIPPED, why.rstrip("."), "warning", target)


def _not_posted(
    draft: Draft, status: Status, why: str, level: Level, target: Target | None = None
) -> Posted:
    frame = _frame(draft, target or Target(0), "")
    verdict = f"No comment was written: {why}. The job summary has the report."
    return Posted(
        Outcome.NOT_POSTED,
        status,
        verdict,
        compose(draft.report, frame),
        frame.commit,
        (target.number or None) if target else None,
        warning=Annotation(level, verdict, "no comment"),
    )


def _unexpected_author(draft: Draft, post: Post) -> Annotation | None:
    if draft.identity.is_author(post):
        return None
    message = (
        f"The comment was written by {post.login} ({post.account}), not by the bot"
        f" {draft.identity.login}: the next run will not find it. Set `author-login`."
    )
    return Annotation("warning", message, "unexpected author")


Level = Literal["notice", "warning"]
