"""What people see while it runs and in the end."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.evaluate import render
from mlactions.evaluate.records import Config, Outcome, Record, Task
from mlactions.evaluate.render import with_code
from mlactions.evaluate.run import Progress
from mlactions.markdown import render as to_markdown
from mlactions.report import Code, plain
from mlactions.schema import load_json, validate
from tests.evaluate_support import (
    COMMAND,
    GOOD,
    Repository,
    evaluate,
    make_project,
    run_evaluate,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = make_project(tmp_path / "repo")
    monkeypatch.chdir(repository.root)
    return repository


def test_the_report_is_written_where_asked(project: Repository, tmp_path: Path) -> None:
    ran = evaluate(tmp_path, "--select", "all", "--report-file", "outputs/eval_report.md")

    assert (project.root / "outputs/eval_report.md").read_text() == (
        ran.out / "report.md"
    ).read_text()
    refused = evaluate(tmp_path, "--select", "all", "--report-file", "../report.md")
    assert refused.code == 2
    assert "`report-file`" in refused.text


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("configs", "'configs', which is a folder."),
        (".", "'.', which is a folder."),
        ("new/", "'new/', which is a folder."),
        ("run.py/report.md", "which lies below 'run.py', a file."),
        ("pipe", "which is no regular file."),
        ("out/report.md", "which lies in `out`, which holds the results and nothing else."),
    ],
)
def test_a_place_that_cannot_take_the_report_is_refused_before_anything_is_measured(
    project: Repository, tmp_path: Path, place: str, said: str
) -> None:
    started = tmp_path / "started"
    project.write({"configs/a.yaml": f"Path({str(started)!r}).touch(); {GOOD}"})
    os.mkfifo(project.root / "pipe")
    given = ("--command", COMMAND, "--configs", "configs/*.yaml", "--select", "all")

    ran = run_evaluate(project.root / "out", *given, "--report-file", place)

    assert ran.code == 2
    assert said in ran.text
    assert not started.exists()


@pytest.mark.parametrize("place", ["run.py", "run.py/out", "/proc/nowhere"])
def test_an_out_that_cannot_be_made_is_refused_in_one_line(project: Repository, place: str) -> None:
    given = ("--command", COMMAND, "--configs", "configs/*.yaml", "--select", "all")

    ran = run_evaluate(project.root / place, *given, GITHUB_OUTPUT="")

    assert ran.code == 2
    assert ran.text.startswith(f"error: {project.root / place} ")
    assert len(ran.text.splitlines()) == 1


def test_a_failure_is_annotated_at_its_line(project: Repository, tmp_path: Path) -> None:
    project.commit({"src/model.py": "def forward():\n    raise ValueError('shapes 3, 4')\n"})
    project.commit({"configs/a.yaml": "sys.path.insert(0, 'src'); import model; model.forward()"})

    ran = evaluate(
        tmp_path, "--base-ref", "base", "--configs", "!configs/b*", GITHUB_ACTIONS="true"
    )

    assert "\n::error file=src/model.py,line=2,title=evaluation failed::a seed 0 ended" in ran.text
    assert (ran.evaluations[0]["file"], ran.evaluations[0]["line"]) == ("src/model.py", 2)
    assert "`src/model.py:2`" in (ran.out / "report.md").read_text()


def test_a_terminal_shows_what_is_folded_on_request(project: Repository, tmp_path: Path) -> None:
    project.commit({"configs/a.yaml": "sys.exit(3)"})

    folded = evaluate(tmp_path, "--select", "all")
    whole = evaluate(tmp_path, "--select", "all", "--verbose")

    assert "a seed 0: crashed" in whole.text
    assert "The log is empty." in whole.text
    assert "protocol" not in folded.text
    assert "head: protocol" in whole.text


def test_the_baseline_says_which_metric_comes_first(project: Repository, tmp_path: Path) -> None:
    project.write(
        {
            "configs/a.yaml": "write({'aaa': 1, 'b': 2, 'val_acc': 0.5, 'loss': 3})",
            "configs/baseline.yaml": "models: {a: {metrics: {val_acc: {}, gone: {}, loss: {}}}}",
        }
    )

    ran = evaluate(tmp_path, "--select", "all", "--configs", "!configs/b*")

    assert re.search(r"a seed 0: ok, \d+\.\d s, val_acc 0\.5$", ran.text, re.MULTILINE)
    assert ran.json("result.json")["metrics"] == ["val_acc", "loss", "aaa"]
    for broken in ("a: [", "models: 3", "- 1", "models: {a: 1}", ""):
        project.write({"configs/baseline.yaml": broken})
        assert evaluate(tmp_path, "--select", "all", "--configs", "!configs/b*").code == 0


def test_progress_guesses_what_is_left() -> None:
    said: list[str] = []
    progress = Progress(3, 1, said.append, lambda _model: ["f1"])
    task = Task(Config("c.yaml", "c", "c"), "head", None, "")

    progress.report(Record(task, Outcome.OK, seconds=90, metrics={"a": (1.0,), "f1": (0.5, 0.7)}))
    progress.report(Record(task, Outcome.OK, cached=True, seconds=1))
    progress.report(Record(task, Outcome.CRASHED, "exit code 1", seconds=0.25))

    assert said == [
        "[1/3] c: ok, 90.0 s, f1 0.6, about 3 min left",
        "[2/3] c: ok, from the cache, about 1.5 min left",
        "[3/3] c: crashed, 0.2 s: exit code 1",
    ]


@given(st.text())
def test_our_sentences_keep_their_words_when_code_is_marked(text: str) -> None:
    assert (
        plain(with_code(f"`{text.replace('`', '')}` changed"))
        == f"{text.replace('`', '') or '``'} changed"
    )
    assert plain(with_code("`a` and `b` changed")) == "a and b changed"
    assert with_code("`a` changed") == (Code("a"), " changed")


CASES = Path(__file__).parent / "cases" / "evaluate"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_reports_look_as_accepted(case: str) -> None:
    result = load_json(CASES / case / "result.json")
    validate(result, "evaluate-result", file=case)
    expected = CASES / case / "report.md"

    report = to_markdown(render(result))

    if os.environ.get("MLACTIONS_ACCEPT"):
        expected.write_text(report, encoding="utf-8")
    assert report == expected.read_text(encoding="utf-8")


TEXT = st.text(max_size=60)
NUMBER = st.floats(allow_nan=False)


RESULT = st.fixed_dictionaries(
    {
        "model": st.just("m"), "config": TEXT, "side": st.sampled_from(["head", "base"]),
        "seed": st.none() | st.integers(), "reason": TEXT, "detail": TEXT,
        "outcome": st.sampled_from([str(outcome) for outcome in Outcome]),
        "seconds": st.floats(0, 1e9), "peak_memory_bytes": st.none() | st.integers(0, 2**50),
        "log": st.none() | TEXT, "log_tail": st.lists(TEXT, max_size=3),
        "metrics": st.dictionaries(TEXT, NUMBER | st.lists(NUMBER, min_size=2)),
        "predictions": st.none(), "file": st.none() | TEXT, "line": st.integers(1, 9),
        "cached": st.booleans(),
    }
)  # fmt: skip


@given(st.lists(RESULT, max_size=4), st.lists(TEXT, max_size=2), st.lists(TEXT, max_size=3))
def test_any_result_can_be_shown(
    evaluations: list[dict[str, Any]], notes: list[str], metrics: list[str]
) -> None:
    conditions = {
        "commit": "",
        "protocol": "sha256:" + "0" * 64,
        "hardware": "cpu",
        "python": None,
        "torch": None,
    }
    result = {
        "version": 1, "word": "evaluate", "status": "fail", "verdict": "It failed.",
        "commit": "", "key": "k", "dirty": True, "base": None, "interrupted": False,
        "expected": [], "notes": notes, "metrics": metrics,
        "skipped": [{"model": "m", "config": note, "reason": note} for note in notes],
        "evaluations": evaluations, "conditions": {"head": conditions},
    }  # fmt: skip
    validate(result, "evaluate-result", file="result.json")

    text = to_markdown(render(result))

    assert text.startswith("## ")
    assert "It failed." in text
