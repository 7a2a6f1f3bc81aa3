"""The predictions file: what can be paired is kept as it is, the rest is refused by its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.errors import UserError
from mlactions.evaluate.predictions import check_predictions
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
    ("content", "line", "found"),
    [
        ("id,a\n1,x\n", 2, "a is 'x' (string)"),
        ("id,a\n1,nan\n", 2, "(nan)"),
        ("id,a\n1,1\n1,2\n", 3, "'1' comes twice"),
        ("id,a\n1\n", 2, "1 cells under 2 columns"),
        ("id,a,a\n1,1,1\n", 1, "a column's name comes twice"),
        ("a,b\n1,1\n", 2, "no `id`"),
        ("id\n1\n", 1, "no score"),
        ("", 1, "no row"),
        ('{"id": 1, "a": 1}\n{"id": 2, "b": 1}\n', 2, "columns differ"),
        ('{"id": 1, "a": 1}\n[1]\n', 2, "not an object"),
        ('{"id": 1, "a": 1}\n\n{"id": 2\n', 3, "not valid JSON"),
        ('{"id": 1, "a": null}\n', 1, "(null)"),
        ('{"id": true, "a": 1}\n', 1, "no `id`"),
        ("\ufeffid,a\n\ud800", 1, "not UTF-8"),
    ],
)
def test_predictions_that_cannot_be_paired_are_refused(
    tmp_path: Path, content: str, line: int, found: str
) -> None:
    path = tmp_path / "predictions"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))

    with pytest.raises(UserError) as caught:
        check_predictions(path)

    assert found in caught.value.message
    assert caught.value.line == line


@given(st.binary(max_size=300))
def test_predictions_are_accepted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("predictions") / "p"
    path.write_bytes(content)
    try:
        check_predictions(path)
    except UserError as error:
        refused_at = error.line
    else:
        refused_at = -1 if b"id" in content else None
    assert refused_at is not None
