"""Training: one seed gives one result, checkpoints restore it, MLflow has the record of it."""

import math
from contextlib import suppress
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow.entities import RunStatus

from src.data.digits import load_data
from src.experiment import compose_experiment, train_model
from src.models.factory import build_model
from src.training.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint
from src.training.precision import autocast
from src.training.tracking import NoTracker, TrackingConfig, flatten, start_run

SMOKE = Path(__file__).resolve().parents[1] / "configs" / "smoke_test.yaml"


class RecordingTracker(NoTracker):
    """Keeps the metrics of every epoch."""

    def __init__(self):
        self.epochs = []

    def log_metrics(self, metrics, epoch):
        self.epochs.append(dict(metrics))


def train(*overrides, tracker=None):
    experiment = compose_experiment(SMOKE, overrides)
    data = load_data(experiment.data)
    return experiment, data, train_model(experiment, data, tracker or NoTracker())


def same_weights(left, right):
    left, right = left.state_dict(), right.state_dict()
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("model", ["cnn", "vit"])
def test_same_seed_same_weights_bit_for_bit(model):
    overrides = [f"model={model}", "~model.width"] if model == "vit" else []
    first, second, other = (train(f"seed={s}", *overrides)[2] for s in (0, 0, 1))
    assert same_weights(first, second)
    assert not same_weights(first, other)


def test_training_learns():
    tracker = RecordingTracker()
    train("data.train_limit=null", "model.width=24", tracker=tracker)
    losses = [metrics["train_loss"] for metrics in tracker.epochs]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < math.log(10)  # better than a guess


def test_autocast_is_a_matter_of_config():
    with autocast("cpu", enabled=True):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16
    _, _, mixed = train("training.autocast=true")
    _, _, full = train("training.autocast=false")
    assert not same_weights(mixed, full)


def test_checkpoint_restores_the_model(tmp_path):
    experiment, data, model = train()
    saved = Checkpoint(model.state_dict(), experiment.params, data.mean, data.std, data.sha256)
    save_checkpoint(saved, tmp_path / "run" / "model.pt")
    loaded = load_checkpoint(tmp_path / "run" / "model.pt")
    fresh = build_model(experiment.model)
    restore(fresh, loaded, experiment.params["model"])
    assert same_weights(fresh, model)
    assert (loaded.mean, loaded.std, loaded.data_sha256) == (data.mean, data.std, data.sha256)
    with pytest.raises(ValueError, match="'width': 9"):
        restore(fresh, loaded, {**experiment.params["model"], "width": 9})


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {"d": None}}, "e": "x"}) == {
        "a.b": 1,
        "a.c.d": None,
        "e": "x",
    }


@pytest.fixture
def tracking(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return TrackingConfig(
        True, f"sqlite:///{tmp_path}/mlflow.db", "test", "run", {"team": "digits"}
    )


def only_run():
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return run


def test_mlflow_has_parameters_and_metrics_of_every_epoch(tracking):
    experiment = compose_experiment(SMOKE)
    data = load_data(experiment.data)
    with start_run(tracking, experiment.params) as tracker:
        train_model(experiment, data, tracker)
    run = only_run()
    assert run.data.params["training.epochs"] == "5"
    assert run.data.params["model._target_"] == "src.models.cnn.DigitsCNN"
    assert run.data.tags["team"] == "digits"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "val_accuracy")
    assert [point.step for point in history] == [1, 2, 3, 4, 5]


def test_parameters_of_a_crashed_run_are_recorded(tracking):
    with suppress(RuntimeError), start_run(tracking, {"seed": 7}):
        raise RuntimeError("crash before the first epoch")
    run = only_run()
    assert run.info.status == RunStatus.to_string(RunStatus.FAILED)
    assert run.data.params == {"seed": "7"}
