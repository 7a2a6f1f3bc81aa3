"""run_sweep.sh with and without MLflow, `sweep status`, `sweep next`: nothing runs twice."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlactions import mlflow_tags
from mlactions.mlflow_store import open_store
from mlactions.runner import Runner
from mlactions.sweep.best import best, named
from mlactions.sweep.cli import finish
from mlactions.sweep.jobs import listed
from mlactions.sweep.lookup import Reuse, look_up
from mlactions.sweep.manifest import Manifest
from mlactions.sweep.model import Metric
from mlactions.sweep.settings import Settings
from mlactions.sweep.user import sweep_trials
from mlactions.sweep.user.sweep_trials import Attempt, State, Sweep, numbers_in
from tests.mlflow_support import ROOT, TOOLS, Gatekeeper, Mlflow
from tests.sweep_support import Project

SPACE = """\
program: train.py
metric: {name: score, goal: maximize}
retry: 1
parameters:
  training.max_lr: {values: [0.1, 0.2, 0.3]}
"""
PATIENCE = 240.0
"""Seconds: longer than any loaded machine needs."""

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def names(project: Project) -> list[str]:
    return [call["argv"][1].partition("=")[2][:4] for call in project.calls()]


def test_every_trial_runs_once_with_its_tags(tmp_path: Path) -> None:
    project = Project.make(tmp_path, SPACE)
    project.sweep("--data-version", "v7")
    done = project.start()
    assert (done.returncode, names(project)) == (0, ["0001", "0002", "0003"])
    row = project.manifest()["trials"][0]
    call = project.calls()[0]
    assert call["argv"] == [
        "--config-name=train",
        f"+sweeps/sweep={row['name']}",
        f"hydra.run.dir=outputs/sweeps/sweep/{row['name']}",
    ]
    assert json.loads(call["context"]) == {
        mlflow_tags.SWEEP: "sweep",
        mlflow_tags.TRIAL: "0001",
        mlflow_tags.CONFIG_HASH: f"sha256:{row['hash']}",
        mlflow_tags.SEED: "0",  # the config's
        mlflow_tags.COMMIT: "",
        mlflow_tags.DATA: "v7",
    }
    assert "[3/3] sweep 0003-" in done.stderr
    assert "about" in done.stderr
    assert "3 trials ended well" in done.stderr
    again = project.start()
    assert (again.returncode, len(project.calls())) == (0, 3)
    assert "3 finished" in again.stderr
    assert (project.folder() / ".state" / ".gitignore").read_text() == "*\n"
    best = project.start("--best")
    assert best.returncode == 1
    assert "set MLFLOW_TRACKING_URI, or generate the sweep with --tracking-uri" in best.stderr


def test_a_failing_trial_is_tried_again_and_stops_nobody(tmp_path: Path) -> None:
    project = Project.make(tmp_path, SPACE)
    project.sweep()
    (tmp_path / "flags" / "fail-0002").touch()
    (tmp_path / "flags" / "once-0003").touch()
    done = project.start()
    assert done.returncode == 1
    assert names(project) == ["0001", "0002", "0002", "0003", "0003"]
    assert "1 of 3 trials failed: 0002-" in done.stderr
    for words in ((), ("2",)):  # to name it asks for no more than `retry` allows
        again = project.start(*words)
        assert (again.returncode, len(project.calls())) == (1, 5)
        assert "1 failed" in again.stderr
        assert "sweep: 1 failed for good before; --again runs them once more" in again.stderr
    assert project.start("1").returncode == 0
    (tmp_path / "flags" / "fail-0002").unlink()
    assert project.start("--again", "--list").stdout.startswith("0002-")
    assert project.start("--again", "2").returncode == 0
    assert (project.start().returncode, len(project.calls())) == (0, 6)


def test_ranges_choose_trials_and_wrong_ones_are_named(tmp_path: Path) -> None:
    project = Project.make(tmp_path, SPACE)
    project.sweep()
    assert project.start("--list", "2-3").stdout.split("\n")[0].startswith("0002-")
    assert project.start("1,3").returncode == 0
    assert names(project) == ["0001", "0003"]
    for text in ("4", "0", "2-1", "x", "1;2", "1-²", "1-2٣", "1-"):
        done = project.start(text)
        assert (done.returncode, "error: '" in done.stderr) == (2, True), done.stderr
    assert project.start("--help").returncode == 2
    assert "run every trial that is missing" in project.start("--help").stdout


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.05)


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_a_trial_that_is_stopped_is_run_again(tmp_path: Path, kill: signal.Signals) -> None:
    project = Project.make(tmp_path, SPACE.replace("retry: 1", "retry: 0"))
    project.sweep()
    (tmp_path / "flags" / "wait-0002").touch()
    process = subprocess.Popen(
        ["bash", str(project.folder() / "run_sweep.sh")],
        env=project.environ({}),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(tmp_path / "flags" / "waiting")
    if kill is signal.SIGKILL:
        os.killpg(process.pid, kill)
    else:
        process.send_signal(kill)
    process.communicate(timeout=PATIENCE)
    assert process.returncode in {143, -signal.SIGKILL}
    (tmp_path / "flags" / "wait-0002").unlink()
    done = project.start()
    assert (done.returncode, names(project)) == (0, ["0001", "0002", "0002", "0003"])


STUBBORN = """\
import signal, sys, time
from pathlib import Path
if not Path("flags/told").exists():
    signal.signal(signal.SIGTERM, lambda *_: (Path("flags/told").touch(), sys.exit(1)))
    Path("flags/waiting").touch()
    time.sleep(60)
