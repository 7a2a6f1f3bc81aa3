"""The predictions file: what can be paired is kept as it is, the rest is refused by its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.evaluate_support import (
    COMMAND,
    GOOD,
    Repository,
    make_project,
    run_evaluate,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = make_project(tmp_path / "repo")
    monkeypatch.chdir(repository.root)
    return repository


def test_predictions_are_kept_in_their_own_format(project: Repository, tmp_path: Path) -> None:
    lines = '{"id": "1", "correct": true, "loss": 0.5}\\n{"id": 2, "correct": 0, "loss": 1}\\n'
    project.write(
        {
            "configs/a.yaml": f"Path(sys.argv[4]).write_text('{lines}'); {GOOD}",
            "configs/b.yaml": f"Path(sys.argv[4]).write_text('id,correct\\n1,1\\n'); {GOOD}",
        }
    )

    ran = run_evaluate(
        tmp_path / "out",
        *("--command", f"{COMMAND} {{predictions}}", "--configs", "configs/*.yaml"),
        *("--select", "all"),
    )

    assert [record["predictions"] for record in ran.evaluations] == [
        "predictions/head/a/seed-0.jsonl",
        "predictions/head/b/seed-0.csv",
    ]
    assert (ran.out / "predictions/head/b/seed-0.csv").read_text() == "id,correct\n1,1\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("'id,a\\n1,x\\n'", 'predictions.jsonl, line 2: `a` is "x" (string)'),
        (
            "'{\"id\": 1, \"a\": ' + '9' * 5000 + '}\\n'",
            "predictions.jsonl, line 1: a number has thousands of digits",
        ),
        (
            "'id,a\\n' + 'x' * 200000 + ',1\\n'",
            "predictions.jsonl, line 2: not valid CSV: field larger than field limit (10000)",
        ),
        ('\'{"id": 1, "a": 1, "a": 2}\'', "predictions.jsonl, line 1: `a` is written twice"),
    ],
)
def test_predictions_that_cannot_be_paired_fail_beside_the_run_that_wrote_them(
    project: Repository, tmp_path: Path, content: str, said: str
) -> None:
    project.write({"configs/a.yaml": f"Path(sys.argv[4]).write_text({content}); {GOOD}"})

    ran = run_evaluate(
        tmp_path / "out",
        *("--command", f"{COMMAND} {{predictions}}", "--configs", "configs/*.yaml"),
        *("--select", "all"),
    )

    assert ran.code == 1
    assert ran.outcomes == {"a": "bad-metrics", "b": "ok"}
    assert ran.evaluations[0]["detail"] == said


def test_a_predictions_file_that_is_locked_fails_its_run_alone(
    project: Repository, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        spoil = "Path(sys.argv[4]).mkdir()"  # root reads what is locked
        said = "predictions.jsonl: not a regular file"
    else:
        spoil = "Path(sys.argv[4]).touch(mode=0)"
        said = "predictions.jsonl: cannot be read: permission denied"
    project.write({"configs/a.yaml": f"{spoil}; {GOOD}"})

    ran = run_evaluate(
        tmp_path / "out",
        *("--command", f"{COMMAND} {{predictions}}", "--configs", "configs/*.yaml"),
        *("--select", "all"),
    )

    assert (ran.code, ran.evaluations[0]["detail"]) == (1, said)
    assert ran.outcomes == {"a": "bad-metrics", "b": "ok"}
