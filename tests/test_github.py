"""The GitHub client against a stateful GitHub on loopback: pages, waiting, repeating, refusing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.github import TIMEOUT_SECONDS, Connection, GitHub, GitHubError
from mlactions.github_data import Post, read_comment, read_pull
from mlactions.retries import Failure, Patience
from tests.fakes.github import READ_TOKEN, WRITE_TOKEN, FakeGitHub
from tests.fakes.github_state import Fault
from tests.fakes.loopback import Handler, Loopback, Reply, Request

NOW = 1_800_000_000


@dataclass
class Clock:
    """A clock that only sleeping moves on."""

    now: float = NOW
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Note it, and be later."""
        self.slept.append(seconds)
        self.now += seconds

    def patience(self, **settings: Any) -> Patience:
        """Wait by this clock, without jitter."""
        given = {"clock": lambda: self.now, "sleep": self.sleep, "jitter": lambda: 1.0}
        return Patience(**{**given, **settings})


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    with FakeGitHub() as server:
        server.add_pull(7, "a" * 40)
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


Open = Callable[..., GitHub]


@pytest.fixture
def client(hub: FakeGitHub, clock: Clock) -> Iterator[Open]:
    with ExitStack() as stack:

        def connect(*, token: str = WRITE_TOKEN, url: str = "", **patience: Any) -> GitHub:
            connection = Connection("octo/digits", token, url or hub.url)
            return stack.enter_context(GitHub(connection, clock.patience(**patience)))

        yield connect


def nowhere() -> Post | None:
    return None


def seen_by(github: GitHub) -> Callable[[], Post | None]:
    return lambda: next(iter(github.list_comments(7)), None)


def test_all_pages_are_read_and_no_more(hub: FakeGitHub, client: Open) -> None:
    for number in range(1_000):
        hub.add_comment(7, f"comment {number}")
    github = client()

    found = github.list_comments(7)

    assert [post.body for post in found] == [f"comment {number}" for number in range(1_000)]
    assert github.requests == len(hub.requests) == 10
    assert {request.request.query["per_page"] for request in hub.requests} == {"100"}


def test_every_request_says_who_asks_and_how(hub: FakeGitHub, client: Open) -> None:
    client().pull(7)

    headers = hub.requests[0].request.headers
    assert headers["authorization"] == f"Bearer {WRITE_TOKEN}"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["user-agent"].startswith("codex-ml-actions/")


def test_a_token_of_the_environment_is_not_sent(
    hub: FakeGitHub, client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_JWT_TOKEN", "other")
    monkeypatch.setenv("GITHUB_TOKEN", "other")

    client().pull(7)

    assert hub.requests[0].request.headers["authorization"] == f"Bearer {WRITE_TOKEN}"


def test_enterprise_server(hub: FakeGitHub, client: Open) -> None:
    github = client(url=hub.enterprise_url)

    post = github.create_comment(7, "text", nowhere)
    assert github.minimize_comment(post)

    paths = [request.path for request in hub.requests]
    assert paths == ["/api/v3/repos/octo/digits/issues/7/comments", "/api/graphql"]
    assert hub.comments(7)[0].minimized == "outdated"


@pytest.mark.parametrize(
    ("url", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://ghes.example/api/v3", "https://ghes.example/api/graphql"),
        ("https://ghes.example/api/v3/", "https://ghes.example/api/graphql"),
        ("https://api.octo.ghe.com", "https://api.octo.ghe.com/graphql"),
    ],
)
def test_graphql_stands_beside_rest(url: str, graphql: str) -> None:
    assert Connection("o/r", "t", url).graphql_url == graphql


def test_folding_that_is_refused_is_no_error(hub: FakeGitHub, client: Open) -> None:
    hub.faults.append(Fault(404, "POST", "/graphql", message="Not Found"))
    post = client().create_comment(7, "text", nowhere)

    assert not client().minimize_comment(post)
    assert not client(token=READ_TOKEN).minimize_comment(post)


def test_a_deleted_account_has_no_name() -> None:
    head = {"sha": "c" * 40, "ref": "new", "user": None, "repo": None}
    pull = read_pull({"number": 8, "head": head})
    assert (pull.head_owner, pull.head_repository) == ("", "")

    comment = {"id": 1, "node_id": "n", "body": None, "user": None, "html_url": "u"}
    assert read_comment(comment) == Post(1, "n", "", "", "", "u")


@pytest.mark.parametrize(
    ("fault", "slept"),
    [
        (Fault.throttled(17), [17]),
        (Fault.throttled(17, status=403), [17]),
        (Fault.exhausted(NOW + 90), [91]),
        (Fault.exhausted(NOW - 5), [1]),
        (Fault(429, message="Too Many Requests"), [60]),
        (Fault(403, message="You have exceeded a secondary rate limit."), [60]),
        (Fault(429, message="Too Many Requests", times=2), [60, 120]),
        (Fault(408, message="Request Timeout"), [1]),
        (Fault(502, times=3), [1, 2, 4]),
        (Fault(0), [1]),
        (Fault(503, headers={"retry-after": "soon"}), [1]),
    ],
)
def test_waiting_as_github_asks(
    hub: FakeGitHub, client: Open, clock: Clock, fault: Fault, slept: list[float]
) -> None:
    hub.faults.append(fault)

    assert client().pull(7).number == 7
    assert clock.slept == slept


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (Fault.throttled(301), "wait 301 s"),
        (Fault.exhausted(NOW + 3_600), "wait 3,601 s"),
        (Fault(403, message="Resource not accessible by integration"), "pull-requests: write"),
        (Fault(401, message="Bad credentials"), "token"),
        (Fault(404, message="Not Found"), "number"),
        (Fault(422, message="Validation Failed"), ""),
    ],
)
def test_giving_up_at_once(
    hub: FakeGitHub, client: Open, clock: Clock, fault: Fault, hint: str
) -> None:
    hub.faults.append(fault)

    with pytest.raises(GitHubError) as caught:
        client().pull(7)

    error = caught.value
    assert not clock.slept
    assert len(hub.requests) == 1
    assert hint in error.hint
    assert "GET /repos/octo/digits/pulls/7" in error.message
    assert f"{fault.status} {fault.message}" in error.message
    assert error.denied is (fault.message == "Resource not accessible by integration")


