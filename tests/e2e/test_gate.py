"""The gate end to end: real workflows, real actions, real processes, without a key."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeScratch
from tests.e2e.gate_repository import (
    BASELINE,
    BASELINE_FILE,
    EVALUATE,
    caller,
    python_folder,
    repository,
)
from tests.e2e.harness import Act, Run
from tests.e2e.harness_repository import PullRequest
from tests.fakes.github import READ_TOKEN, FakeGitHub

REGRESSION = {"configs/small.yaml": "accuracy: 0.91\n"}


@dataclass(frozen=True)
class Gate:
    """Runs the gate on a pull request of the small repository."""

    act: Act
    scratch: MakeScratch
    hub: FakeGitHub
    env: Mapping[str, str]

    def run(
        self,
        changes: Mapping[str, str],
        *,
        files: Mapping[str, str] | None = None,
        fork: str | None = None,
        token: str | None = None,
    ) -> tuple[Run, PullRequest]:
        """Open a pull request with these changes and run its workflow."""
        project = self.scratch(files or repository())
        pull = project.pull_request(changes, fork=fork)
        self.hub.add_pull(pull.number, pull.head_sha)
        run = self.act.run(
            project,
            "pull_request",
            payload=pull.payload,
            api=self.hub.url,
            env=self.env,
            secrets={"GITHUB_TOKEN": token} if token else {},
        )
        return run, pull


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Let the stand-in for setup-python offer this machine's Python."""
    folder = python_folder(tmp_path / "python", Path(sys.executable))
    return {"MLACTIONS_TEST_PYTHON": str(folder)}


@pytest.fixture
def gate(act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]) -> Gate:
    return Gate(act, scratch, hub, env)


def jobs(run: Run) -> dict[str, str | None]:
    """Return the jobs that ran, by id, with their results."""
    return {job.id: job.result for job in run.jobs if job.id != "gate"}


def result_of(run: Run, artifact: str) -> Any:
    return json.loads((run.artifacts / artifact / "result.json").read_text())


def errors(run: Run, job: str) -> str:
    return "\n".join(
        f"{note.fields.get('file', '')}:{note.fields.get('line', '')} {note.message}"
        for note in run.job(job).annotations
        if note.level == "error"
    )


def test_a_change_that_keeps_the_metrics_passes_and_says_so_in_one_comment(gate: Gate) -> None:
    run, pull = gate.run({"configs/small.yaml": "accuracy: 0.981\n"})

    assert jobs(run) == {"evaluate": "success", "compare": "success", "comment": "success"}, run.log
    result = result_of(run, "compare-gate")
    assert (result["status"], result["commit"], result["key"]) == ("pass", pull.head_sha, "gate")
    (comment,) = gate.hub.comments(pull.number)
    assert comment.body.startswith("<!-- ")
    assert "val_accuracy" in comment.body
    assert pull.head_sha[:7] in comment.body
    assert "val_accuracy" in run.job("compare").summary
    evaluation = json.loads((run.artifacts / "evaluate-gate.1/evaluation.json").read_text())
    assert evaluation["expected"] == ["small"]
    assert [entry["model"] for entry in evaluation["skipped"]] == ["other"]


def test_a_regression_turns_the_check_red_and_names_rule_and_line(gate: Gate) -> None:
    run, pull = gate.run(REGRESSION)

    assert jobs(run) == {"evaluate": "success", "compare": "failure", "comment": "success"}, run.log
    assert run.exit_code == 1
    assert result_of(run, "compare-gate")["status"] == "fail"
    line = BASELINE.splitlines().index("      val_accuracy: " + _rule("0.98")) + 1
    assert f"{BASELINE_FILE}:{line} val_accuracy of small fell by" in errors(run, "compare")
    body = gate.hub.comments(pull.number)[0].body
    assert "fell by" in body
    assert "there is no API key" in body


def _rule(value: str) -> str:
    return next(
        line.strip().partition(": ")[2] for line in BASELINE.splitlines() if f"[{value}," in line
    )


