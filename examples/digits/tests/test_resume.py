"""Resuming: the same bits as without an interruption, and nothing but an undamaged state."""

import json

import pytest
import torch

from src.data.digits import load_data
from src.experiment import compose_experiment, train_model
from src.mlactions_train import Checkpoints, ConfigChangedError
from src.training.resume import CheckpointKeeper, Stopped
from src.training.tracking import NoTracker
from tests.test_training import SMOKE, same_weights


class StoppingKeeper(CheckpointKeeper):
    """Stops after an epoch, as SIGTERM does."""

    def __init__(self, checkpoints, epoch):
        super().__init__(checkpoints)
        self.epoch = epoch

    def save(self, parts, order, epoch, loss):
        super().save(parts, order, epoch, loss)
        if epoch == self.epoch:
            raise Stopped("as if SIGTERM had come")


def checkpoints(folder, *overrides):
    experiment = compose_experiment(SMOKE, overrides)
    return experiment, Checkpoints(experiment.params, allow=("tracking.*",), folder=str(folder))


def train(folder, keeper_of=CheckpointKeeper, *overrides):
    experiment, kept = checkpoints(folder, *overrides)
    return train_model(experiment, load_data(experiment.data), NoTracker(), keeper_of(kept))


def stop_after(folder, epoch):
    with pytest.raises(Stopped):
        train(folder, lambda kept: StoppingKeeper(kept, epoch))


def undisturbed():
    experiment = compose_experiment(SMOKE)
    return train_model(experiment, load_data(experiment.data), NoTracker())


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    stop_after(tmp_path, 2)
    stop_after(tmp_path, 3)
    assert same_weights(train(tmp_path), undisturbed())
    assert json.loads((tmp_path / "latest.json").read_text())["step"] == 5


def test_a_damaged_state_is_passed_over_for_the_one_before(tmp_path, capsys):
    stop_after(tmp_path, 3)
    path = tmp_path / json.loads((tmp_path / "latest.json").read_text())["path"]
    path.write_bytes(path.read_bytes()[:-100])
    _, kept = checkpoints(tmp_path)
    assert kept.latest().step == 2
    assert "damaged" in capsys.readouterr().out
    assert same_weights(train(tmp_path), undisturbed())


def test_a_state_of_another_configuration_is_refused_by_name(tmp_path):
    stop_after(tmp_path, 2)
    with pytest.raises(ConfigChangedError, match=r"training\.max_lr was 0\.002, is 0\.001"):
        train(tmp_path, CheckpointKeeper, "training.max_lr=0.001")
    _, kept = checkpoints(tmp_path, "tracking.experiment=other")
    assert kept.latest().step == 2


def test_a_state_holds_nothing_that_runs_code(tmp_path):
    stop_after(tmp_path, 1)
    _, kept = checkpoints(tmp_path)
    state = torch.load(kept.latest().path, weights_only=True)
    assert set(state) == {"parts", "order", "random"}