def test_giving_up_in_the_end(hub: FakeGitHub, client: Open, clock: Clock) -> None:
    hub.faults.append(Fault(502, times=99))

    with pytest.raises(GitHubError, match="502"):
        client().pull(7)

    assert len(hub.requests) == 6
    assert clock.slept == [1, 2, 4, 8, 16]


def test_the_whole_wait_is_bounded(hub: FakeGitHub, client: Open, clock: Clock) -> None:
    hub.faults.append(Fault.throttled(100))
    hub.faults.append(Fault.throttled(100))
    hub.faults.append(Fault.throttled(100))
    hub.faults.append(Fault.throttled(100))

    with pytest.raises(GitHubError):
        client().pull(7)

    assert clock.slept == [100, 100, 100]


@pytest.mark.parametrize("status", [0, 500, 502, 504])
def test_a_lost_answer_does_not_comment_twice(hub: FakeGitHub, client: Open, status: int) -> None:
    hub.faults.append(Fault.lost_reply(status=status))
    github = client()

    post = github.create_comment(7, "text", seen_by(github))

    assert [comment.id for comment in hub.comments(7)] == [post.id]
    assert hub.count("POST") == 1


@pytest.mark.parametrize("fault", [Fault(502, "POST"), Fault(0, "POST"), Fault.throttled(5)])
def test_a_create_that_did_not_happen_is_repeated(
    hub: FakeGitHub, client: Open, fault: Fault
) -> None:
    hub.faults.append(fault)
    github = client()

    github.create_comment(7, "text", seen_by(github))

    assert [comment.body for comment in hub.comments(7)] == ["text"]
    assert [request.method for request in hub.requests] == ["POST", "GET", "POST"]


def test_an_edit_is_repeated_without_looking(hub: FakeGitHub, client: Open) -> None:
    github = client()
    post = github.create_comment(7, "text", nowhere)
    hub.faults.append(Fault.lost_reply("PATCH"))

    assert github.update_comment(post, "new").body == "new"
    assert hub.count("GET") == 0


def test_a_body_that_is_too_long_is_named(client: Open) -> None:
    with pytest.raises(GitHubError, match=r"422 .*Body is too long"):
        client().create_comment(7, "x" * 65_537, nowhere)


def test_a_repository_that_moved_is_followed(hub: FakeGitHub, client: Open, clock: Clock) -> None:
    moved = {"location": f"{hub.url}/repos/octo/digits/pulls/7"}
    hub.faults.append(Fault(301, "GET", headers=moved, message="Moved Permanently"))

    assert client().pull(7).number == 7
    assert [seen.status for seen in hub.requests] == [301, 200]
    assert not clock.slept