def test_a_second_push_updates_the_comment_and_not_the_verdict_of_another_commit(
    act: Act, scratch: MakeScratch, hub: FakeGitHub, env: dict[str, str]
) -> None:
    project = scratch(repository())
    pull = project.pull_request(REGRESSION)
    hub.add_pull(pull.number, pull.head_sha)
    run = act.run(project, "pull_request", payload=pull.payload, api=hub.url, env=env, run_id=1)
    (first,) = hub.comments(pull.number)

    hub.push(pull.number, "f" * 40)
    again = act.run(project, "pull_request", payload=pull.payload, api=hub.url, env=env, run_id=2)

    assert run.exit_code == again.exit_code == 1
    (second,) = hub.comments(pull.number)
    assert second.id == first.id
    assert "fffffff" in second.body
    assert "fffffff" not in first.body


def test_a_crash_and_a_time_out_fail_the_gate_and_the_others_are_still_judged(gate: Gate) -> None:
    workflow = caller(evaluation_timeout_minutes="0.02")
    files = repository(workflow, **{"configs/fine.yaml": "accuracy: 0.95\n"})
    changes = {
        "configs/small.yaml": "accuracy: crash\n",
        "configs/other.yaml": "accuracy: hang\n",
        "configs/fine.yaml": "accuracy: 0.951\n",
    }
    run, pull = gate.run(changes, files=files)

    assert jobs(run) == {"evaluate": "failure", "compare": "failure", "comment": "success"}, run.log
    evaluation = json.loads((run.artifacts / "evaluate-gate.1/evaluation.json").read_text())
    outcomes = {entry["model"]: entry["outcome"] for entry in evaluation["evaluations"]}
    assert outcomes == {"small": "crashed", "other": "timed-out", "fine": "ok"}
    body = gate.hub.comments(pull.number)[0].body
    assert "crashed" in body
    assert "timed-out" in body or "timed out" in body
    assert "CUDA out of memory" in run.job("evaluate").log


def test_a_change_that_touches_no_model_is_skipped_and_green(gate: Gate) -> None:
    run, _ = gate.run({"README.md": "hello\n"})

    assert run.exit_code == 0, run.log
    assert result_of(run, "compare-gate")["status"] == "skipped"


def test_an_evaluation_that_never_ran_is_no_pass(gate: Gate) -> None:
    """A machine of the caller's own refuses a fork's code; the required check is red then too."""
    files = repository(caller(runner="'\"self-hosted\"'"))
    change = {"configs/small.yaml": "accuracy: 0.981\n"}
    run, pull = gate.run(change, files=files, fork="eve/digits")

    assert jobs(run) == {"compare": "failure", "comment": "failure"}, run.log
    assert "The evaluation was skipped" in errors(run, "compare")
    assert "No result" in gate.hub.comments(pull.number)[0].body


def test_an_event_that_runs_with_secrets_for_strangers_measures_nothing(
    act: Act, scratch: MakeScratch
) -> None:
    workflow = caller().replace("[push, pull_request]", "pull_request_target")
    project = scratch(repository(workflow))
    pull = project.pull_request({"configs/small.yaml": "accuracy: 0.981\n"}, fork="eve/digits")

    run = act.run(project, "pull_request_target", payload=pull.payload)

    assert jobs(run) == {"compare": "failure"}, run.log


def test_a_review_starts_no_fork_code_on_a_machine_of_the_caller(
    act: Act, scratch: MakeScratch
) -> None:
    """Other events bring a fork's head too: the guard asks for the head, not for the event."""
    workflow = caller(runner="""'"self-hosted"'""")
    workflow = workflow.replace("[push, pull_request]", "pull_request_review")
    project = scratch(repository(workflow))
    pull = project.pull_request({"configs/small.yaml": "accuracy: 0.981\n"}, fork="eve/digits")

    run = act.run(project, "pull_request_review", payload=pull.payload)

    assert jobs(run) == {"compare": "failure"}, run.log


def test_a_warning_without_a_key_says_why_nobody_explains_it(gate: Gate) -> None:
    lenient = BASELINE.replace("direction: higher,", "direction: higher, severity: warn,")
    run, pull = gate.run(REGRESSION, files=repository(**{BASELINE_FILE: lenient}))

    assert result_of(run, "compare-gate")["status"] == "warn", run.log
    assert "there is no API key" in gate.hub.comments(pull.number)[0].body


def test_a_fork_gets_its_verdict_without_comment_and_without_key(gate: Gate) -> None:
    changes = {"configs/small.yaml": "accuracy: 0.981\n"}
    run, pull = gate.run(changes, fork="eve/digits", token=READ_TOKEN)

    assert jobs(run) == {"evaluate": "success", "compare": "success", "comment": "success"}, run.log
    assert run.exit_code == 0
    assert gate.hub.comments(pull.number) == []
    notices = [note for note in run.job("comment").annotations if note.level == "notice"]
    assert notices, run.job("comment").log
    assert "val_accuracy" in run.job("comment").summary


