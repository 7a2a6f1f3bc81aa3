"""The sticky comment, end to end against a stateful GitHub on loopback."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlactions.bundle import seal
from mlactions.comment.body import Frame, commit_of, compose
from mlactions.comment.material import MAX_RESULT_BYTES, RENDERERS, answer_blocks, read_result
from mlactions.comment.sticky import Identity
from mlactions.errors import UserError
from mlactions.markdown import LIMIT, render
from mlactions.publish import Fact
from mlactions.report import Column, Paragraph, Report, Table, Untrusted
from mlactions.settings import Status
from tests.comment_cases import (
    BOT,
    HEAD,
    MARK,
    MERGE,
    NEXT,
    Job,
    checked_answer,
    compare_bundle,
    compare_document,
    compare_result,
    evaluate_result,
    pull_event,
    run_event,
    write_json,
)
from tests.fakes.github import READ_TOKEN, WRITE_TOKEN, FakeGitHub
from tests.fakes.github_state import Fault
from tests.fakes.github_state import Identity as Account
from tests.github_html import page
from tests.test_markdown import TEXT


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    with FakeGitHub() as server:
        server.add_pull(7, HEAD)
        yield server


@pytest.fixture
def job(hub: FakeGitHub, tmp_path: Path) -> Job:
    return Job(tmp_path, hub, [compare_result(tmp_path)])


def test_the_first_comment(job: Job, hub: FakeGitHub) -> None:
    ran = job.run()

    (comment,) = hub.comments(7)
    assert ran.code == 0
    assert comment.body.startswith(f"{MARK}\n<!-- mlactions-commit:{HEAD} -->\n")
    assert "## ❌ Model metrics" in comment.body
    assert "[run](https://github.example/octo/digits/actions/runs/99)" in comment.body
    assert ran.outputs["status"] == "pass"
    assert ran.outputs["comment-id"] == str(comment.id)
    assert ran.outputs["comment-url"].endswith(f"#issuecomment-{comment.id}")
    assert Path(ran.outputs["report"]).read_text() == comment.body
    assert ran.result["outcome"] == "created"
    assert ran.result["commit"] == HEAD
    assert ran.summary == ""
    assert f"pull request 7 is created: {ran.outputs['comment-url']} (3 requests)" in ran.log


def test_the_whole_bundle_is_checked(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    bundle = compare_bundle(tmp_path)
    assert job.but(results=[bundle]).run().result["outcome"] == "created"

    (bundle / "result.json").write_text((bundle / "result.json").read_text() + " ")
    assert job.but(results=[bundle]).run().code == 2


def test_an_unchanged_comment_is_left_alone(job: Job, hub: FakeGitHub) -> None:
    job.run()
    ran = job.run()

    assert ran.result["outcome"] == "unchanged"
    assert "is unchanged" in ran.log
    assert [request.method for request in hub.requests[3:]] == ["GET", "GET"]


def test_a_new_result_replaces_the_old_one(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    job.run()
    hub.push(7, NEXT)
    newer = job.but(results=[compare_result(tmp_path, commit=NEXT)], event=pull_event(sha=NEXT))

    ran = newer.run()

    (comment,) = hub.comments(7)
    assert ran.result["outcome"] == "updated"
    assert commit_of(comment.body) == NEXT
    assert "older commit" not in comment.body


def test_keys_have_their_own_comments(job: Job, hub: FakeGitHub) -> None:
    job.run()
    job.run("--key=nightly")
    job.run("--key=gate-2")

    assert len(hub.comments(7)) == 3


def test_the_last_page_is_searched(job: Job, hub: FakeGitHub) -> None:
    for number in range(1_000):
        hub.add_comment(7, f"comment {number}")
    job.run()
    before = len(hub.requests)

    ran = job.run("--artifact-url=https://github.example/artifact")

    assert ran.result["outcome"] == "updated"
    assert ran.result["requests"] == len(hub.requests) - before == 11 + 1 + 1
    assert len(hub.comments(7)) == 1_001


def test_the_oldest_of_several_is_kept_and_others_folded(job: Job, hub: FakeGitHub) -> None:
    first = hub.add_comment(7, f"{MARK}\nold", BOT, "Bot")
    others = [hub.add_comment(7, f"{MARK}\nold", BOT, "Bot") for _ in range(2)]

    ran = job.run()

    bodies = {comment.id: comment for comment in hub.comments(7)}
    assert ran.result["id"] == first.id
    assert "Model metrics" in bodies[first.id].body
    for other in others:
        assert bodies[other.id].minimized == "outdated"
        assert f"issuecomment-{first.id}" in bodies[other.id].body
    assert job.run().result["requests"] == 2


def test_folding_goes_on_where_minimising_is_refused(job: Job, hub: FakeGitHub) -> None:
    hub.add_comment(7, f"{MARK}\nold", BOT, "Bot")
    second = hub.add_comment(7, f"{MARK}\nold", BOT, "Bot")
    hub.faults.append(Fault(404, "POST", "/graphql"))

    assert job.run().code == 0
    assert "Superseded" in hub.store.comments[second.id].body


@pytest.mark.parametrize(
    ("login", "account", "body"),
    [
        ("alice", "User", MARK),
        (BOT, "User", MARK),
        ("other[bot]", "Bot", MARK),
        (BOT, "Bot", f"> {MARK}"),
        (BOT, "Bot", f"Look: {MARK}"),
        (BOT, "Bot", "<!-- mlactions:gate-2:v1 -->"),
        (BOT, "Bot", "<!-- mlactions:gate:v10 -->"),
    ],
)
def test_what_is_not_ours_is_never_touched(
    job: Job, hub: FakeGitHub, login: str, account: str, body: str
) -> None:
    theirs = hub.add_comment(7, f"{body}\nmine", login, account)

    job.run()
    job.run()

    assert hub.store.comments[theirs.id] == theirs
    assert len(hub.comments(7)) == 2


@pytest.mark.parametrize("login", ["my-gate[bot]", "my-gate", "My-Gate[bot]"])
def test_an_apps_comments_are_found_again(job: Job, hub: FakeGitHub, login: str) -> None:
    hub.tokens["ghs_app"] = Account("my-gate[bot]")
    app = job.but(token="ghs_app")

    app.run(f"--author-login={login}")
    ran = app.run(f"--author-login={login}")

    assert ran.result["outcome"] == "unchanged"


def test_a_wrong_login_is_noticed(job: Job, hub: FakeGitHub) -> None:
    hub.tokens["ghs_app"] = Account("my-gate[bot]")

    ran = job.but(token="ghs_app").run()

    assert ran.code == 0
    assert "::warning title=unexpected author::" in ran.log
    assert "my-gate[bot] (Bot)" in ran.log


@pytest.mark.parametrize("token", ["", "  ", "ghp_x", "github_pat_x", "gho_x", "ghu_x"])
def test_a_token_that_is_no_bots_is_refused(job: Job, hub: FakeGitHub, token: str) -> None:
    ran = job.but(token=token).run()

    assert ran.code == 2
    assert "github.token" in ran.log
    assert not hub.requests


@pytest.mark.parametrize("status", [0, 502])
def test_a_lost_answer_makes_no_second_comment(job: Job, hub: FakeGitHub, status: int) -> None:
    hub.faults.append(Fault.lost_reply(status=status))

    ran = job.run()

    assert ran.result["outcome"] == "created"
    assert len(hub.comments(7)) == 1
    assert hub.count("POST") == 1
    assert "Again in" in ran.log


def test_being_throttled_is_waited_out(job: Job, hub: FakeGitHub) -> None:
    hub.faults.append(Fault.throttled(1, method="POST"))

    assert job.run().result["outcome"] == "created"
    assert len(hub.comments(7)) == 1
    post, again = [item.request.at for item in hub.requests if item.method == "POST"]
    assert again - post >= 1


def test_a_fork_gets_the_report_in_the_summary(job: Job, hub: FakeGitHub) -> None:
    fork = job.but(token=READ_TOKEN, event=pull_event(repository="mallory/digits"))

    ran = fork.run()

    assert ran.code == 0
    assert ran.outputs["status"] == "skipped"
    assert ran.outputs["comment-url"] == ""
    assert "::notice title=no comment::" in ran.log
    assert "Model metrics" in ran.summary
    assert ran.result["outcome"] == "not-posted"
    assert not hub.comments(7)


def test_a_missing_permission_is_named(job: Job, hub: FakeGitHub) -> None:
    ran = job.but(token=READ_TOKEN).run()

    assert ran.code == 0
    assert ran.outputs["status"] == "skipped"
    assert "::warning title=no comment::" in ran.log
    assert "pull-requests: write" in ran.log


def test_enterprise_server(job: Job, hub: FakeGitHub) -> None:
    ran = job.but(url=hub.enterprise_url).run()

    assert ran.result["outcome"] == "created"
    assert all(request.path.startswith("/api/v3/") for request in hub.requests)


def test_other_errors_fail(job: Job, hub: FakeGitHub) -> None:
    ran = job.but(event=pull_event(8)).run()

    assert ran.code == 2
    assert "404 Not Found" in ran.log
    assert WRITE_TOKEN not in ran.log


def test_an_older_result_says_so(job: Job, hub: FakeGitHub) -> None:
    hub.push(7, NEXT)

    job.run()

    body = hub.comments(7)[0].body
    assert "> [!WARNING]\n> **This result is for an older commit.**" in body
    assert f"[`aaaaaaa`](https://github.example/octo/digits/commit/{HEAD})" in body
    assert f"[`ccccccc`](https://github.example/octo/digits/commit/{NEXT})" in body


def test_an_older_result_does_not_replace_the_newest(
    job: Job, hub: FakeGitHub, tmp_path: Path
) -> None:
    hub.push(7, NEXT)
    newer = compare_result(tmp_path, commit=NEXT).rename(tmp_path / "newer.json")
    job.but(results=[newer], event=pull_event(sha=NEXT)).run()
    before = hub.comments(7)

    ran = job.but(results=[compare_result(tmp_path)]).run()

    assert ran.code == 0
    assert ran.result["outcome"] == "kept-newer"
    assert ran.outputs["status"] == "skipped"
    assert hub.comments(7) == before


@pytest.mark.parametrize(
    ("named", "stale"), [(HEAD, False), (MERGE, False), ("", False), (NEXT, True)]
)
def test_the_merge_commit_counts_as_the_head(
    job: Job, hub: FakeGitHub, tmp_path: Path, named: str, *, stale: bool
) -> None:
    job.but(results=[compare_result(tmp_path, commit=named)]).run()

    assert ("older commit" in hub.comments(7)[0].body) is stale


def test_the_callers_commit_wins_over_the_events(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    result = compare_result(tmp_path, commit="")

    job.but(results=[result]).run(f"--head-sha={NEXT}")

    assert commit_of(hub.comments(7)[0].body) == NEXT


@pytest.fixture
def fork(job: Job, hub: FakeGitHub) -> Job:
    hub.add_pull(8, HEAD, head_repository="mallory/digits")
    return job.but(event_name="workflow_run", event=run_event())


def test_a_fork_run_is_labelled(fork: Job, hub: FakeGitHub) -> None:
    ran = fork.run()

    assert ran.result["outcome"] == "created"
    assert ran.result["number"] == 8
    body = hub.comments(8)[0].body
    assert "> [!CAUTION]\n> **Unverified fork result.**" in body
    assert "actions/runs/55" in body
    assert not hub.store.statuses


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (run_event(sha=NEXT), "no open pull request is at mallory:change at ccccccc any more"),
        (run_event(repository="eve/digits"), "no open pull request"),
        (run_event(head_branch="other"), "no open pull request"),
        (run_event(event="push"), "started by `push`"),
        (run_event(head_repository=None), "gone"),
        (run_event(head_branch=""), "gone"),
        (run_event(sha=""), "gone"),
        ({}, "started by ``"),
    ],
)
def test_a_fork_run_without_its_pull_request(
    fork: Job, hub: FakeGitHub, event: dict[str, Any], why: str
) -> None:
    ran = fork.but(event=event).run()

    assert ran.code == 0
    assert ran.outputs["status"] == "skipped"
    assert why in ran.log
    assert "Model metrics" in ran.summary
    assert not hub.store.comments


def test_two_pull_requests_are_too_many(fork: Job, hub: FakeGitHub) -> None:
    hub.add_pull(9, HEAD, head_repository="mallory/digits", base_ref="next")

    ran = fork.run()

    assert ran.code == 0
    assert ran.outputs["status"] == "refused"
    assert "2 pull requests are at mallory:change at aaaaaaa (9, 8)" in ran.log
    assert not hub.store.comments


def test_a_fork_run_cannot_name_another_pull_request(fork: Job, hub: FakeGitHub) -> None:
    ran = fork.run("--pull-request=7")

    assert ran.code == 2
    assert "`pull-request` is 7, but the run belongs to 8" in ran.log
    assert not hub.store.comments


def test_a_push_has_no_pull_request(job: Job, hub: FakeGitHub) -> None:
    ran = job.but(event_name="push", event={"ref": "refs/heads/main"}).run()

    assert ran.code == 0
    assert ran.outputs["status"] == "skipped"
    assert not hub.requests


def test_a_given_number_needs_no_event(job: Job, hub: FakeGitHub) -> None:
    ran = job.but(event_name="workflow_dispatch", event={}).run("--pull-request=7")

    assert ran.result["number"] == 7


def broken(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "broken.json"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        ("[]", "is not of type 'object'"),
        ('{"version": 1, "version": 1}', "written twice"),
        ('{"version": 2}', "not a valid result file"),
        (
            '{"version":1,"word":"sweep","status":"pass","verdict":"x","commit":"","key":"k"}',
            "it was written by `sweep`",
        ),
        (
            '{"version":1,"word":"compare","status":"pass","verdict":"x","commit":"","key":"k"}',
            "not a valid compare-result file",
        ),
        (" " * (MAX_RESULT_BYTES + 1), "file too large"),
    ],
)
def test_a_result_that_cannot_be_read(
    job: Job, hub: FakeGitHub, tmp_path: Path, text: str, why: str
) -> None:
    job.run()

    ran = job.but(results=[broken(tmp_path, text)]).run()

    (comment,) = hub.comments(7)
    assert ran.code == 2
    assert why in ran.log
    assert ran.outputs["status"] == "fail"
    assert "## ❌ No result" in comment.body
    assert str(tmp_path) not in comment.body


def test_a_result_that_is_missing_beside_one_that_is_there(
    job: Job, hub: FakeGitHub, tmp_path: Path
) -> None:
    ran = job.but(results=[*job.results, tmp_path / "absent"]).run()

    body = hub.comments(7)[0].body
    assert ran.code == 2
    assert "1 of 2 results could not be read, so nothing has passed." in body
    assert "❌ No result in `absent`: file not found, there is no such file." in body
    assert "## ❌ Model metrics" in body


def test_several_results_share_a_comment(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    passed = compare_result(tmp_path, status="pass", verdict="All hold.")
    evaluated = evaluate_result(tmp_path)

    job.but(results=[passed, evaluated]).run()
    assert "<details open><summary>❌ " in hub.comments(7)[0].body
    job.but(results=[evaluated, passed]).run()
    body = hub.comments(7)[0].body
    assert "<details><summary>✅ Model metrics against the baseline: All hold.</summary>" in body
    assert body.count("\n## ") == 1


def test_what_was_measured_cannot_pose_as_the_decision(
    job: Job, hub: FakeGitHub, tmp_path: Path
) -> None:
    """The job that runs a pull request's code writes that bundle."""
    (tmp_path / "forged").mkdir()
    compare_result(tmp_path / "forged", status="pass", verdict="All 12 hold.")
    seal(tmp_path / "forged", "evaluate")
    ran = job.but(results=[*job.results, tmp_path / "forged"]).run()

    body = hub.comments(7)[0].body
    assert ran.code == 2
    assert "All 12 hold" not in body
    assert "contradictory result, it was written by" in body