"""


def test_who_was_told_to_stop_has_not_failed(tmp_path: Path) -> None:
    space = SPACE.replace("[0.1, 0.2, 0.3]", "[0.1]").replace("retry: 1", "retry: 0")
    project = Project.make(tmp_path, space)
    project.sweep("--no-compose")
    (tmp_path / "train.py").write_text(STUBBORN)
    process = subprocess.Popen(
        ["bash", str(project.folder() / "run_sweep.sh")], env=project.environ({})
    )
    wait_for(tmp_path / "flags" / "waiting")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == 143
    assert project.start("--list").stdout.startswith("0001-")


def test_slurm_starts_a_task_again_that_it_took_away(tmp_path: Path) -> None:
    project = Project.make(tmp_path, SPACE.replace("retry: 1", "retry: 0"))
    project.sweep("--no-compose", "--backend", "slurm")
    (tmp_path / "flags" / "once-0002").touch()
    task = {"SLURM_ARRAY_TASK_ID": "2", "SWEEP_FOLDER": str(project.folder())}
    codes = [
        subprocess.run(
            ["bash", str(project.folder() / "sweep.sbatch")],
            env=project.environ({**task, **given}),
            check=False,
            timeout=PATIENCE,
        ).returncode
        for given in ({}, {}, {"SLURM_RESTART_COUNT": "1"})
    ]
    assert (codes, names(project)) == ([1, 1, 0], ["0002", "0002"])


def test_a_tracking_server_that_is_down_starts_nothing(tmp_path: Path) -> None:
    project = Project.make(tmp_path, SPACE)
    down = "http://127.0.0.1:9"
    assert project.sweep("--tracking-uri", down).code == 0  # generating needs no server
    environ = {
        **QUIET,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "SWEEP_PYTHON": str(TOOLS / "python"),
    }
    done = project.start(**environ)
    assert done.returncode == 2
    assert "error: MLflow cannot be read" in done.stderr
    assert not project.calls()
    asked = project.sweep("--tracking-uri", down, "--experiment", "digits")
    assert asked.code == 2
    assert "MLflow" in asked.said


def log(server: Mlflow, experiment: str, row: Mapping[str, Any], **changes: Any) -> str:
    """Log a run as a trial does."""
    tags = {
        mlflow_tags.SWEEP: "sweep",
        mlflow_tags.TRIAL: row["name"][:4],
        mlflow_tags.CONFIG_HASH: f"sha256:{row['hash']}",
        mlflow_tags.SEED: "" if row["seed"] is None else str(row["seed"]),
        mlflow_tags.COMMIT: changes.pop("commit", ""),
        mlflow_tags.DATA: changes.pop("data", ""),
        **changes.pop("tags", {}),
    }
    value = changes.pop("score", None)
    metrics = {} if value is None else {"score": [value]}
    given = changes.pop("params", None)
    params = {name: str(item) for name, item in row["overrides"].items()}
    params = params if given is None else given
    return server.run(experiment, params, tags=tags, metrics=metrics, **changes)


def tracked(tmp_path: Path, server: Mlflow, name: str, text: str) -> tuple[Project, str, list[str]]:
    """Generate a sweep that is recorded in an experiment of its own."""
    project = Project.make(tmp_path, text)
    experiment = server.experiment(name)
    given = ["--tracking-uri", server.uri, "--experiment", name]
    assert project.sweep(*given).code == 0
    return project, experiment, given


def test_only_what_is_missing_is_planned(tmp_path: Path, mlflow_server: Mlflow) -> None:
    text = SPACE.replace("[0.1, 0.2, 0.3]", "[1, 2, 3, 4, 5, 6, 7, 8]") + "seeds: 1\n"
    project, experiment, given = tracked(tmp_path, mlflow_server, "sweep-resume", text)
    rows = project.manifest()["trials"]
    now = int(time.time() * 1000)
    log(mlflow_server, experiment, rows[0], score=0.5)
    log(mlflow_server, experiment, rows[1], status="FAILED")
    for _ in range(2):
        log(mlflow_server, experiment, rows[2], status="FAILED")
    log(mlflow_server, experiment, rows[3], status="KILLED")
    log(mlflow_server, experiment, rows[4], status="RUNNING", start=now)
    log(mlflow_server, experiment, rows[5], commit="f" * 40)
    log(mlflow_server, experiment, rows[6], data="other")
    done = project.sweep(*given)
    assert done.code == 0, done.said
    assert [row["status"] for row in project.manifest()["trials"]] == [
        "finished",
        "retry",
        "failed",
        "preempted",
        "running",
        "missing",
        "missing",
        "missing",
    ]
    assert (done.result["left"], done.result["counts"]["left"]) == ("2,4,6-8", 5)
    across = project.sweep(*given, "--reuse-across-commits")
    assert across.result["left"] == "2,4,7-8"


def test_run_sweep_asks_the_server_and_nests_what_it_starts(
    tmp_path: Path, mlflow_server: Mlflow
) -> None:
    project, experiment, _ = tracked(tmp_path, mlflow_server, "sweep-run", SPACE)
    rows = project.manifest()["trials"]
    log(mlflow_server, experiment, rows[1], score=0.9)
    environ = {**QUIET, "SWEEP_PYTHON": str(TOOLS / "python")}
    done = project.start(**environ)
    assert done.returncode == 0, done.stderr
    assert names(project) == ["0001", "0003"]
    parents = {json.loads(call["context"])[mlflow_tags.PARENT] for call in project.calls()}
    assert len(parents) == 1
    with open_store(mlflow_server.uri, {}) as store:
        parent = store.run(parents.pop())
    assert parent.tags["mlactions.sweep_parent"] == "sweep"
    best = json.loads((project.folder() / "best.json").read_text())
    assert (best["finished"], best["trials"]) == (1, 3)
    assert best["best"]["overrides"] == {"training.max_lr": 0.2}
    assert best["best"]["mean"] == 0.9


def test_status_says_what_is_best_and_what_mattered(tmp_path: Path, mlflow_server: Mlflow) -> None:
    text = SPACE.replace("[0.1, 0.2, 0.3]", "range(0, 12)").replace(
        "{values: range(0, 12)}", "range(1, 13)"
    )
    project, experiment, _ = tracked(tmp_path, mlflow_server, "sweep-status", text + "seeds: 2\n")
    rows = project.manifest()["trials"]
    for row in rows[:-1]:
        lr = row["overrides"]["training.max_lr"]
        log(mlflow_server, experiment, row, score=1 - (lr - 4) ** 2 / 100 + 0.001 * row["seed"])
    done = project.later("status")
    assert done.code == 0, done.said
    told = "23 finished trials may be of other code: there is no git repository to tell by."
    assert (done.result["warnings"], done.result["status"]) == ([told], "warn")
    found = done.result["best"]
    assert found[0]["overrides"] == {"training.max_lr": 4}
    assert found[0]["low"] < 1.0005 < found[0]["high"]
    assert found[-1]["low"] is None  # one seed has no interval
    assert done.result["counts"]["states"] == {"finished": 23, "missing": 1}
    assert done.result["left"] == "24"
    assert done.result["analysis"]["parameters"][0]["name"] == "training.max_lr"
    assert found[0]["trials"] == [rows[6]["name"], rows[7]["name"]]
    said = "best `score` so far 1 over 2 seeds (`0007`, `0008`)."
    assert said in done.result["verdict"]
    assert re.search(
        r" over 2 seeds \((runs )?`\w{8}` and `\w{8}`\)", done.result["analysis"]["verdict"]
    )
    runs = "`, `".join(run[:8] for run in found[0]["runs"])
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"`0007`, `0008` (runs `{runs}`)" in report
    assert all(run[:8] in done.result["analysis"]["verdict"] for run in found[0]["runs"])
    assert ("## The best trials" in report, "configurations\n" in report) == (True, False)
    assert "```mermaid" in report
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()
    assert project.manifest()["trials"][0]["status"] == "finished"


@pytest.mark.parametrize("params", [{}, {"lr": "same"}])
def test_an_analysis_agrees_with_the_best_whatever_the_training_logs(
    tmp_path: Path, mlflow_server: Mlflow, params: dict[str, str]
) -> None:
    text = SPACE.replace("[0.1, 0.2, 0.3]", "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]") + "seeds: 2\n"
    name = f"sweep-unlogged-{len(params)}"
    project, experiment, _ = tracked(tmp_path, mlflow_server, name, text)
    for row in project.manifest()["trials"]:
        score = row["overrides"]["training.max_lr"] / 10 + 0.001 * row["seed"]
        log(mlflow_server, experiment, row, score=score, params=params)
        log(mlflow_server, experiment, row, score=9, params=params, commit="f" * 40)
    done = project.later("status")
    assert "best `score` 1 over 2 seeds (`0019`, `0020`)" in done.result["verdict"]
    analysis = done.result["analysis"]
    assert analysis["verdict"].startswith("20 finished runs, best `score` 1 over 2 seeds")
    assert [item["name"] for item in analysis["parameters"]] == ["training.max_lr"]


def test_of_configurations_that_lack_seeds_the_fuller_one_is_first() -> None:
    rows: list[Mapping[str, Any]] = [
        {"number": n, "name": f"000{n}-x", "hash": "ab"[n // 5] * 64, "seed": n, "overrides": {}}
        for n in range(1, 9)
    ]
    values: dict[int, float | None] = {1: 0.01, 5: 0.5, 6: 0.5}
    states = {
        n: State("finished", 0, (Attempt("FINISHED", value=values[n]),))
        if n in values
        else State("failed")
        for n in range(1, 9)
    }
    found = best(Manifest({}, tuple(rows)), states, Metric("loss"))
    assert [item["mean"] for item in found] == [0.5, 0.01]


def test_what_other_code_has_spent_is_spent(tmp_path: Path, mlflow_server: Mlflow) -> None:
    text = SPACE + "budget: {gpu_hours: 1, hours_per_trial: 0.33325}\n"
    project, experiment, given = tracked(tmp_path, mlflow_server, "sweep-spent", text)
    for row in project.manifest()["trials"]:
        log(mlflow_server, experiment, row, commit="f" * 40)  # a second each
    done = project.sweep(*given, "--replace")
    assert done.result["estimate"]["spent"]["hours"] == pytest.approx(3 / 3600)
    assert (done.code, done.result["status"]) == (1, "refused")


def test_bounds_of_the_best_stay_within_the_metric_as_in_an_analysis() -> None:
    rows: list[Mapping[str, Any]] = [
        {"number": n, "name": f"000{n}-x", "hash": "0" * 64, "seed": n, "overrides": {}}
        for n in (1, 2)
    ]
    states = {
        n: State("finished", 0, (Attempt("FINISHED", id="r", value=value),))
        for n, value in ((1, 0.9333), (2, 0.9833))
    }
    metric = Metric("val_accuracy", "maximize")
    (found,) = best(Manifest({}, tuple(rows)), states, metric)
    assert (found["mean"], found["high"]) == (pytest.approx(0.9583), 1)
    assert 0.6 < found["low"] < 0.65
    assert named(found) == "`0001`, `0002`"


def test_status_fails_where_trials_failed_for_good(tmp_path: Path, mlflow_server: Mlflow) -> None:
    project, experiment, _ = tracked(tmp_path, mlflow_server, "sweep-failed", SPACE)
    row = project.manifest()["trials"][0]
    tags = {mlflow_tags.ENDED: "nan-loss"}
    runs = [
        log(mlflow_server, experiment, row, status="FAILED", start=start, tags=tags)
        for start in (2000, 1000)
    ]
    done = project.later("status", "--no-analysis")
    assert (done.code, done.result["status"]) == (1, "fail")
    assert done.result["failed"] == [
        {"trial": row["name"], "attempts": 2, "ended": "nan-loss", "run": runs[0]}
    ]
    report = (tmp_path / "out" / "report.md").read_text()
    assert re.search(rf"`{row['name']}` *\| *2 *\| *nan-loss *\| *`{runs[0][:8]}`", report)


def test_a_lucky_seed_is_not_better_than_a_whole_set(tmp_path: Path, mlflow_server: Mlflow) -> None:
    text = SPACE.replace("maximize", "minimize").replace("retry: 1", "retry: 0") + "seeds: 4\n"
    project, experiment, _ = tracked(tmp_path, mlflow_server, "sweep-lucky", text)
    rows = project.manifest()["trials"]
    for row in rows[:4]:
        log(mlflow_server, experiment, row, score=0.5)
    log(mlflow_server, experiment, rows[4], score=0.1)
    for row in (*rows[5:8], *rows[10:]):
        log(mlflow_server, experiment, row, status="FAILED")
    log(mlflow_server, experiment, rows[8], score=0.01)
    log(mlflow_server, experiment, rows[9])  # no metric
    found = project.later("status", "--no-analysis").result
    assert [item["mean"] for item in found["best"]] == [0.5, 0.01, 0.1]
    assert [(item["failed"], item["invalid"]) for item in found["best"]] == [(0, 0), (2, 1), (3, 0)]
    assert "best `score` 0.5 over 4 seeds" in found["verdict"]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "1 of 4 (2 failed, 1 without a finite metric)" in report
    assert "xychart" not in report  # one whole configuration is no comparison
    assert "### What to know" in report
    environ = {**QUIET, "SWEEP_PYTHON": str(TOOLS / "python")}
    assert project.start("--best", **environ).returncode == 0
    best = json.loads((project.folder() / "best.json").read_text())["best"]
    assert (best["mean"], best["planned"]) == (0.5, 4)


def test_the_matrix_holds_more_trials_than_a_result_lists(
    tmp_path: Path, mlflow_server: Mlflow
) -> None:
    text = SPACE.replace("{values: [0.1, 0.2, 0.3]}", "range(1, 9001)")
    project = Project.make(tmp_path, text)
    mlflow_server.experiment("sweep-matrix")
    given = ["--tracking-uri", mlflow_server.uri, "--experiment", "sweep-matrix"]
    outputs = tmp_path / "outputs.txt"
    assert project.sweep(*given, "--no-files", "--no-compose").code == 0
    states = {number: State("finished" if number % 2 else "missing") for number in range(1, 9001)}
    left = [number for number, state in states.items() if state.name == "missing"]
    result = json.loads((tmp_path / "out" / "result.json").read_text()) | {
        "left": listed(left),
        "backends": ["matrix"],
    }
    settings = Settings(space=tmp_path / "none", folder=tmp_path, config_dir="", config_name="")
    runner = Runner({"GITHUB_OUTPUT": str(outputs)}, io.StringIO())
    finish(result, left, replace(settings, files=False), tmp_path / "again", runner)
    jobs = json.loads((tmp_path / "again" / "matrix.json").read_text())["include"]
    assert sum(len(numbers_in([job["trials"]], 9000) or ()) for job in jobs) == 4500


TPE = """\
program: train.py
method: bayes
run_cap: 13
metric: {name: score, goal: maximize, target: 2}
parameters:
  training.max_lr: {min: 0.0, max: 1.0}
