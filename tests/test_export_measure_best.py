"""The best checkpoint of a folder: found where its metric is known, never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlactions.errors import UserError
from mlactions.export.checkpoint import LARGER, SMALLER, choose


def test_no_metric_has_two_directions() -> None:
    assert not LARGER & SMALLER


def runs(folder: Path, **values: float) -> Path:
    """Write checkpoints whose names hold a metric."""
    folder.mkdir(parents=True)
    for name, value in values.items():
        (folder / f"epoch={name[1:]}-val_accuracy={value}.ckpt").touch()
    return folder


def best(tmp_path: Path, text: str) -> str:
    """Return the file's name that is chosen in `runs`."""
    path = choose(text, folder=tmp_path, directory="runs").path
    assert path is not None
    return path.name


def test_the_best_is_found_in_names(tmp_path: Path) -> None:
    runs(tmp_path / "runs", e1=0.5, e2=0.75, e3=0.625)
    choice = choose("best:val_accuracy", folder=tmp_path, directory="runs")
    assert choice.source == "runs/epoch=2-val_accuracy=0.75.ckpt"
    assert choice.note.endswith("has the largest `val_accuracy` of 3: 0.75.")
    assert best(tmp_path, "best:val_accuracy:min") == "epoch=1-val_accuracy=0.5.ckpt"


def test_the_best_is_found_in_files_beside(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "deep"
    folder.mkdir(parents=True)
    for name, loss in (("a", 0.3), ("b", 0.1), ("c", float("nan"))):
        (folder / f"{name}.pt").touch()
        (folder / f"{name}.json").write_text(json.dumps({"metrics": {"val_loss": loss}}))
    assert best(tmp_path, "best:val_loss") == "b.pt"
    assert best(tmp_path, "best:val_loss:max") == "a.pt"


@pytest.mark.parametrize(
    ("metric", "chosen"),
    [
        ("mape", "a"),
        ("val_brier", "a"),
        ("test/rmse", "a"),
        ("train_nll", "a"),
        ("val_mAP", "b"),
        ("auroc", "b"),
        ("validation-bleu", "b"),
    ],
)
def test_the_direction_of_a_known_metric_is_known(metric: str, chosen: str, tmp_path: Path) -> None:
    write_beside(tmp_path / "runs", metric, a=0.05, b=0.9)
    assert best(tmp_path, f"best:{metric}") == f"{chosen}.pt"
    assert best(tmp_path, f"best:{metric}:min") == "a.pt"


@pytest.mark.parametrize("metric", ["val_score", "mapeish", "losses", "interest", "accuracy_loss"])
def test_a_direction_that_is_not_known_is_asked_for(metric: str, tmp_path: Path) -> None:
    write_beside(tmp_path / "runs", metric, a=0.05, b=0.9)
    with pytest.raises(UserError, match=f"small `{metric}` is best is not known") as caught:
        best(tmp_path, f"best:{metric}")
    assert f"best:{metric}:max or best:{metric}:min" in caught.value.hint
    assert best(tmp_path, f"best:{metric}:max") == "b.pt"
    (tmp_path / "runs" / "best.json").write_text(json.dumps({metric: "b.pt"}))
    assert best(tmp_path, f"best:{metric}") == "b.pt"


def write_beside(folder: Path, metric: str, **values: float) -> None:
    """Write checkpoints, each with a JSON file that holds a metric."""
    folder.mkdir(parents=True)
    for name, value in values.items():
        (folder / f"{name}.pt").touch()
        (folder / f"{name}.json").write_text(json.dumps({metric: value}))


def test_a_best_file_decides(tmp_path: Path) -> None:
    folder = runs(tmp_path / "runs", e1=0.9)
    (folder / "kept.pt").touch()
    listed = {"accuracy": "kept.pt", "f1": {"checkpoint": "kept.pt", "value": 1}, "auc": 3}
    (folder / "best.json").write_text(json.dumps(listed))
    assert best(tmp_path, "best:accuracy") == "kept.pt"
    assert best(tmp_path, "best:f1") == "kept.pt"
    for metric, words in (("val_accuracy", "has no `val_accuracy`"), ("auc", "names no file")):
        with pytest.raises(UserError, match=words):
            best(tmp_path, f"best:{metric}")
    (folder / "best.json").write_text('{"accuracy": "../../secret.pt"}')
    with pytest.raises(UserError, match="leads out of"):
        best(tmp_path, "best:accuracy")


@pytest.mark.parametrize(("value", "words"), [("nan", "files: "), ("1.0", "epoch=1")])
def test_no_best_says_what_was_found(value: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / f"epoch=1-other={value}.ckpt").touch()
    with pytest.raises(UserError, match="no checkpoint says its `val_accuracy`") as caught:
        best(tmp_path, "best:val_accuracy")
    assert words in caught.value.message
    assert "val_accuracy=0.98.ckpt" in caught.value.hint


def test_a_metric_that_is_no_number_anywhere_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "a.pt").touch()
    (folder / "a.json").write_text('{"val_loss": NaN}')
    with pytest.raises(UserError, match="not a number in all of them"):
        best(tmp_path, "best:val_loss")
