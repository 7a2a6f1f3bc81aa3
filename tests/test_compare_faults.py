"""The fault corpus: every broken file is refused, with its reason, and nothing passes."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.errors import Exit
from mlactions.runner import Runner

FAULTS = Path(__file__).parent / "cases" / "compare" / "faults"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FAULTS / "expected.json").read_text())


def compare(baseline: Path, metrics: Path, folder: Path) -> tuple[int, str]:
    """Run the command as the launcher does; return its exit code and what it printed."""
    (folder / "metrics").mkdir(parents=True)
    shutil.copyfile(baseline, folder / "baseline.yaml")
    shutil.copyfile(metrics, folder / "metrics" / "cnn.json")
    stream = io.StringIO()
    arguments = f"compare --baseline {folder}/baseline.yaml --metrics {folder}/metrics"
    arguments += f" --out {folder}/out --today 2026-11-22"
    return run(arguments.split(), Runner({}, stream)), stream.getvalue()


def test_the_good_pair_passes(tmp_path: Path) -> None:
    good = FAULTS / "good"

    code, said = compare(good / "baseline.yaml", good / "cnn.json", tmp_path)

    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (code, result["status"]) == (Exit.PASS, "pass"), said
    assert [row["metric"] for row in result["rows"]] == [
        "accuracy",
        "loss",
        "log_likelihood",
        "skill",
        "latency_ms",
        "parameters",
        "calibration.ece",
    ]


def test_every_fault_is_listed() -> None:
    files = {
        path.relative_to(FAULTS).as_posix()
        for folder in ("candidate", "baseline")
        for path in (FAULTS / folder).iterdir()
    }

    assert files == EXPECTED.keys()
    assert len(files) >= 40


@pytest.mark.parametrize("name", EXPECTED)
def test_no_fault_passes(name: str, tmp_path: Path) -> None:
    fault, expected = FAULTS / name, EXPECTED[name]
    baseline = fault if fault.suffix == ".yaml" else FAULTS / "good" / "baseline.yaml"
    metrics = fault if fault.suffix == ".json" else FAULTS / "good" / "cnn.json"

    code, said = compare(baseline, metrics, tmp_path)

    assert code == expected["exit"], said
    if code == Exit.FAILED_CHECK:
        findings = json.loads((tmp_path / "out" / "result.json").read_text())["findings"]
        reasons = {item["reason"]: item for item in findings if item["level"] == "fail"}
        assert expected["reason"] in reasons, said
        assert reasons[expected["reason"]]["line"], "it names the line of its rule"
    else:
        assert not (tmp_path / "out").exists(), "nothing half-written is left behind"
        where, title = one_line(said)
        assert title == expected["reason"]
        assert where.endswith(f":{expected['line']}" if "line" in expected else fault.suffix), said


def one_line(said: str) -> tuple[str, str]:
    """Return the place and the reason of `error: file:line title: message`."""
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    where, _, rest = said.removeprefix("error: ").partition(" ")
    return where, rest.partition(": ")[0].replace(" ", "-").lower()
