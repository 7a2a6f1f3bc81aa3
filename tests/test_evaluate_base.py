"""The merge base: same seeds, own code, nothing of it left in the caller's checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlactions.evaluate.cache import Cache
from mlactions.evaluate.documents import Conditions, Measured, status_of
from mlactions.evaluate.plan import Plan
from mlactions.evaluate.provenance import Environment
from mlactions.evaluate.records import Choice, Config, Outcome, Record, Side, Task
from tests.evaluate_support import (
    GOOD,
    Ran,
    Repository,
    evaluate,
    make_project,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = make_project(tmp_path / "repo")
    monkeypatch.chdir(repository.root)
    return repository


def test_the_workspace_is_left_as_it_was(project: Repository, tmp_path: Path) -> None:
    project.commit({"configs/a.yaml": f"{GOOD}  # changed"})
    listing = project.git("status", "--porcelain", "--ignored")

    evaluate(tmp_path, "--base-ref", "base", "--also-base", "--cache-dir", str(tmp_path / "cache"))

    assert project.git("status", "--porcelain", "--ignored") == listing
    assert len(project.git("worktree", "list").splitlines()) == 1


def test_the_base_is_measured_with_the_same_seeds(project: Repository, tmp_path: Path) -> None:
    project.commit({"configs/a.yaml": "write({'accuracy': 0.5})", "configs/new.yaml": GOOD})

    ran = evaluate(tmp_path, "--base-ref", "base", "--also-base", "--seeds", "0,1")

    assert ran.code == 0
    assert ran.json("metrics/a.json")["metrics"] == {"accuracy": [0.5, 0.5]}
    assert ran.json("base/metrics/a.json")["metrics"] == {"accuracy": [0.9, 0.91]}
    base = ran.json("base/metrics/a.json")["provenance"]
    head = ran.json("metrics/a.json")["provenance"]
    assert base["commit"] == ran.json("evaluation.json")["base"] == project.git("rev-parse", "base")
    assert base["dirty"] is False
    assert base["protocol"] == head["protocol"]
    assert base["config"] != head["config"]
    assert not (ran.out / "base/metrics/new.json").exists()
    assert any(
        "`configs/new.yaml` does not exist at the base" in n
        for n in ran.json("result.json")["notes"]
    )
    assert "a base seed 1: ok" in ran.text


def test_the_base_comes_from_the_cache_until_something_differs(
    project: Repository, tmp_path: Path
) -> None:
    count = f"open({str(tmp_path / 'count')!r}, 'a').write('x'); {GOOD}"
    project.commit({"configs/a.yaml": count})
    project.git("branch", "-f", "base")
    project.commit({"configs/a.yaml": GOOD})
    given = ("--base-ref", "base", "--also-base", "--cache-dir", str(tmp_path / "cache"))

    def runs(*more: str) -> tuple[Ran, int]:
        (tmp_path / "count").write_text("")
        ran = evaluate(tmp_path, *given, *more)
        assert ran.code == 0
        return ran, len((tmp_path / "count").read_text())

    first, measured = runs()
    assert measured == 1
    second, measured = runs()
    assert measured == 0
    assert second.json("base/metrics/a.json") == first.json("base/metrics/a.json")
    assert [record["cached"] for record in second.evaluations] == [False, True]
    assert "a base seed 0: ok, from the cache, accuracy 0.9" in second.text
    assert (second.out / second.evaluations[1]["log"]).is_file()
    assert runs("--seeds", "0,1")[1] == 1
    assert runs("--protocol-files", "run.py")[1] == 1

    for record in tmp_path.glob("cache/*/record.json"):
        record.write_text(record.read_text().replace("0.9", "0.8"))
    spoilt, measured = runs()
    assert measured == 1
    assert spoilt.json("base/metrics/a.json")["metrics"] == {"accuracy": [0.9]}


MACHINE = Environment("3.11.7", "2.13.0", "cpu:A;gpu:none")
CONDITIONS = Conditions(
    commit="c" * 40,
    dirty=False,
    protocol="sha256:p",
    configs={"a.yaml": "sha256:a"},
    environment=MACHINE,
)
OTHER = Config("b.yaml", "a", "a")
TASK = Task(Config("a.yaml", "a", "a"), "base", 0, "changed")


@pytest.mark.parametrize(
    ("conditions", "task"),
    [
        (replace(CONDITIONS, environment=replace(MACHINE, hardware="cpu:B;gpu:none")), TASK),
        (replace(CONDITIONS, environment=replace(MACHINE, python="3.12.0")), TASK),
        (replace(CONDITIONS, environment=replace(MACHINE, torch=None)), TASK),
        (replace(CONDITIONS, commit="d" * 40), TASK),
        (replace(CONDITIONS, protocol="sha256:q"), TASK),
        (replace(CONDITIONS, configs={"a.yaml": "sha256:b"}), TASK),
        (replace(CONDITIONS, configs={"b.yaml": "sha256:a"}), replace(TASK, config=OTHER)),
        (CONDITIONS, replace(TASK, config=Config("a.yaml", "a", "other"))),
        (CONDITIONS, replace(TASK, seed=1)),
        (CONDITIONS, replace(TASK, seed=None)),
    ],
)
def test_the_cache_answers_for_the_same_conditions_only(
    tmp_path: Path, conditions: Conditions, task: Task
) -> None:
    record = Record(TASK, Outcome.OK, metrics={"accuracy": (0.9,)})
    Cache(tmp_path / "cache", CONDITIONS).store(record, tmp_path)

    same = Cache(tmp_path / "cache", CONDITIONS).load(TASK, tmp_path)

    assert same == replace(record, cached=True)
    assert Cache(tmp_path / "cache", conditions).load(task, tmp_path) is None


@pytest.mark.parametrize(
    ("interrupted", "head", "base", "status"),
    [
        (False, Outcome.OK, Outcome.OK, "pass"),
        (True, Outcome.OK, Outcome.OK, "fail"),
        (False, Outcome.OK, Outcome.CRASHED, "warn"),
        (True, Outcome.OK, Outcome.CRASHED, "fail"),
        (False, Outcome.NO_METRICS, Outcome.OK, "fail"),
        (True, None, None, "fail"),
        (False, None, None, "skipped"),
    ],
)
def test_a_run_that_was_stopped_never_passes(
    interrupted: bool,
    head: Outcome | None,
    base: Outcome | None,
    status: str,
) -> None:
    ends: dict[Side, Outcome | None] = {"head": head, "base": base}
    records = tuple(
        Record(replace(TASK, side=side), outcome)
        for side, outcome in ends.items()
        if outcome is not None
    )
    choices = (Choice(TASK.config, selected=bool(records), reason="changed"),)
    plan = Plan(choices, (), None)

    measured = Measured(plan, records, {"head": CONDITIONS}, interrupted=interrupted)

    assert status_of(measured) == status


def test_a_base_that_fails_warns_and_does_not_fail(project: Repository, tmp_path: Path) -> None:
    project.commit({"configs/a.yaml": "raise SystemExit(1)"})
    project.git("branch", "-f", "base")
    project.commit({"configs/a.yaml": GOOD})

    ran = evaluate(tmp_path, "--base-ref", "base", "--also-base")

    assert (ran.code, ran.outputs["status"]) == (0, "warn")
    assert "[2/2] a base seed 0: crashed" in ran.text
    assert not (ran.out / "base").exists()


def test_the_base_measures_its_own_code(project: Repository, tmp_path: Path) -> None:
    """An editable install and PYTHONPATH point into the caller's checkout."""
    project.commit(
        {"src/mine.py": "VALUE = 1", "configs/a.yaml": "import mine; write({'v': mine.VALUE})"}
    )
    project.git("branch", "-f", "base")
    project.commit({"src/mine.py": "VALUE = 2"})
    given = ("--base-ref", "base", "--also-base", "--configs", "!configs/b*")

    by_variable = evaluate(tmp_path, *given, PYTHONPATH=str(project.root / "src"))
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "__editable__.mine.pth").write_text(f"{project.root}/src\n")
    by_install = evaluate(tmp_path, *given, PATH=f"{environment}/bin:{os.environ['PATH']}")

    for ran in (by_variable, by_install):
        assert ran.json("metrics/a.json")["metrics"] == {"v": [2]}, ran.text
        assert ran.json("base/metrics/a.json")["metrics"] == {"v": [1]}


def test_untracked_data_is_shared_with_the_base(project: Repository, tmp_path: Path) -> None:
    source = "write({'size': len(Path('out/data/x.bin').read_bytes())})"
    project.commit({"configs/a.yaml": source})
    project.git("branch", "-f", "base")
    project.commit({"configs/a.yaml": f"{source}  # changed"})
    project.write({"out/data/x.bin": "1234"})
    given = ("--base-ref", "base", "--also-base", "--configs", "!configs/b*")

    assert evaluate(tmp_path, *given).outputs["status"] == "warn"
    shared = evaluate(tmp_path, *given, "--share", "out/data")
    assert shared.json("base/metrics/a.json")["metrics"] == {"size": [4]}
    refused = evaluate(tmp_path, *given, "--share", "nowhere")
    assert (refused.code, "`share` has 'nowhere'" in refused.text) == (2, True)
