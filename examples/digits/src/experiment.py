"""One experiment: a Hydra config made typed, and the model that it trains."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.data.digits import DataConfig, DigitsData
from src.evaluation.metrics import predict, summarise
from src.models.factory import build_model
from src.training.loop import TrainingConfig, fit
from src.training.reproducibility import make_reproducible
from src.training.resume import Keeper
from src.training.tracking import Tracker, TrackingConfig

log = logging.getLogger(__name__)
Config = TypeVar("Config")


@dataclass(frozen=True)
class Experiment:
    """A composed config: typed where our code reads it, plain where it is recorded."""

    name: str
    seed: int
    model: DictConfig
    data: DataConfig
    training: TrainingConfig
    tracking: TrackingConfig
    params: dict[str, Any]


def read_experiment(config: DictConfig) -> Experiment:
    """Check every group against its dataclass: an unknown key or a wrong type is an error."""
    params = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(params, dict)

    def typed(schema: type[Config], group: str) -> Config:
        checked = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), params[group]))
        assert isinstance(checked, schema)
        return checked

    return Experiment(
        name=config.name,
        seed=config.seed,
        model=config.model,
        data=typed(DataConfig, "data"),
        training=typed(TrainingConfig, "training"),
        tracking=typed(TrackingConfig, "tracking"),
        params={str(key): value for key, value in params.items()},
    )


def compose_experiment(config_file: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Compose `config_file` with Hydra, as `scripts/train.py --config-name` does."""
    if not config_file.is_file():
        raise FileNotFoundError(f"no config {config_file}")
    with initialize_config_dir(str(config_file.parent.resolve()), version_base="1.3"):
        return read_experiment(compose(config_file.stem, list(overrides)))


def train_model(
    experiment: Experiment, data: DigitsData, tracker: Tracker, keeper: Keeper | None = None
) -> nn.Module:
    """Train the experiment's model from its seed; the test split is not looked at."""
    make_reproducible(experiment.seed, experiment.training.threads)
    config = experiment.training
    model = build_model(experiment.model)

    def on_epoch_end(epoch: int, train_loss: float) -> None:
        validation = predict(model, data.val, config.device, config.autocast)
        metrics = {"train_loss": train_loss, **summarise(validation, "val")}
        tracker.log_metrics(metrics, epoch)
        log.info("epoch %d: %s", epoch, " ".join(f"{k} {v:.4f}" for k, v in metrics.items()))

    fit(model, data.train, config, experiment.seed, on_epoch_end, keeper)
    return model
