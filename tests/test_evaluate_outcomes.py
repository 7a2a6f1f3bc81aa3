"""Every way an evaluation can end, each as a real process, in one run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mlactions.bundle import open_bundle
from mlactions.evaluate import render
from mlactions.markdown import render as to_markdown
from tests.evaluate_support import (
    COMMAND,
    GOOD,
    PROGRAM,
    Ran,
    Repository,
    run_evaluate,
)

ENDS: list[tuple[str, str, str]] = [
    (GOOD, "ok", ""),
    ("write({'metrics': {'a': {'b': 1}, 'f1/class=8': 0.5}})", "ok", ""),
    ("raise ValueError('boom')", "crashed", "exit code 1: ValueError: boom"),
    (f"{GOOD}; sys.exit(4)", "crashed", "exit code 4"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", "SIGSEGV"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "SIGKILL"),
    ("time.sleep(60)", "timed-out", "still running after"),
    (f"{GOOD}; time.sleep(60)", "timed-out", "still running after"),
    ("pass", "no-metrics", "wrote no file at {output}"),
    ("output.write_text('')", "bad-metrics", "the file is empty"),
    ("output.write_text('{\"a\": 1, \"a\": 2}')", "bad-metrics", "duplicate key: line 1"),
    ("output.write_text('[1]')", "bad-metrics", "expected an object, found a list"),
    ("output.write_bytes(b'\\xff')", "bad-metrics", "not UTF-8"),
    ("write({})", "bad-metrics", "holds no metric"),
    ("write({'a': math.nan})", "bad-metrics", "a is NaN"),
    ("write({'a': [1, -math.inf]})", "bad-metrics", "a is -Infinity (infinite)"),
    ("write({'a': True, 'b': 'x'})", "bad-metrics", 'a is true (boolean); b is "x" (string)'),
    ("write({'a': None})", "bad-metrics", "a is null"),
    ("write({'a': []})", "bad-metrics", "(empty-list)"),
    ("write({'a': [1, 2]})", "bad-metrics", "a list of 2 values, but one seed ran"),
    ("output.mkdir()", "bad-metrics", "not a regular file"),
    ("output.symlink_to('/etc/passwd')", "bad-metrics", "not a regular file"),
    ("os.mkfifo(output)", "bad-metrics", "not a regular file"),
    (f"(output.parent / 'predictions.csv').write_text('id,a'); {GOOD}", "bad-metrics", "no row"),
    ("print('x' * 2_000_000); " + GOOD, "ok", ""),
    ("os.write(1, b'\\xff\\xfe\\n' * 100); " + GOOD, "ok", ""),
    ("write({'count': 10**400})", "bad-metrics", "infinite"),
    ("output.write_text('{\"a\": ' + '9' * 5000 + '}')", "bad-metrics", "not valid JSON"),
    ("output.write_text('{\"a\": ' + '[' * 99999)", "bad-metrics", "nested too deeply"),
    ("output.write_text('{\"\\\\ud800\": 1}')", "bad-metrics", "the metric name"),
    ("write({'a\\n::error::b': 1})", "bad-metrics", "the metric name"),
    ("write({'': 1})", "bad-metrics", "the metric name"),
    ("write({'a': '\\ud800'})", "bad-metrics", "(string)"),
    ("write({'metrics': {'a': 1}, 'provenance': {'data': '\\ud800\\n'}})", "ok", ""),
    ("raise ValueError('\\n::error::x')", "crashed", "exit code 1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run every way to end once, several at a time."""
    root = tmp_path_factory.mktemp("ends")
    files = {f"configs/c{number:02}.py": source for number, (source, *_) in enumerate(ENDS)}
    repository = Repository.make(root / "repo", {"run.py": PROGRAM, **files})
    before = Path.cwd()
    os.chdir(repository.root)
    try:
        return run_evaluate(
            root / "out",
            *("--command", COMMAND, "--configs", "configs/*.py", "--seeds", "0", "--select", "all"),
            *("--timeout-minutes", "0.04", "--grace-seconds", "0.1", "--jobs", "4"),
        )
    finally:
        os.chdir(before)


@pytest.mark.parametrize("number", range(len(ENDS)))
def test_every_evaluation_ends_with_its_name(ended: Ran, number: int) -> None:
    _, outcome, detail = ENDS[number]
    record = next(e for e in ended.evaluations if e["model"] == f"c{number:02}")

    assert (record["outcome"], detail in record["detail"]) == (outcome, True), record["detail"]
    assert (ended.out / "metrics" / f"c{number:02}.json").exists() == (outcome == "ok")


def test_one_failure_never_stops_the_others(ended: Ran) -> None:
    assert ended.code == 1
    assert len(ended.evaluations) == len(ENDS)
    assert ended.outputs["status"] == ended.json("result.json")["status"] == "fail"
    assert f"[{len(ENDS)}/{len(ENDS)}]" in ended.text


def test_the_bundle_is_sealed_and_whole(ended: Ran) -> None:
    bundle = open_bundle(ended.out, word="evaluate")

    bundle.json("evaluation.json", schema="evaluation")
    bundle.json("result.json", schema="evaluate-result")
    names = {entry.path for entry in bundle.entries}
    assert {"result.json", "facts.json", "report.md", "report.html"} <= names
    assert not [name for name in names if ".scratch" in name]
    assert all(record["log"] in names for record in ended.evaluations)


def test_facts_have_unique_ids_and_the_users_line(ended: Ran) -> None:
    facts = {fact["id"]: fact for fact in ended.json("facts.json")["facts"]}

    assert len(facts) == len(ended.json("facts.json")["facts"])
    assert all(re.fullmatch(r"[a-z0-9._/=-]{1,200}", name) for name in facts)
    crash = facts["evaluate.c02.head.seed-0.outcome"]
    assert (crash["value"], crash["file"], crash["line"]) == ("crashed", "run.py", 6)
    assert facts["evaluate.c02.head.seed-0.log"]["data"]["tail"][-1] == "ValueError: boom"
    assert facts["evaluate.c01.head.metric.f1/class=8"]["value"] == 0.5
    assert facts["evaluate.c00.head.seed-0.seconds"]["unit"] == "s"


def test_the_report_shows_failures_first(ended: Ran) -> None:
    report = (ended.out / "report.md").read_text()
    rows = [line for line in report.splitlines() if re.match(r"\| `c\d\d` \| 0 ", line)]

    failed = [" ok " not in row for row in rows]
    assert len(rows) == len(ENDS)
    assert failed == sorted(failed, reverse=True)
    assert "ValueError: boom" in report
    assert report == to_markdown(render(ended.json("result.json")))
