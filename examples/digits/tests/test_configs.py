"""Configs: each composes into an experiment, and mistakes in them are errors."""

from pathlib import Path

import pytest
from omegaconf.errors import ConfigKeyError, ValidationError

from src.experiment import compose_experiment

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EXPERIMENTS = sorted(path for path in CONFIGS.glob("*.yaml") if path.stem != "baseline")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_config_composes_and_is_named_after_its_file(path):
    experiment = compose_experiment(path, ["seed=3"])
    assert experiment.name == path.stem
    assert experiment.seed == 3
    assert experiment.tracking.run_name == f"{path.stem}-seed3"


def test_unknown_key_is_an_error():
    with pytest.raises(ConfigKeyError, match="momentum"):
        compose_experiment(CONFIGS / "digits_cnn.yaml", ["+training.momentum=0.9"])


def test_wrong_type_is_an_error():
    with pytest.raises(ValidationError, match="many"):
        compose_experiment(CONFIGS / "digits_cnn.yaml", ["training.epochs=many"])


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        compose_experiment(CONFIGS / "nowhere.yaml")