class Listener(Loopback):
    """Remembers what it was sent, and says nothing for longer than anybody should wait."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Request] = []

    def respond(self, request: Request, handler: Handler) -> None:
        """Note the request, and answer too late."""
        self.heard.append(request)
        self.closing.wait(5)
        handler.send(Reply(404, {"message": "Not Found"}))


def test_the_token_does_not_follow_to_another_server(
    hub: FakeGitHub, client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlactions.github.TIMEOUT_SECONDS", 0.2)
    with Listener() as elsewhere:
        hub.faults.append(Fault(302, "GET", headers={"location": elsewhere.url}))
        with pytest.raises(GitHubError):
            client(attempts=1).pull(7)

    assert [request.headers.get("authorization") for request in elsewhere.heard] == [None]


def test_a_server_that_never_answers_is_given_up(
    client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < TIMEOUT_SECONDS <= 60
    monkeypatch.setattr("mlactions.github.TIMEOUT_SECONDS", 0.2)
    with Listener() as silent, pytest.raises(GitHubError, match="did not answer"):
        client(url=silent.url, attempts=2).pull(7)
    assert len(silent.heard) == 2


def test_only_our_own_patience_waits(
    client: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transport would wait too, in between and beyond the total."""
    with FakeGitHub() as closed:
        url = closed.url

    def refuse(seconds: float) -> None:
        pytest.fail(f"something else slept {seconds} s")

    monkeypatch.setattr(time, "sleep", refuse)
    with pytest.raises(GitHubError):
        client(url=url).pull(7)
    assert clock.slept == [1, 2, 4, 8, 16]


def test_nobody_listens(client: Open) -> None:
    with FakeGitHub() as closed:
        url = closed.url
    with pytest.raises(GitHubError, match=r"did not answer.*GITHUB_API_URL"):
        client(url=url).pull(7)


class SignInPage(Loopback):
    """A proxy that answers everything with a page of its own."""

    def respond(self, _request: Request, handler: Handler) -> None:
        """Answer with HTML."""
        handler.send_response(200)
        handler.send_header("Content-Length", "6")
        handler.end_headers()
        handler.wfile.write(b"<html>")


def test_an_answer_that_is_not_githubs(client: Open) -> None:
    with SignInPage() as proxy, pytest.raises(GitHubError, match="200 the answer is not JSON"):
        client(url=proxy.url).pull(7)


def test_the_token_stays_secret(client: Open) -> None:
    github = client(token="ghs_secret")

    with pytest.raises(GitHubError) as caught:
        github.pull(7)

    assert "ghs_secret" not in f"{caught.value}{caught.value!r}{github!r}{github.connection!r}"


def test_pulls_are_found_by_owner_branch_and_commit(hub: FakeGitHub, client: Open) -> None:
    fork = "mallory/digits"
    hub.add_pull(8, "c" * 40, head_repository=fork, head_ref="new")
    hub.add_pull(9, "d" * 40, head_repository=fork, head_ref="new", base_ref="next")
    hub.add_pull(10, "c" * 40, head_repository=fork, head_ref="other")
    hub.add_pull(11, "c" * 40, head_ref="new")
    hub.add_pull(12, "c" * 40, head_repository=fork, head_ref="new", state="closed")

    found = client().find_pulls("mallory", "new", "c" * 40)

    assert [pull.number for pull in found] == [8]
    assert hub.requests[-1].request.query["head"] == "mallory:new"


@pytest.mark.parametrize(("owner", "branch"), [("", "change"), ("mallory", "")])
def test_a_head_that_github_does_not_read_finds_nothing(
    hub: FakeGitHub, client: Open, owner: str, branch: str
) -> None:
    """GitHub then lists every pull request, so that each part is checked here too."""
    hub.add_pull(8, "a" * 40, head_repository="mallory/digits")

    assert client().find_pulls(owner, branch, "a" * 40) == ()


def test_issues(hub: FakeGitHub, client: Open) -> None:
    github = client()

    post = github.create_issue("Drift", "text", "mlactions", nowhere)
    github.create_issue("Other", "text", "other", nowhere)
    assert github.list_issues("mlactions") == (post,)

    # GitHub lists pull requests among the issues.
    hub.add_pull(70, "a" * 40, labels=("mlactions",))
    assert github.list_issues("mlactions") == (post,)

    github.update_issue(post, "gone", state="closed")
    assert github.list_issues("mlactions") == ()


@given(
    st.sampled_from([0, 403, 404, 408, 422, 429, 500, 502, 503, 504]),
    st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-reset", "x-ratelimit-remaining"]),
        st.one_of(st.integers(0, 10**12).map(str), st.text(max_size=5)),
    ),
    st.integers(1, 10),
    st.floats(0, 1, exclude_max=True),
)
def test_no_wait_is_negative_or_beyond_the_total(
    status: int, headers: dict[str, str], attempt: int, jitter: float
) -> None:
    patience = Patience(clock=lambda: NOW, jitter=lambda: jitter)

    pause = patience.pause(Failure("GET /", status, "rate limit", headers), attempt)

    assert pause is None or 0 <= pause <= patience.total