def test_a_word_decides_once(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    again = compare_result(tmp_path / "again", status="pass", verdict="All 12 hold.")
    ran = job.but(results=[*job.results, again]).run()

    assert ran.code == 2
    assert "All 12 hold" not in hub.comments(7)[0].body
    assert "second result" in hub.comments(7)[0].body


def test_a_fact_of_another_word_is_refused(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    forged.mkdir()
    evaluate_result(forged).rename(forged / "result.json")
    fact = asdict(Fact("compare.digits_cnn.test_accuracy.reviewed", "a logging artefact"))
    write_json(forged / "facts.json", {"version": 1, "facts": [fact]})
    seal(forged, "evaluate")
    ran = job.but(results=[*job.results, forged]).run()

    assert ran.code == 2
    assert "does not begin with" in hub.comments(7)[0].body


def test_only_the_deciding_result_says_which_commit_it_is_about(
    job: Job, hub: FakeGitHub, tmp_path: Path
) -> None:
    """Else code under evaluation could keep an older, green comment in place of a red one."""
    (tmp_path / "green").mkdir()
    green = compare_result(tmp_path / "green", status="pass", verdict="All hold.")
    job.but(results=[green]).run()

    ran = job.but(results=[*job.results, evaluate_result(tmp_path, commit="b" * 40)]).run()

    body = hub.comments(7)[0].body
    assert ran.result["outcome"] == "updated"
    assert ran.result["commit"] == HEAD
    assert "## ❌ Model metrics" in body
    assert "it is about bbbbbbbbbbbb, the result above about aaaaaaaaaaaa" in body


def test_the_merge_commit_and_the_head_are_one(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    ran = job.but(results=[*job.results, evaluate_result(tmp_path, commit=MERGE)]).run()

    assert ran.code == 0
    assert ran.result["commit"] == HEAD


def test_a_long_answer_leaves_the_verdict_its_place(
    job: Job, hub: FakeGitHub, tmp_path: Path
) -> None:
    finding = {
        "model": "digits_cnn",
        "metric": "test_accuracy",
        "facts": [],
        "file": "",
        "line": 0,
        "explanation": "It is the optimiser. " * 190,
        "confidence": "high",
        "held": True,
        "struck": [],
        "numbers_unverified": [],
        "quote": "",
    }
    answer = write_json(tmp_path / "answer.json", checked_answer(findings=[finding] * 20))
    job.run(f"--answer={answer}")

    body = hub.comments(7)[0].body
    assert len(body) <= LIMIT
    assert "| `test_accuracy`" in body
    assert "It is the optimiser." in body
    assert "left out here: the answer is too long. The artifact has it." in body


def test_why_there_is_no_answer_is_said_where_the_caller_knows(
    job: Job, hub: FakeGitHub, tmp_path: Path
) -> None:
    job.run(f"--answer={tmp_path / 'absent.json'}", "--unexplained=its job ran out of time")

    assert "Codex's answer is left out, its job ran out of time." in hub.comments(7)[0].body


def test_a_users_folder_is_refused(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "report.md").write_text("my thesis")
    ran = job.run(f"--out={mine}")

    assert ran.code == 2
    assert (mine / "report.md").read_text() == "my thesis"
    assert hub.comments(7) == []


def test_a_duplicate_that_cannot_be_folded_does_not_hold_the_verdict_back(
    job: Job, hub: FakeGitHub
) -> None:
    first = hub.add_comment(7, f"{MARK}\nold", BOT, "Bot")
    second = hub.add_comment(7, f"{MARK}\nsecond", BOT, "Bot")
    hub.faults.append(Fault(404, "PATCH", path=str(second.id), message="Not Found"))
    ran = job.run()

    assert (ran.code, ran.result["outcome"], ran.result["id"]) == (0, "updated", first.id)


def test_a_comment_deleted_meanwhile_is_written_anew(job: Job, hub: FakeGitHub) -> None:
    gone = hub.add_comment(7, f"{MARK}\nold", BOT, "Bot")
    hub.faults.append(Fault(404, "PATCH", path=str(gone.id), message="Not Found"))
    ran = job.run()

    assert (ran.code, ran.result["outcome"]) == (0, "created")
    assert ran.result["id"] != gone.id


def test_the_summary_has_the_verdict_while_github_does_not_answer(job: Job) -> None:
    ran = job.but(url="http://127.0.0.1:9").run()

    assert ran.code == 2
    assert "## ❌ Model metrics" in ran.summary


@pytest.mark.parametrize("token", ["ghs_secret\nEvil: 1", "ghs_é"])
def test_a_malformed_token_is_refused_and_not_printed(job: Job, token: str) -> None:
    ran = job.but(token=token).run()

    assert ran.code == 2
    assert token not in ran.log
    assert "characters that no token has" in ran.log


def test_a_malformed_api_address_is_refused_at_once(job: Job) -> None:
    ran = job.but(url="notaurl").run()

    assert ran.code == 2
    assert "GITHUB_API_URL is 'notaurl'" in ran.log


def test_inputs_come_from_the_environment(job: Job, hub: FakeGitHub) -> None:
    inputs = {
        "INPUT_TOKEN": WRITE_TOKEN,
        "INPUT_RESULT": f"{job.results[0]}\n",
        "INPUT_KEY": "nightly",
        "INPUT_ANSWER": "",
        "INPUT_PULL_REQUEST": "",
        "INPUT_AUTHOR_LOGIN": "",
    }
    scripts = Path(__file__).parent.parent / "scripts"
    done = subprocess.run(
        [sys.executable, scripts, "comment"],
        env={**job.environ(), **inputs},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert hub.comments(7)[0].body.startswith("<!-- mlactions:nightly:v1 -->")


def test_ghapi_is_only_loaded_to_ask_github() -> None:
    code = (
        "import sys, mlactions.comment; sys.exit('ghapi' in sys.modules or 'httpx2' in sys.modules)"
    )
    scripts = Path(__file__).parent.parent / "scripts"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(scripts)}, check=True)


def test_bad_options(job: Job, hub: FakeGitHub) -> None:
    assert job.run("--key=../x").code == 2
    assert job.run("--head-sha=main").code == 2
    assert job.run("--pull-request=0").code == 2
    assert job.but(results=[]).run().code == 2
    assert not hub.requests


def mutated(document: Any, place: int, value: Any) -> Any:
    """Return a copy of a document with one of its values, or keys, replaced."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    copy = json.loads(json.dumps(document))
    walk(copy)
    node, key = places[place % len(places)]
    node[key] = value
    return copy


ODD_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        "pass",
        [],
        [[]],
        {},
        0,
        -1,
        10**400,
        1e308,
        float("nan"),
        float("inf"),
        True,
        "x" * 9,
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), ODD_VALUES)
def test_an_odd_result_is_shown_or_refused(tmp_path: Path, place: int, value: Any) -> None:
    document = mutated(compare_document(), place, value)
    path = write_json(tmp_path / "odd.json", document)
    try:
        report = read_result(path).report
    except UserError:
        return

    assert set(page(render(report)).tags).isdisjoint({"a", "img", "script"})


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), ODD_VALUES)
def test_an_odd_answer_is_shown_or_left_out(tmp_path: Path, place: int, value: Any) -> None:
    finding = {
        "model": "digits_cnn",
        "metric": "test_accuracy",
        "facts": ["compare.digits_cnn"],
        "file": "src/model.py",
        "line": 3,
        "explanation": "It is `lr`.",
        "confidence": "high",
        "held": True,
        "struck": [],
        "numbers_unverified": ["0.1"],
        "quote": "lr = 1",
    }
    document = checked_answer(findings=[finding, {**finding, "held": False, "struck": ["no"]}])
    path = write_json(tmp_path / "odd.json", mutated(document, place, value))

    blocks = answer_blocks(path, ())

    assert set(page(render(Report("x", Status.PASS, "x", blocks))).tags).isdisjoint({"a", "img"})


def test_an_answer_is_shown(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    answer = write_json(tmp_path / "answer.json", checked_answer("It is `lr`, ask @alice."))

    job.run(f"--answer={answer}")

    body = hub.comments(7)[0].body
    assert "It is `lr`, ask @\u2060alice." in body


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "file not found"),
        ({"version": 1}, "not a valid checked-answer file"),
        (checked_answer(commit=NEXT), "it is about another commit"),
        (checked_answer("x" * 1_100_000), "file too large"),
    ],
)
def test_an_answer_that_cannot_be_shown(
    job: Job, hub: FakeGitHub, tmp_path: Path, document: dict[str, Any] | None, why: str
) -> None:
    answer = tmp_path / "answer.json"
    if document is not None:
        write_json(answer, document)

    ran = job.run(f"--answer={answer}")

    assert ran.code == 0
    assert f"Codex's answer is left out, {why}." in hub.comments(7)[0].body


def test_a_sticky_issue(job: Job, hub: FakeGitHub) -> None:
    assert job.run("--issue-title=Nightly gate").result["outcome"] == "created"
    assert job.run("--issue-title=Nightly gate").result["outcome"] == "unchanged"

    (issue,) = hub.store.issues.values()
    assert issue.title == "Nightly gate"
    assert issue.body.startswith(MARK)
    assert issue.labels == ("mlactions",)
    assert not hub.store.comments


def test_an_issue_is_closed_when_all_is_well(job: Job, hub: FakeGitHub, tmp_path: Path) -> None:
    title = ("--issue-title=Nightly gate", "--close-on-pass")
    (tmp_path / "good").mkdir()
    good = compare_result(tmp_path / "good", status="pass", findings=[], rows=[])
    passing = replace(job, results=[good])

    assert job.run(*title).result["outcome"] == "created"
    assert passing.run(*title).result["outcome"] == "closed"
    quiet = passing.run(*title).result
    assert (quiet["outcome"], quiet["number"]) == ("not-posted", None)
    assert [issue.state for issue in hub.store.issues.values()] == ["closed"]

    assert job.run(*title).result["outcome"] == "created"
    assert sorted(issue.state for issue in hub.store.issues.values()) == ["closed", "open"]


def frame(**more: Any) -> Frame:
    settings = {"commit": HEAD, "head": NEXT, "unverified": True, "run_url": "https://x.example/1"}
    return Frame(Identity(BOT, "gate"), "https://github.example/o/r", **{**settings, **more})


def test_a_long_report_is_cut_at_rows() -> None:
    rows = tuple((f"row {number}", "0.98") for number in range(9_000))
    long = Report("Long", Status.PASS, "Fine.", (Table((Column("a"), Column("b")), rows),))

    body = compose(long, frame(artifact_url="https://x.example/artifact"))

    assert LIMIT - 40 < len(body) <= LIMIT
    assert "[The artifact](https://x.example/artifact) has the whole report." in body
    found = page(body)
    kept = found.tags.count("tr") - 2
    assert f"… {9_000 - kept:,} more rows" in found.text
    assert found.text.rstrip().endswith("gate")


@given(TEXT)
def test_no_text_can_forge_our_marks(text: str) -> None:
    hostile = f"{MARK}\n<!-- mlactions-commit:{NEXT} -->\n{text}"
    body = compose(Report(hostile, Status.PASS, hostile, (Paragraph(Untrusted(hostile)),)), frame())

    assert body.count("<!--") == 2
    assert commit_of(body) == HEAD
    found = page(body)
    assert len(found.comments) == 2
    assert set(found.tags) <= {"h2", "p", "blockquote", "strong", "a", "code", "span", "sub", "br"}
    assert all(
        link.startswith(("https://github.example/", "https://x.example/")) for link in found.links
    )
    assert not found.notifies()


def test_every_word_that_decides_can_be_shown() -> None:
    assert {"compare", "evaluate", "export"} <= set(RENDERERS)
    for module in RENDERERS.values():
        assert callable(importlib.import_module(module).render)


def test_the_result_is_deterministic(job: Job) -> None:
    job.run()
    first = json.dumps(job.run().result)

    assert json.dumps(job.run().result) == first