"""


def test_next_adds_what_tpe_proposes(tmp_path: Path, mlflow_server: Mlflow) -> None:
    project, experiment, given = tracked(tmp_path, mlflow_server, "sweep-next", TPE)
    rows = project.manifest()["trials"]
    assert len(rows) == 10
    for row in rows:
        log(
            mlflow_server, experiment, row, score=1 - abs(row["overrides"]["training.max_lr"] - 0.3)
        )
    done = project.later("next", "--count", "2", "--python", sys.executable)
    assert done.code == 0, done.said
    assert [item["trial"][:4] for item in done.result["proposed"]] == ["0011", "0012"]
    extended = project.manifest()["trials"]
    assert extended[:10] == [{**row, "status": "finished"} for row in rows]
    assert (project.folder() / f"{extended[10]['name']}.yaml").is_file()
    assert project.sweep(*given).code == 0  # what was proposed stays
    assert len(project.manifest()["trials"]) == 12
    assert len(project.later("next", "--count", "9", "--no-compose").result["proposed"]) == 1
    capped = project.later("next")
    assert capped.result["verdict"] == "All 13 runs of `run_cap` are there: no more trials."
    log(mlflow_server, experiment, extended[10], score=2.5)
    reached = project.later("next")
    assert reached.result["verdict"] == "The target 2 of score is reached: no more trials."


def test_next_keeps_to_the_budget_of_the_whole_sweep(tmp_path: Path, mlflow_server: Mlflow) -> None:
    text = TPE.replace("target: 2", "target: 9") + "budget: {trials: 12, hours_per_trial: 2}\n"
    project = Project.make(tmp_path, text)
    experiment = mlflow_server.experiment("sweep-budget")
    given = ["--tracking-uri", mlflow_server.uri, "--experiment", "sweep-budget"]
    other: dict[str, Any] = {"name": "0001-x", "hash": "0" * 64, "seed": None, "overrides": {}}
    log(mlflow_server, experiment, other, score=1.0)
    planned = project.sweep(*given).result
    assert planned["estimate"]["hours_from"] == "`hours_per_trial`"  # not that of other trials
    assert (
        "13 in the end, as run_cap says: 26 GPU hours" in (tmp_path / "out/report.md").read_text()
    )
    assert any("the budget ends it at 12" in text for text in planned["warnings"])
    for number, row in enumerate(project.manifest()["trials"]):
        log(mlflow_server, experiment, row, score=0.1 * number)
    done = project.later("next", "--count", "2", "--no-compose")
    assert (done.code, len(done.result["proposed"])) == (0, 2)
    spent = done.result["estimate"]["spent"]
    assert (spent["trials"], spent["runs"], spent["hours"]) == (10, 10, pytest.approx(10 / 3600))
    more = project.later("next", "--no-compose")
    assert (more.code, more.result["status"]) == (1, "refused")
    assert more.result["refused"] == [
        "3 trials are left to run, after 10 that have run, and the budget is 12"
    ]


def at_once(project: Project, *lines: Sequence[str]) -> list[tuple[int, str]]:
    """Start commands after generating at the same time; return exit codes and what was said."""
    started = []
    for number, words in enumerate(lines):
        given = [
            "--working-directory",
            str(project.root),
            "--out",
            str(project.root / f"o{number}"),
        ]
        environ = project.environ({"PYTHONPATH": str(ROOT / "scripts")})
        command = [sys.executable, "-m", "mlactions", "sweep", words[0], *given, *words[1:]]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(command, env=environ, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        )
    said = [process.communicate(timeout=PATIENCE)[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def test_nothing_is_lost_where_commands_run_at_once(tmp_path: Path, mlflow_server: Mlflow) -> None:
    project, experiment, _ = tracked(tmp_path, mlflow_server, "sweep-at-once", TPE)
    for row in project.manifest()["trials"]:
        lr = row["overrides"]["training.max_lr"]
        log(mlflow_server, experiment, row, score=1 - abs(lr - 0.3))
    one = ["next", "--count", "1", "--no-compose"]
    done = at_once(project, one, one, ["status", "--no-analysis"])
    assert [code for code, _ in done] == [0, 0, 0], done
    rows = project.manifest()["trials"]
    assert len(rows) == 12
    assert len({row["hash"] for row in rows}) == 12
    assert all((project.folder() / f"{row['name']}.yaml").is_file() for row in rows)


def test_an_edited_search_is_not_gone_on_with(tmp_path: Path, mlflow_server: Mlflow) -> None:
    project, experiment, _ = tracked(tmp_path, mlflow_server, "sweep-edited", TPE)
    rows = project.manifest()["trials"]
    log(mlflow_server, experiment, rows[0], score=0.2)
    log(mlflow_server, experiment, rows[1], score=0.4)
    space = tmp_path / "configs" / "sweep.yaml"
    space.write_text(
        "# a comment\nbudget: {trials: 50}\n" + TPE.replace("run_cap: 13", "run_cap: 20")
    )
    assert project.later("next", "--python", sys.executable).code == 0
    space.write_text(
        TPE.replace("goal: maximize", "goal: minimize").replace("target: 2", "target: 0")
    )
    told = project.later("next", "--no-compose")
    assert (told.code, "the space was edited since the sweep was generated" in told.said) == (
        2,
        True,
    )
    seen = project.later("status", "--no-analysis").result
    assert seen["best"][0]["mean"] == 0.4  # by the metric as it was
    assert "was edited since" in seen["warnings"][0]
    space.write_text(TPE)
    config = tmp_path / "configs" / "train.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    told = project.later("next", "--python", sys.executable)
    assert (told.code, "`train` was edited since" in told.said) == (2, True)
    assert len(project.manifest()["trials"]) == 11


def test_next_has_nothing_to_say_of_a_grid(tmp_path: Path, mlflow_server: Mlflow) -> None:
    project, _, given = tracked(tmp_path, mlflow_server, "sweep-grid", SPACE)
    done = project.later("next")
    assert done.code == 2
    assert "nothing to propose" in done.said
    moved = tmp_path / "elsewhere.yaml"
    (tmp_path / "configs" / "sweep.yaml").rename(moved)
    assert "there is no such file" in project.later("status").said
    told = project.sweep("--space", "elsewhere.yaml", "--name", "sweep", "--replace", *given)
    assert told.code == 0
    line = "How it goes: `mlactions sweep status --space elsewhere.yaml --config-dir configs"
    assert f"{line} --name sweep --out build" in (tmp_path / "out" / "report.md").read_text()
    assert project.later("status").result["sweep"] == "sweep"  # the only one there is
    moved.rename(tmp_path / "configs" / "sweep.yaml")
    missing = project.later("status", "--name", "other")
    assert "no such sweep" in missing.said


def test_look_ups_come_in_pages(mlflow_server: Mlflow) -> None:
    experiment = mlflow_server.experiment("sweep-pages")
    for number in range(30):
        row: dict[str, Any] = {
            "name": f"{number:04d}-x",
            "hash": f"{number:064x}",
            "seed": None,
            "overrides": {},
        }
        log(mlflow_server, experiment, row)
    with Gatekeeper(mlflow_server) as proxy, open_store(proxy.url, {}) as store:
        known = look_up(store, "sweep-pages", Reuse(""))
        assert len(known.attempts) == 30
        assert len(proxy.requests) == 3  # the experiment, the first runs, the rest


def test_the_version_of_the_code_knows_of_changes(tmp_path: Path) -> None:
    assert sweep_trials.code_version(str(tmp_path)) == ""
    person = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "a.py").write_text("1\n")
    for words in (["init", "-q"], ["add", "-A"], [*person, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    clean = sweep_trials.code_version(str(tmp_path))
    assert len(clean) == 40
    for name in ("README.md", "data.csv", "build/lib/a.py", "outputs/x.py", "venv/a.py", ".x/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("no code of theirs\n")
    assert sweep_trials.code_version(str(tmp_path)) == clean
    (tmp_path / "b.py").write_text("not committed\n")
    first = sweep_trials.code_version(str(tmp_path))
    (tmp_path / "b.py").write_text("not committed, and changed\n")
    assert len({clean, first, sweep_trials.code_version(str(tmp_path))}) == 3
    (tmp_path / "b.py").unlink()
    (tmp_path / "a.py").write_text("2\n")
    changed = sweep_trials.code_version(str(tmp_path))
    assert changed.startswith(f"{clean}+")
    (tmp_path / "a.py").write_text("3\n")
    assert sweep_trials.code_version(str(tmp_path)) not in {clean, changed}


def test_the_version_of_the_code_knows_of_the_whole_repository(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for path in ("project/train.py", "lib/helper.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text("X = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "code")
    seen = [sweep_trials.code_version(str(project))]
    for path in ("lib/helper.py", "lib/new.py"):
        for text in ("X = 2\n", "X = 3\n"):
            (tmp_path / path).write_text(text)
            seen.append(sweep_trials.code_version(str(project)))
    assert len(set(seen)) == 5


def git(folder: Path, *words: str) -> str:
    person = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *person, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_committing_the_sweep_changes_no_version_and_other_code_is_told(
    tmp_path: Path, mlflow_server: Mlflow
) -> None:
    project = Project.make(tmp_path, SPACE)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "train.py", "configs/train.yaml", "configs/model", "configs/optimizer")
    git(tmp_path, "commit", "-qm", "code")
    code = git(tmp_path, "rev-parse", "HEAD")
    experiment = mlflow_server.experiment("sweep-commits")
    given = ["--tracking-uri", mlflow_server.uri, "--experiment", "sweep-commits"]
    assert project.sweep(*given).code == 0
    for row in project.manifest()["trials"]:
        log(mlflow_server, experiment, row, score=0.5, commit=code)
    script = {**QUIET, "SWEEP_PYTHON": str(TOOLS / "python")}
    git(tmp_path, "add", "configs/sweep.yaml")
    assert project.later("status", "--no-analysis").result["counts"]["left"] == 0
    git(tmp_path, "add", "configs/sweeps")
    git(tmp_path, "commit", "-qm", "the sweep")
    (tmp_path / "README.md").write_text("Read me.\n")
    (tmp_path / "configs" / "other.yaml").write_text("method: grid\nparameters: {a: 1}\n")
    git(tmp_path, "add", "README.md", "configs/other.yaml")
    git(tmp_path, "commit", "-qm", "words, and another sweep's space")
    seen = project.later("status", "--no-analysis").result
    assert (seen["counts"]["left"], seen["status"], seen["warnings"]) == (0, "pass", [])
    assert seen["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert project.start("--commit").stdout.strip() == code
    assert project.start("--best", **script).returncode == 0
    (project.folder() / "best.json").unlink()
    (tmp_path / "train.py").write_text("import sys\n")
    git(tmp_path, "commit", "-qam", "other code")
    told = f"3 trials finished at another commit (`{code[:7]}`)"
    told += "; `--reuse-across-commits` takes them."
    other = project.later("status", "--no-analysis")
    assert (other.result["counts"]["left"], other.result["warnings"]) == (3, [told])
    assert told in (tmp_path / "out" / "report.md").read_text()
    assert told in project.sweep(*given).result["warnings"]
    across = project.later("status", "--no-analysis", "--reuse-across-commits")
    assert (across.result["counts"]["left"], across.result["warnings"]) == (0, [])
    listed = project.start("--list", **script)
    assert listed.stderr.startswith("sweep: asking MLflow what is finished")
    assert f"3 finished at another commit ({code[:7]})" in listed.stderr
    best = project.start("--best", **script)
    assert (best.returncode, (project.folder() / "best.json").exists()) == (1, False)
    assert "no best.json: no finished trial of this commit has score" in best.stderr


def test_what_is_the_sweeps_own_lies_in_the_project(tmp_path: Path) -> None:
    folder = str(tmp_path)
    configs = tmp_path / "configs"
    configs.mkdir()
    for name, text in (
        ("lr.yaml", "parameters: {a: 1}\n"),
        ("big.yaml", "method: grid\nparameters:\n  a: 1\n"),
        ("train.yaml", "parameters: 3\nmodel:\n  method: a\n"),
    ):
        (configs / name).write_text(text)
    own = ("configs/sweeps", "configs/lr.yaml", "configs/big.yaml")
    assert sweep_trials.own_paths(folder, "configs/sweeps", "configs/lr.yaml") == own
    assert sweep_trials.own_paths(folder, "../sweeps", "/elsewhere/lr.yaml") == ()


ATTEMPTS = {
    "stopped": Attempt("KILLED", 1, "pre-empted", "run-a"),
    "told": Attempt("FAILED", 1, "pre-empted", "run-a"),
    "died": Attempt("RUNNING", 1, "", "run-a"),
    "failed": Attempt("FAILED", 1, "", "run-a"),
    "other": Attempt("KILLED", 2, "pre-empted", "run-b"),
    "unnamed": Attempt("KILLED", 3),
    "unnamed-failed": Attempt("FAILED", 3),
}


@pytest.mark.parametrize(
    ("run", "attempts", "expected"),
    [
        ("run-a", ["stopped"], "run-a"),
        ("run-a", ["told"], "run-a"),
        ("run-a", ["died"], "run-a"),
        ("run-a", ["failed"], "-"),  # the state that failed would fail again
        ("run-a", ["stopped", "other"], "run-a"),
        ("run-a", ["failed", "other"], "-"),
        ("run-a", ["other"], "-"),  # the checkpoint is of other code or data
        ("run-a", [], "-"),
        ("", ["stopped"], "+"),
        ("", ["failed", "other"], "+"),
        ("run-a", ["unnamed"], "run-a"),  # without MLflow the last record decides
        ("", ["unnamed", "unnamed-failed"], "-"),
        (None, ["stopped"], "-"),
    ],
)
def test_a_trial_goes_on_where_the_attempt_of_its_checkpoint_was_stopped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: str | None,
    attempts: list[str],
    expected: str,
) -> None:
    monkeypatch.setenv("SWEEP_CHECKPOINTS", str(tmp_path))
    folder = tmp_path / "lr" / "0001-ab" / "checkpoints"
    folder.mkdir(parents=True)
    if run is not None:
        (folder / "latest.json").write_text(json.dumps({"run_id": run}))
    sweep = Sweep(tmp_path, {"sweep": "lr"})
    found = sweep_trials.continued(sweep, "0001-ab", [ATTEMPTS[name] for name in attempts])
    assert found == expected


KEEPING = """\
import json, os, signal, sys
from pathlib import Path
folder = Path(os.environ["MLACTIONS_CHECKPOINTS"])
given = {name: os.environ.get(name) for name in ("MLACTIONS_RESUME", "MLFLOW_RUN_ID")}
with open("seen.jsonl", "a") as stream:
    stream.write(json.dumps({"folder": str(folder), **given}) + "\\n")
