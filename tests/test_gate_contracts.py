"""When each job of the gate runs, and that the gate written out is the reusable one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dev.lint_model import Job, Step, as_mapping, documents
from tests.expressions import Situation

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = {document.name: document for document in documents(ROOT)}
WHOLE, WRITTEN, FORK = (
    DOCUMENTS[name]
    for name in (
        ".github/workflows/gate.yml",
        "workflows/gate-jobs.yml",
        "workflows/gate-fork-comment.yml",
    )
)
REUSABLE = {job.name: job for job in WHOLE.jobs}
COPIED = {job.name: job for job in WRITTEN.jobs}

US, THEM = "octo/digits", "mallory/digits"
HOSTED, OWN = '"ubuntu-24.04"', '["self-hosted", "gpu"]'
HEAD = "github.event.pull_request.head.repo.full_name"
PUSH: Mapping[str, Any] = {"github.event_name": "push", "github.repository": US}
PULL: Mapping[str, Any] = {**PUSH, "github.event_name": "pull_request", HEAD: US}
STRANGERS: Mapping[str, Any] = {**PULL, HEAD: THEM}
GONE: Mapping[str, Any] = {**PULL, HEAD: None, "github.event.pull_request.number": 7}


def runs(job: Job, values: Mapping[str, Any], *, cancelled: bool = False) -> bool:
    """Tell whether a job runs; it sees the jobs it needs and no others."""
    needs = job.data.get("needs", ())
    seen = {
        name: value
        for name, value in values.items()
        if not name.startswith("needs.") or name.split(".")[1] in needs
    }
    return Situation(seen, cancelled).runs(job.data.get("if", ""))


def plan(result: str = "skipped", runner: str = HOSTED) -> dict[str, str]:
    return {"needs.plan.result": result, "inputs.runner": runner}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({**PUSH, **plan()}, True),
        ({**PUSH, **plan("success", OWN)}, True),
        ({**PULL, **plan(runner=OWN)}, True),
        ({**STRANGERS, **plan()}, True),
        ({**STRANGERS, **plan(runner='"ubuntu-latest"')}, True),
        ({**STRANGERS, **plan(runner=OWN)}, False),
        ({**STRANGERS, **plan(runner='["ubuntu-24.04", "gpu"]')}, False),
        ({**STRANGERS, **plan(runner='"gpu"')}, False),
        ({**GONE, **plan(runner=OWN)}, False),
        ({**PULL, **plan("failure")}, False),
        ({**PULL, "github.event_name": "pull_request_target", **plan()}, False),
        ({**PUSH, "github.event_name": "workflow_run", **plan()}, False),
        ({**PUSH, "github.event_name": "issue_comment", **plan()}, False),
    ],
)
def test_when_the_reusable_gate_runs_code(values: Mapping[str, Any], expected: bool) -> None:
    assert runs(REUSABLE["evaluate"], values) is expected
    assert not runs(REUSABLE["evaluate"], values, cancelled=True)


BY_RUNNER = [
    job
    for document in DOCUMENTS.values()
    for job in document.jobs
    if "inputs.runner" in str(job.data.get("runs-on"))
]


@pytest.mark.parametrize("job", BY_RUNNER, ids=lambda job: job.name)
@pytest.mark.parametrize(
    "event", ["pull_request", "pull_request_review", "pull_request_review_comment", "merge_group"]
)
def test_no_event_brings_a_forks_code_to_a_runner_of_ours(job: Job, event: str) -> None:
    for pull, runner, expected in (
        (STRANGERS, OWN, False),
        (GONE, OWN, False),
        (STRANGERS, HOSTED, True),
        (PULL, OWN, True),
    ):
        values = {**pull, "github.event_name": event, **plan(runner=runner)}
        assert runs(job, values) is expected


def test_the_jobs_that_run_on_a_runner_of_the_callers_are_found() -> None:
    assert {job.name for job in BY_RUNNER} >= {"evaluate", "measure"}


@pytest.mark.parametrize(
    ("values", "expected"), [(PUSH, True), (PULL, True), (STRANGERS, False), (GONE, False)]
)
def test_when_the_written_out_gate_runs_code(values: Mapping[str, Any], expected: bool) -> None:
    assert runs(COPIED["evaluate"], values) is expected


@pytest.mark.parametrize("status", ["fail", "warn", "pass", "skipped", "refused", ""])
@pytest.mark.parametrize("explain", ["failure", "always", "never"])
@pytest.mark.parametrize("given", ["true", "false", ""])
def test_when_the_reusable_gate_asks(status: str, explain: str, given: str) -> None:
    decided = {"needs.compare.result": "failure", "needs.compare.outputs.status": status}
    values = {
        **PULL,
        **decided,
        "needs.compare.outputs.has-key": given,
        "inputs.explain": explain,
    }
    wanted = {"failure": status in ("fail", "warn"), "always": status != "", "never": False}
    assert runs(REUSABLE["ask"], values) is (wanted[explain] and given == "true")
    assert not runs(REUSABLE["ask"], values, cancelled=True)


@pytest.mark.parametrize("status", ["fail", "warn", "pass", "skipped", ""])
def test_when_the_written_out_gate_asks(status: str) -> None:
    decided = {"needs.compare.result": "failure", "needs.compare.outputs.status": status}
    for event in (PUSH, PULL):
        assert runs(COPIED["ask"], {**event, **decided}) is (status in ("fail", "warn"))
        assert not runs(COPIED["ask"], {**event, **decided}, cancelled=True)
    for event in (STRANGERS, GONE):
        assert not runs(COPIED["ask"], {**event, **decided})


@pytest.mark.parametrize("jobs", [REUSABLE, COPIED], ids=["reusable", "written out"])
def test_the_verdict_and_the_comment_do_not_wait_for_success(jobs: Mapping[str, Job]) -> None:
    for result in ("success", "failure", "skipped", "cancelled"):
        ended = {f"needs.{name}.result": result for name in jobs}
        assert runs(jobs["compare"], {**PULL, **ended}, cancelled=True)
        assert runs(jobs["comment"], {**PULL, **ended})
        assert not runs(jobs["comment"], {**PUSH, **ended})


def test_only_a_run_of_a_forks_pull_request_is_followed() -> None:
    (job,) = FORK.jobs
    follows = "github.event.workflow_run"
    names = (f"{follows}.event", f"{follows}.head_repository.full_name", "github.repository")

    def followed(*values: str) -> bool:
        return runs(job, dict(zip(names, values, strict=True)))

    assert followed("pull_request", THEM, US)
    assert not followed("pull_request", US, US)
    assert not followed("push", THEM, US)


@pytest.mark.parametrize("document", [WHOLE, WRITTEN, FORK], ids=lambda document: document.name)
def test_a_newer_run_ends_an_older_one(document: Any) -> None:
    assert as_mapping(document.data["concurrency"])["cancel-in-progress"] == "true"


@pytest.mark.parametrize("name", sorted(COPIED))
def test_the_written_out_job_may_do_and_cost_what_the_reusable_one_may(name: str) -> None:
    copied, reusable = COPIED[name], REUSABLE[name]
    assert copied.permissions == reusable.permissions
    wanted = [need for need in reusable.data.get("needs", ()) if need != "plan"]
    assert copied.data.get("needs", []) == wanted
    if name == "evaluate":
        # The caller of the reusable one may keep a cache, so it follows GitHub's default.
        assert (copied.data["cache-mode"], reusable.data.get("cache-mode")) == ("read", None)
        assert reusable.data["timeout-minutes"] == "${{ inputs.timeout-minutes }}"
        assert "350" == copied.data["timeout-minutes"] == _default("timeout-minutes")
        return
    assert copied.data["cache-mode"] == reusable.data["cache-mode"] == "none"
    limits = {"compare": "15", "ask": "20", "comment": "10"}
    assert copied.data["timeout-minutes"] == reusable.data["timeout-minutes"] == limits[name]
    assert copied.data["runs-on"] == reusable.data["runs-on"] == "ubuntu-24.04"


# Steps that only the reusable gate needs: what a copy would simply be edited to do.
SPARED = {
    "Restore the cache",
    "Restore results of the base",
    "Fetch data",
    "Is there a key?",
    "Fetch the plan",
}


@pytest.mark.parametrize("name", sorted(COPIED))
def test_the_written_out_job_has_the_steps_of_the_reusable_one(name: str) -> None:
    copied, reusable = by_name(COPIED[name]), by_name(REUSABLE[name])
    assert list(copied) == [step for step in reusable if step not in SPARED]
    for step, found in copied.items():
        wanted = reusable[step]
        assert found.uses.split("/actions/")[-1] == wanted.uses.split("/actions/")[-1], step
        for key in ("continue-on-error", "env"):
            if step != "Install":
                assert found.data.get(key) == wanted.data.get(key), step
        if step not in ("Install", "Set up Python"):
            assert found.data.get("if") == wanted.data.get("if"), step
            assert found.script == wanted.script, step


@pytest.mark.parametrize("name", sorted(COPIED))
def test_the_written_out_job_hands_on_what_the_reusable_one_does(name: str) -> None:
    """Left out may only be what a caller of the reusable gate sets, and its shards."""
    copied, reusable = by_name(COPIED[name]), by_name(REUSABLE[name])
    for step, found in copied.items():
        wanted = {key: v for key, v in reusable[step].given.items() if key not in ARTIFACT}
        given = {key: v for key, v in found.given.items() if key not in ARTIFACT}
        callers = {key for key, value in wanted.items() if BY_CALLER.search(value)}
        assert set(given) <= set(wanted), step
        assert set(wanted) - set(given) <= callers, step
        for key in set(given) - callers:
            assert given[key] == wanted[key], f"{step}: {key}"


# An artifact is named after the key of the run, and after its shard.
ARTIFACT = {"name", "pattern"}
BY_CALLER = re.compile(r"\b(inputs|matrix|secrets)\.")


def test_the_key_and_the_answer_arrive() -> None:
    for jobs, key in ((REUSABLE, "openai-api-key"), (COPIED, "OPENAI_API_KEY")):
        ask, comment = by_name(jobs["ask"])["Ask"], by_name(jobs["comment"])["Comment"]
        assert ask.given["openai-api-key"] == f"${{{{ secrets.{key} }}}}"
        assert "/ask/checked-answer.json" in comment.given["answer"]
    why = [by_name(jobs["comment"])["Comment"].given["unexplained"] for jobs in (COPIED, REUSABLE)]
    shared = why[0].removesuffix("|| '' }}")
    assert shared.count("needs.ask.result ==") == 2
    assert why[1].startswith(shared)


def by_name(job: Job) -> dict[str, Step]:
    return {step.data["name"]: step for step in job.steps}


def _default(name: str) -> str:
    inputs = as_mapping(as_mapping(as_mapping(WHOLE.data["on"])["workflow_call"])["inputs"])
    return str(as_mapping(inputs[name])["default"])
