"""Evaluation: the numbers, the files, and the command line as a user runs it."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.digits import Split
from src.evaluation.metrics import Predictions, accuracy_by_class, summarise
from src.evaluation.report import write_metrics, write_predictions

ROOT = Path(__file__).resolve().parents[1]
SLICES = {f"test_accuracy/class={digit}" for digit in range(10)}
METRICS = {"test_accuracy", "test_macro_f1", "test_loss", "latency_ms"} | SLICES


def run(script, *arguments):
    command = [sys.executable, ROOT / "scripts" / script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)


def evaluate(output, *arguments):
    config = ROOT / "configs" / "smoke_test.yaml"
    run("evaluate.py", "--config", config, "--seed", "1", "--output", output, *arguments)
    return json.loads(output.read_text())


def predictions():
    targets = torch.tensor([0, 0, 1, 1])
    return Predictions(targets, torch.tensor([0, 1, 1, 1]), torch.tensor([0.1, 0.7, 0.2, 0.2]))


def test_summary_of_known_predictions():
    scores = summarise(predictions(), "test")
    assert scores["test_accuracy"] == 0.75
    assert scores["test_macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores["test_loss"] == pytest.approx(0.3)
    by_class = accuracy_by_class(predictions(), "test")
    assert by_class["test_accuracy/class=0"] == 0.5
    assert by_class["test_accuracy/class=1"] == 1.0
    assert math.isnan(by_class["test_accuracy/class=2"])


def test_predictions_file(tmp_path):
    split = Split(np.array([5, 12, 80, 1796]), torch.empty(4, 1, 8, 8), predictions().targets)
    write_predictions(tmp_path / "p.jsonl", split, predictions())
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [
        "digits-0005",
        "digits-0012",
        "digits-0080",
        "digits-1796",
    ]
    assert [row["correct"] for row in rows] == [1, 0, 1, 1]
    assert rows[1]["loss"] == pytest.approx(0.7)


def test_a_metric_that_is_not_a_number_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_metrics(tmp_path / "m.json", {"test_loss": math.nan}, "sha256:0")
    assert list(tmp_path.iterdir()) == []


def test_metrics_are_written_to_be_read(tmp_path):
    write_metrics(tmp_path / "m.json", {"a": 2 / 3, "b": 1.0, "c": 1234567.0}, "sha256:0")
    metrics = json.loads((tmp_path / "m.json").read_text())["metrics"]
    assert metrics == {"a": 0.666667, "b": 1.0, "c": 1234570.0}


def test_two_processes_agree_bit_for_bit(tmp_path):
    outputs, rows = [], []
    for name in ("first", "second"):
        predicted = tmp_path / f"{name}.jsonl"
        outputs.append(evaluate(tmp_path / f"{name}.json", "--predictions", predicted))
        rows.append(predicted.read_bytes())
    for output in outputs:
        assert set(output["metrics"]) == METRICS
        assert output["metrics"].pop("latency_ms") > 0
        assert output["provenance"]["data"].startswith("sha256:")
    assert outputs[0] == outputs[1]
    assert rows[0] == rows[1]
    assert len(rows[0].splitlines()) == 449


def test_train_then_evaluate_the_checkpoint(tmp_path):
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    folder = f"hydra.run.dir={tmp_path}/run"
    overrides = ["tracking.enabled=false", "seed=1", store, folder]
    run("train.py", "--config-name", "smoke_test", *overrides)
    trained = evaluate(tmp_path / "trained.json")
    restored = evaluate(tmp_path / "restored.json", "--checkpoint", tmp_path / "run" / "model.pt")
    for output in (trained, restored):
        output["metrics"].pop("latency_ms")
    assert trained == restored
    assert not (tmp_path / "mlflow.db").exists()