folder.mkdir(parents=True, exist_ok=True)
(folder / "latest.json").write_text(json.dumps({"run_id": "run-a"}))
if Path("flags/stop").exists():
    Path("flags/stop").unlink()
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()
"""


def test_a_stopped_trial_finds_its_checkpoint_and_nobody_elses(tmp_path: Path) -> None:
    project = Project.make(tmp_path, SPACE)
    (tmp_path / "train.py").write_text(KEEPING)
    project.sweep()
    (tmp_path / "flags" / "stop").touch()
    assert project.start("1").returncode == 143
    assert project.start("1").returncode == 0
    assert project.start("2", SWEEP_CHECKPOINTS="shared").returncode == 0
    assert project.start("3", MLACTIONS_CHECKPOINTS=str(tmp_path / "own")).returncode == 0
    seen = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    names = [row["name"] for row in project.manifest()["trials"]]
    own = [tmp_path / "outputs/sweeps/sweep" / names[0], tmp_path / "shared/sweep" / names[1]]
    assert [row["folder"] for row in seen] == [
        str(own[0] / "checkpoints"),
        str(own[0] / "checkpoints"),
        str(own[1] / "checkpoints"),
        str(tmp_path / "own"),
    ]
    assert [row["MLACTIONS_RESUME"] for row in seen] == ["", None, "", None]
    assert [row["MLFLOW_RUN_ID"] for row in seen] == [None, "run-a", None, None]


def both(project: Project, **environ: str) -> list[tuple[int, str]]:
    """Start run_sweep.sh twice at once; return exit codes and what was said."""
    command = ["bash", str(project.folder() / "run_sweep.sh")]
    started = [
        subprocess.Popen(command, env=project.environ(environ), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.mark.parametrize("where", ["records", "mlflow"])
def test_two_that_start_at_once_share_the_trials(
    tmp_path: Path, mlflow_server: Mlflow, where: str
) -> None:
    environ = {}
    if where == "mlflow":
        project, _, _ = tracked(tmp_path, mlflow_server, "sweep-both", SPACE)
        environ = {**QUIET, "SWEEP_PYTHON": str(TOOLS / "python")}
    else:
        project = Project.make(tmp_path, SPACE)
        project.sweep()
    with (tmp_path / "train.py").open("a") as stream:
        stream.write("time.sleep(1)\n")
    ended = both(project, **environ)
    assert [code for code, _ in ended] == [0, 0], ended
    assert sorted(names(project)) == ["0001", "0002", "0003"]
    assert "meanwhile" in ended[0][1] + ended[1][1]


@pytest.mark.parametrize(
    ("change", "options"),
    [("seeds: [2]\n", ["--replace"]), ("", ["--data-version", "v2"]), ("code", [])],
)
def test_records_count_for_the_same_seed_code_and_data_only(
    tmp_path: Path, change: str, options: list[str]
) -> None:
    first = SPACE + ("seeds: [1]\n" if change.startswith("seeds") else "")
    project = Project.make(tmp_path, first)
    (tmp_path / ".gitignore").write_text("calls.jsonl\nout/\nflags/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "code")
    project.sweep()
    assert project.start().returncode == 0
    if change == "code":
        (tmp_path / "train.py").write_text((tmp_path / "train.py").read_text() + "\n")
    elif change:
        (tmp_path / "configs" / "sweep.yaml").write_text(SPACE + change)
    assert project.sweep(*options).code == 0
    assert project.start().returncode == 0
    assert names(project) == ["0001", "0002", "0003"] * 2
    assert project.start().returncode == 0
    assert len(project.calls()) == 6


DYING = """\
import os, signal
from pathlib import Path
import mlflow
mlflow.start_run()
flag = Path("flags/kill")
if flag.exists():
    whom = flag.read_text()
    flag.unlink()
    if whom == "all":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL if whom == "trial" else signal.SIGTERM)
