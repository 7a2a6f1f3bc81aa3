"""One job of several: its bundle says what the others owe, so that a lost one is noticed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from mlactions.__main__ import run
from mlactions.errors import Exit
from mlactions.runner import Runner

SCRIPT = 'import sys; open(sys.argv[1], "w").write(\'{"accuracy": 0.98}\')\n'
RULE = "{metrics: {accuracy: {value: 0.98, direction: higher}}}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with two models and rules for both."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for model in ("cnn", "vit"):
        (tmp_path / "configs" / f"{model}.yaml").write_text("seed: 0\n")
    (tmp_path / "measure.py").write_text(SCRIPT)
    (tmp_path / "rules.yaml").write_text(f"version: 1\nmodels:\n  cnn: {RULE}\n  vit: {RULE}\n")
    return tmp_path


def evaluate(job: str, *only: str) -> None:
    given = [
        "--command",
        f"{sys.executable} measure.py {{output}} {{config}}",
        "--configs",
        "configs/*.yaml",
    ]
    given += [
        "--select",
        "all",
        "--out",
        job,
        *(word for path in only for word in ("--only", path)),
    ]
    assert run(["evaluate", *given], Runner({}, io.StringIO())) == Exit.PASS


def compare(*jobs: str) -> tuple[int, str]:
    stream = io.StringIO()
    given = ["--baseline", "rules.yaml", "--out", "out", "--today", "2026-11-22"]
    given += [word for job in jobs for word in ("--metrics", job)]
    return run(["compare", *given], Runner({}, stream)), stream.getvalue()


def test_a_lost_job_fails_and_all_jobs_pass(here: Path) -> None:
    evaluate("first", "configs/cnn.yaml")
    evaluate("second", "configs/vit.yaml")

    document = json.loads((here / "first" / "evaluation.json").read_text())
    assert (document["expected"], document["elsewhere"]) == (["cnn"], ["vit"])
    code, said = compare("first")
    assert code == Exit.FAILED_CHECK
    assert "vit was expected and not measured: another job was to do it." in said
    assert compare("first", "second")[0] == Exit.PASS


def test_without_only_nothing_is_left_to_others(here: Path) -> None:
    evaluate("first")

    assert "elsewhere" not in json.loads((here / "first" / "evaluation.json").read_text())
