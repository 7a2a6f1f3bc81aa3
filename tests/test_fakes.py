"""The stand-in for GitHub refuses what GitHub refuses, and does not trust itself."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ghapi.core import APIError, GhApi

from dev.trim_openapi import OPERATIONS, trim_schema
from tests.fakes import github_rules
from tests.fakes.description import FILE, github
from tests.fakes.github import READ_TOKEN, WRITE_TOKEN, FakeGitHub
from tests.fakes.github_state import Fault

REPOSITORY = "/repos/octo/digits"
COMMENTS = f"{REPOSITORY}/issues/7/comments"
HEAD = "a" * 40
ROOT = Path(__file__).resolve().parents[1]
FOLD = (
    "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: %s}) { __typename } }"
)


def ask(
    hub: FakeGitHub,
    method: str,
    path: str,
    body: Any = None,
    token: str | None = WRITE_TOKEN,
    **headers: str,
) -> tuple[int, Any, dict[str, str]]:
    """Send one request; return status, JSON and headers."""
    given = {"User-Agent": "tests", "Content-Type": "application/json"}
    given |= {"Authorization": f"Bearer {token}"} if token else {}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=10)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {k: v for k, v in given.items() if v})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null"), dict(reply.headers)
    finally:
        connection.close()


def client(address: str) -> Any:
    return GhApi(  # type: ignore[no-untyped-call] # ghapi has no types
        owner="octo", repo="digits", token=WRITE_TOKEN, gh_host=address, sync=True
    )


def test_every_operation_of_the_description_is_answered() -> None:
    assert github().operations == set(github_rules.OPERATIONS)
    assert len(OPERATIONS) == len(github_rules.OPERATIONS)


def test_the_committed_description_holds_no_prose() -> None:
    text = FILE.read_text()
    assert len(text) < 120_000
    assert not any(word in text for word in ('"example', '"summary":"', "externalDocs"))
    assert text.count('"description":"') == text.count('"description":""')


def test_trimming_keeps_a_property_that_is_called_like_a_keyword() -> None:
    schema = {
        "title": "Issue",
        "description": "prose",
        "properties": {"title": {"type": "string", "example": "x"}},
        "oneOf": [{"type": "string", "description": "prose"}],
    }
    expected = {"properties": {"title": {"type": "string"}}, "anyOf": [{"type": "string"}]}
    assert trim_schema(schema) == expected


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", COMMENTS, {"text": "no body"}, 422),
        ("POST", COMMENTS, {"body": 5}, 422),
        ("POST", COMMENTS, None, 422),
        ("POST", COMMENTS, {"body": " "}, 422),
        ("POST", COMMENTS, {"body": "x" * 65_537}, 422),
        ("POST", COMMENTS, {"body": "x" * 65_536}, 201),
        ("PATCH", f"{REPOSITORY}/issues/comments/1", {"body": "x"}, 404),
        ("GET", f"{REPOSITORY}/issues/8/comments", None, 404),
        ("GET", f"{REPOSITORY}/pulls?state=merged", None, 422),
        ("GET", f"{REPOSITORY}/labels", None, 404),
        ("GET", "/repos/octo/other", None, 404),
        ("POST", f"{REPOSITORY}/check-runs", {"name": "gate"}, 422),
        ("POST", f"{REPOSITORY}/check-runs", {"name": "g", "head_sha": HEAD}, 201),
        (
            "POST",
            f"{REPOSITORY}/check-runs",
            {"name": "g", "head_sha": HEAD, "status": "completed"},
            422,
        ),
        (
            "POST",
            f"{REPOSITORY}/statuses/{HEAD}",
            {"state": "success", "description": "x" * 141},
            422,
        ),
        ("POST", f"{REPOSITORY}/statuses/{HEAD}", {"state": "green"}, 422),
        ("POST", f"{REPOSITORY}/git/refs", {"ref": "main", "sha": HEAD}, 422),
    ],
)
def test_a_request_is_held_to_the_description(
    method: str, path: str, body: Any, status: int
) -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        assert ask(hub, method, path, body)[0] == status
        assert hub.requests[-1].status == status


def test_a_body_that_is_too_long_is_refused_in_the_words_of_github() -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        _, value, _ = ask(hub, "POST", COMMENTS, {"body": "x" * 70_000})
        found = value["errors"][0]["message"]
        assert found == "Body is too long (maximum is 65536 characters)"
        assert hub.comments(7) == []


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        (None, {}, 401),
        ("ghs_unknown", {}, 401),
        (READ_TOKEN, {}, 403),
        (WRITE_TOKEN, {"X_GitHub_Api_Version": "2021-01-01"}, 400),
        (WRITE_TOKEN, {"User_Agent": ""}, 403),
        (WRITE_TOKEN, {"X_GitHub_Api_Version": "2022-11-28"}, 201),
    ],
)
def test_who_may_write(token: str | None, headers: dict[str, str], status: int) -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        assert ask(hub, "POST", COMMENTS, {"body": "x"}, token, **headers)[0] == status
        assert len(hub.comments(7)) == (status == 201)


def test_a_reply_of_ours_that_breaks_the_description_fails_the_test() -> None:
    hub = FakeGitHub()
    hub.__enter__()
    hub.add_pull(7, HEAD)
    hub.add_comment(7, 5)  # type: ignore[arg-type] # the defect under test
    assert ask(hub, "GET", COMMENTS)[0] == 500
    with pytest.raises(AssertionError, match="body: 5 is not of type 'string'"):
        hub.__exit__(None, None, None)


def test_a_field_that_the_description_lacks_is_a_defect() -> None:
    operation = github().find("GET", f"{REPOSITORY}/issues/7/comments")
    assert operation is not None
    with pytest.raises(Exception, match=r"knows no field \['bdoy'\]"):
        github().fill(operation, 200, [{"bdoy": "x"}])


def test_pages_lead_to_every_comment_once() -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        for number in range(1_000):
            hub.add_comment(7, f"comment {number}")
        found: list[str] = []
        path = f"{COMMENTS}?per_page=500"
        while path:
            status, value, headers = ask(hub, "GET", path)
            assert (status, len(value)) == (200, 100)
            found += [comment["body"] for comment in value]
            links = [item for item in headers["Link"].split(", ") if 'rel="next"' in item]
            path = links[0].split(";")[0].strip("<>").removeprefix(hub.url) if links else ""
        assert found == [f"comment {number}" for number in range(1_000)]


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
def test_a_real_client_writes_and_reads_comments(prefix: str) -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        api = client(hub.url + prefix)
        made = api.issues.create_comment(7, "first")
        assert (made.user.login, made.user.type) == ("github-actions[bot]", "Bot")
        api.issues.update_comment(made.id, "second")
        assert [item.body for item in api.issues.list_comments(7)] == ["second"]
        assert api.pulls.get(7).head.sha == HEAD
        with pytest.raises(APIError):
            api.pulls.get(8)


def test_a_reply_can_be_lost_after_the_comment_was_made() -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        hub.faults += [Fault.lost_reply(), Fault.lost_reply(status=0)]
        assert ask(hub, "POST", COMMENTS, {"body": "one"})[0] == 502
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(hub, "POST", COMMENTS, {"body": "two"})
        assert ask(hub, "POST", COMMENTS, {"body": "three"})[0] == 201
        assert [item.body for item in hub.comments(7)] == ["one", "two", "three"]
        assert [item.status for item in hub.requests] == [502, 0, 201]


def test_rate_limits_say_when_to_come_back() -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        hub.faults += [Fault.throttled(3), Fault.exhausted(1_900_000_000)]
        status, _, headers = ask(hub, "GET", COMMENTS)
        assert (status, headers["retry-after"]) == (429, "3")
        status, _, headers = ask(hub, "GET", COMMENTS)
        assert (status, headers["x-ratelimit-remaining"]) == (403, "0")
        assert headers["x-ratelimit-reset"] == "1900000000"
        assert ask(hub, "GET", COMMENTS)[0] == 200


def test_a_comment_is_folded_through_graphql_only_by_its_rules() -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD)
        comment = hub.add_comment(7, "old")
        good, bad = FOLD % "OUTDATED", FOLD % "STALE"
        mine = {"id": comment.node_id}
        for query, variables, kind in (
            (bad, mine, "argumentLiteralsIncompatible"),
            (good, {"id": "IC_none"}, "NOT_FOUND"),
            ("mutation { deleteEverything }", {}, "undefinedField"),
        ):
            value = ask(hub, "POST", "/graphql", {"query": query, "variables": variables})[1]
            assert value["errors"][0]["type"] == kind
        assert hub.comments(7)[0].minimized is None
        ask(hub, "POST", "/graphql", {"query": good, "variables": mine})
        assert hub.comments(7)[0].minimized == "outdated"


def test_a_baseline_update_goes_through_branch_file_and_pull_request() -> None:
    with FakeGitHub() as hub:
        hub.store.branches["main"] = HEAD
        hub.store.files["main", "configs/baseline.yaml"] = b"version: 1\n"
        ask(hub, "POST", f"{REPOSITORY}/git/refs", {"ref": "refs/heads/new/b", "sha": HEAD})
        path = f"{REPOSITORY}/contents/configs/baseline.yaml"
        old = ask(hub, "GET", f"{path}?ref=new/b")[1]["sha"]
        change = {"message": "Update", "content": "dmVyc2lvbjogMgo=", "branch": "new/b"}
        assert ask(hub, "PUT", path, change)[0] == 422
        assert ask(hub, "PUT", path, {**change, "sha": "0" * 40})[0] == 409
        assert ask(hub, "PUT", path, {**change, "sha": old})[0] == 200
        pull = {"title": "Update the baseline", "head": "new/b", "base": "main"}
        assert ask(hub, "POST", f"{REPOSITORY}/pulls", pull)[0] == 201
        assert ask(hub, "POST", f"{REPOSITORY}/pulls", pull)[0] == 422
        assert hub.store.files["new/b", "configs/baseline.yaml"] == b"version: 2\n"
        assert hub.store.files["main", "configs/baseline.yaml"] == b"version: 1\n"


def test_the_program_serves_a_state_file(tmp_path: Path) -> None:
    state, port = tmp_path / "state.json", tmp_path / "port"
    state.write_text(json.dumps({"pulls": [{"number": 7, "head_sha": HEAD}]}))
    command = [sys.executable, "-m", "tests.fakes.github", str(port), str(state)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            deadline = time.monotonic() + 20
            while not port.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            address = f"http://127.0.0.1:{port.read_text()}"
            client(address).issues.create_comment(7, "hello")
        finally:
            process.terminate()
    assert json.loads(state.read_text())["comments"][0]["body"] == "hello"
    assert process.returncode == 0


def test_pull_requests_are_listed_among_the_issues() -> None:
    with FakeGitHub() as hub:
        hub.add_pull(7, HEAD, labels=("drift",))
        hub.add_pull(8, HEAD, state="closed")
        ask(hub, "POST", f"{REPOSITORY}/issues", {"title": "Drift"})
        status, found, _ = ask(hub, "GET", f"{REPOSITORY}/issues")
        _, labelled, _ = ask(hub, "GET", f"{REPOSITORY}/issues?labels=drift")

    assert status == 200
    assert [("pull_request" in item, item["number"]) for item in found] == [(False, 9), (True, 7)]
    assert [item["number"] for item in labelled] == [7]