mlflow.log_metric("score", 1.0)
"""


@pytest.mark.parametrize(
    ("whom", "left", "in_the_end"),
    [
        ("trial", ["FAILED"], ["FAILED", "FINISHED"]),
        ("terminated", ["KILLED"], ["FINISHED", "KILLED"]),
        ("all", ["RUNNING"], ["FINISHED", "KILLED"]),
    ],
)
def test_a_run_of_a_killed_trial_does_not_stay_open(
    tmp_path: Path, mlflow_server: Mlflow, whom: str, left: list[str], in_the_end: list[str]
) -> None:
    name = f"sweep-dying-{whom}"
    space = SPACE.replace("[0.1, 0.2, 0.3]", "[0.1]").replace("retry: 1", "retry: 0")
    command = f"command: [{TOOLS / 'python'}, train.py, '${{args}}']\n"
    project, experiment, _ = tracked(
        tmp_path, mlflow_server, name, space.replace("program: train.py\n", command)
    )
    (tmp_path / "train.py").write_text(DYING)
    (tmp_path / "flags" / "kill").write_text(whom)
    environ = project.environ({**QUIET, "SWEEP_PYTHON": str(TOOLS / "python")})

    def statuses() -> list[str]:
        with open_store(mlflow_server.uri, {}) as store:
            return sorted(r.status for r in store.runs([experiment]) if mlflow_tags.TRIAL in r.tags)

    subprocess.run(
        ["bash", str(project.folder() / "run_sweep.sh")],
        env=environ,
        check=False,
        start_new_session=True,
        timeout=PATIENCE,
    )
    assert statuses() == left
    again = ["--again"] if whom == "trial" else []  # that was a failure
    assert project.start(*again, "1", **environ).returncode == 0
    assert statuses() == in_the_end


def test_all_who_make_the_parent_at_once_take_the_same(
    tmp_path: Path, mlflow_server: Mlflow
) -> None:
    project, experiment, _ = tracked(tmp_path, mlflow_server, "sweep-parents", SPACE)
    environ = project.environ({**QUIET, "SWEEP_PYTHON": str(TOOLS / "python")})
    assert project.start("--list", **environ).returncode == 0
    with open_store(mlflow_server.uri, {}) as store:
        assert not [*store.runs([experiment])]  # who only looks writes nothing
    command = ["bash", str(project.folder() / "run_sweep.sh"), "--parent"]
    started = [
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    found = {process.communicate(timeout=PATIENCE)[0].strip() for process in started}
    with open_store(mlflow_server.uri, {}) as store:
        assert {run.id for run in store.runs([experiment])} == found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("uri", "shown", "said"),
    [
        ("", "", "no MLflow is named"),
        ("https://mlflow.example.org", "https://mlflow.example.org", ""),
        ("sqlite:///a b.db", "sqlite:///ROOT/a b.db", "every node has to see"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db", "every node has to see"),
        ("file:runs", "file://ROOT/runs", "every node has to see"),
        ("file:///tmp/runs", "file:///tmp/runs", "every node has to see"),
        ("runs", "ROOT/runs", "every node has to see"),
        ("databricks", "databricks", ""),
        ("https://a:b@mlflow.example.org", None, "holds credentials"),
    ],
)
def test_jobs_elsewhere_are_told_where_mlflow_is(
    tmp_path: Path, uri: str, shown: str | None, said: str
) -> None:
    project = Project.make(tmp_path, SPACE)
    project.sweep()
    done = project.start("--tracking", MLFLOW_TRACKING_URI=uri)
    assert done.returncode == (2 if shown is None else 0)
    if shown is not None:
        assert done.stdout == shown.replace("ROOT", str(tmp_path)) + "\n"
    assert said in done.stderr
    assert bool(said) == bool(done.stderr)
