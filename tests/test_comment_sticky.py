"""Whose post is ours, which commit it names, and what a rival run's post becomes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlactions.comment.body import commit_of
from mlactions.comment.event import Event, Head, Target, find_target
from mlactions.comment.sticky import Identity, Outcome, PullRequest, write
from mlactions.github import Connection, GitHub
from mlactions.github_data import Post
from mlactions.retries import Patience
from tests.comment_cases import BOT, HEAD, MARK, NEXT, Job, compare_result
from tests.fakes.github import WRITE_TOKEN, FakeGitHub
from tests.fakes.github_state import Fault
from tests.fakes.github_state import Identity as Account

OURS = Identity(BOT, "gate")


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    with FakeGitHub() as server:
        server.add_pull(7, HEAD)
        yield server


@pytest.fixture
def github(hub: FakeGitHub) -> Iterator[GitHub]:
    patience = Patience(sleep=lambda _seconds: None)
    with GitHub(Connection("octo/digits", WRITE_TOKEN, hub.url), patience) as client:
        yield client


def post(login: str, account: str = "Bot", body: str = MARK) -> Post:
    return Post(1, "node", body, login, account, "https://github.example/1")


@pytest.mark.parametrize("expected", ["my-gate", "my-gate[bot]", "My-Gate[bot]"])
@pytest.mark.parametrize("login", ["my-gate", "my-gate[bot]", "My-Gate[bot]", "MY-GATE"])
def test_a_bots_name_is_read_without_regard_to_case(expected: str, login: str) -> None:
    assert Identity(expected, "gate").owns(post(login))
    assert not Identity(expected, "gate").owns(post(login, "User"))
    assert not Identity(expected, "gate").owns(post(f"{login}-2"))


def test_a_comment_is_found_again_whatever_case_github_writes_the_name_in(
    hub: FakeGitHub, tmp_path: Path
) -> None:
    hub.tokens["ghs_app"] = Account("My-Gate[bot]")
    job = Job(tmp_path, hub, [compare_result(tmp_path)], token="ghs_app")

    assert job.run("--author-login=my-gate").result["outcome"] == "created"
    assert job.run("--author-login=my-gate").result["outcome"] == "unchanged"


@pytest.mark.parametrize("fault", [Fault(502, "POST"), Fault(0, "POST")])
def test_a_rival_runs_post_says_our_result_in_the_end(
    hub: FakeGitHub, github: GitHub, fault: Fault
) -> None:
    """It was written after we listed, and ours was lost: one post, with what we found."""
    hub.faults.append(fault)
    rival = hub.add_comment(7, f"{MARK}\nof another run", BOT, "Bot")

    outcome, written = write(PullRequest(github, 7), OURS, [], f"{MARK}\nours")

    assert (outcome, written.id) == (Outcome.CREATED, rival.id)
    assert [comment.body for comment in hub.comments(7)] == [f"{MARK}\nours"]
    assert [seen.method for seen in hub.requests] == ["POST", "GET", "PATCH"]


def test_our_own_post_after_a_lost_answer_is_not_edited(hub: FakeGitHub, github: GitHub) -> None:
    hub.faults.append(Fault.lost_reply())

    write(PullRequest(github, 7), OURS, [], f"{MARK}\nours")

    assert [seen.method for seen in hub.requests] == ["POST", "GET"]


def test_the_commit_is_read_from_the_beginning_only() -> None:
    """What follows there is a report, and part of it somebody else wrote."""
    named = f"<!-- mlactions-commit:{HEAD} -->"
    assert commit_of(f"{MARK}\n{named}\n\n## ✅") == HEAD
    assert commit_of(f"{MARK}\n{'x' * 1_000}\n{named}\n") == ""
    assert commit_of(f"{MARK}\nsee {named}\n") == ""


def test_the_events_commit_is_that_of_its_own_pull_request(github: GitHub) -> None:
    event = Event("pull_request", 7, Head(NEXT, "change", "octo", "octo/digits"))

    assert find_target(event, None, github) == find_target(event, 7, github) == Target(7, NEXT)
    assert find_target(event, 8, github) == Target(8, "")