def test_a_pull_request_that_loosens_its_own_baseline_is_judged_by_the_old_one(gate: Gate) -> None:
    loose = BASELINE.replace("absolute: 0.005", "absolute: 0.5")
    run, pull = gate.run({**REGRESSION, BASELINE_FILE: loose})

    assert run.job("compare").result == "failure", run.log
    assert result_of(run, "compare-gate")["status"] == "fail"
    body = gate.hub.comments(pull.number)[0].body
    assert "absolute: 0.5" in body
    assert "would" in body


# Finds the runner's files through /proc, as code under evaluation can, and leaves a daemon.
POISON = """
import glob, os, re, subprocess, sys

print("::set-output name=status::pass")
print("::add-mask::fell by")
print("::error title=forged::forged by the evaluated code", flush=True)
home = {home!r}
lines = {{"ENV": f"BASH_ENV={{home}}/evil.sh", "PATH": f"{{home}}/bin", "OUTPUT": "status=pass"}}
found = set()
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        text = open(path, errors="replace").read()
    except OSError:
        continue
    found |= set(re.findall(r"GITHUB_(ENV|PATH|OUTPUT)=([^\\0]+)", text))
# Only this run's files: the machine may have other runs on it.
run = re.match(r".*?/act-[^/]+/", os.getcwd()).group()
found = {{(name, path) for name, path in found if path.startswith(run)}}
for name, path in found:
    try:
        with open(path, "a") as file:
            file.write(lines[name] + chr(10))
    except OSError:
        pass
subprocess.Popen(["setsid", "sh", "-c", f"sleep 20; touch {{home}}/daemon-lived"])
"""
EVIL = """
echo "$GITHUB_JOB" >>{home}/ran-in
case $GITHUB_JOB in compare | comment | ask) export RESULT=success; exit 0 ;; esac
"""


def test_code_that_poisons_its_job_reaches_no_other(gate: Gate, tmp_path: Path) -> None:
    home = tmp_path / "evil"
    (home / "bin").mkdir(parents=True)
    (home / "evil.sh").write_text(EVIL.format(home=home))
    script = EVALUATE + POISON.format(home=str(home))
    run, pull = gate.run({**REGRESSION, "scripts/evaluate.py": script})

    assert run.job("compare").result == "failure", run.log
    assert result_of(run, "compare-gate")["status"] == "fail"
    assert "fell by" in errors(run, "compare")
    assert "fell by" in gate.hub.comments(pull.number)[0].body
    assert "forged" not in errors(run, "evaluate")
    # The attack was live: its code ran in later steps of its own job, and in no other job.
    assert set((home / "ran-in").read_text().split()) == {"evaluate"}


def test_many_configs_fan_out_over_jobs_and_come_back_together(gate: Gate) -> None:
    files = repository(caller(shards="2"))
    changes = {**REGRESSION, "configs/other.yaml": "accuracy: 0.951\n"}
    run, _ = gate.run(changes, files=files)

    assert [job.id for job in run.jobs if job.id == "evaluate"] == ["evaluate", "evaluate"], run.log
    assert run.ran("plan")
    assert sorted(path.name for path in run.artifacts.iterdir()) == [
        "compare-gate",
        "evaluate-gate.1",
        "evaluate-gate.2",
        "plan-gate",
    ]
    result = result_of(run, "compare-gate")
    assert result["status"] == "fail"
    assert "small" in result["verdict"]
    assert '"other"' in json.dumps(result)


def test_the_merge_base_is_measured_beside_the_head_where_asked(gate: Gate) -> None:
    files = repository(caller(also_base="true"))
    run, pull = gate.run({"configs/small.yaml": "accuracy: 0.981\n"}, files=files)

    assert run.exit_code == 0, run.log
    bundle = run.artifacts / "evaluate-gate.1"
    head = json.loads((bundle / "metrics/small.json").read_text())
    base = json.loads((bundle / "base/metrics/small.json").read_text())
    assert (head["provenance"]["commit"], base["provenance"]["commit"]) == (
        pull.head_sha,
        pull.base_sha,
    )
    assert head["metrics"]["val_accuracy"] > base["metrics"]["val_accuracy"]
