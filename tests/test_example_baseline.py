"""The example's baseline: written by `compare update`, and good on any machine but for times."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlactions.__main__ import run
from mlactions.compare.baseline import parse_baseline
from mlactions.compare.model import Baseline
from mlactions.errors import Exit
from mlactions.evaluate.provenance import protocol_hash
from mlactions.evaluate.template import parse_template
from mlactions.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "examples/digits/configs/baseline.yaml"
COMMAND = "python scripts/evaluate.py --config {config} --seed {seed} --output {output}"
ELSEWHERE = "cpu:AMD EPYC 7763 64-Core Processor;gpu:none"


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return parse_baseline(FILE.read_text(encoding="utf-8"), name=FILE.name)


def test_it_says_where_every_number_comes_from(baseline: Baseline) -> None:
    assert list(baseline.models) == ["digits_cnn", "digits_vit"]
    for model in baseline.models.values():
        origin = model.provenance
        assert re.fullmatch(r"[0-9a-f]{40}", origin["commit"])
        assert {"config", "data", "hardware", "python", "torch", "measured"} <= set(origin)
        assert origin["seeds"] == [0, 1, 2, 3, 4]
        assert {len(rule.values) for rule in model.rules.values()} == {5}


def test_it_was_measured_by_the_command_that_we_tell_people_to_use(baseline: Baseline) -> None:
    """Another command is another protocol, and the gate would compare nothing."""
    digest = protocol_hash(parse_template(COMMAND), {})
    assert {model.provenance["protocol"] for model in baseline.models.values()} == {digest}
    for name in ("workflows/gate.yml", ".github/workflows/selftest.yml"):
        job = yaml.safe_load((ROOT / name).read_text())["jobs"]["gate"]
        assert job["with"]["command"] == COMMAND
    assert f'--command "{COMMAND}"' in (ROOT / "scripts/dev/demo.sh").read_text()


def test_the_one_in_the_readme_is_one() -> None:
    text = (ROOT / "README.md").read_text()
    shown = next(
        block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "waivers" in block
    )
    parsed = parse_baseline(shown, name="README.md")
    assert list(parsed.models["digits_cnn"].rules) == [
        "val_accuracy",
        "val_accuracy/class=8",
        "latency_ms",
    ]
    assert [waiver.metric for waiver in parsed.waivers] == ["latency_ms"]


def measured(folder: Path, baseline: Baseline, **provenance: Any) -> Path:
    """Write what the baseline records as if it had just been measured."""
    for name, model in baseline.models.items():
        document = {
            "metrics": {metric: list(rule.values) for metric, rule in model.rules.items()},
            "provenance": {**model.provenance, **provenance},
            "seeds": model.provenance["seeds"],
        }
        (folder / f"{name}.json").write_text(json.dumps(document, default=str))
    return folder


@pytest.mark.parametrize(
    ("provenance", "code", "incomparable"),
    [
        ({}, Exit.PASS, set()),
        ({"hardware": ELSEWHERE}, Exit.PASS, {"latency_ms"}),
        ({"protocol": "sha256:" + "0" * 64}, Exit.FAILED_CHECK, None),
    ],
    ids=["same machine", "other machine", "other command"],
)
def test_only_times_depend_on_the_machine(
    tmp_path: Path,
    baseline: Baseline,
    provenance: dict[str, str],
    code: Exit,
    incomparable: set[str] | None,
) -> None:
    (tmp_path / "metrics").mkdir()
    metrics = measured(tmp_path / "metrics", baseline, **provenance)
    given = ["--baseline", str(FILE), "--metrics", str(metrics), "--out", str(tmp_path / "out")]

    assert run(["compare", *given], Runner({}, io.StringIO())) == code

    rows = json.loads((tmp_path / "out/result.json").read_text())["rows"]
    found = {row["metric"] for row in rows if row["label"] == "incomparable"}
    everything = {metric for model in baseline.models.values() for metric in model.rules}
    assert found == (everything if incomparable is None else incomparable)
