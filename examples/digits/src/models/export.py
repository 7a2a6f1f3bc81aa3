"""Factories for export: from the name of a config to a model."""

from pathlib import Path

from torch import nn

from src.experiment import compose_experiment
from src.models.factory import build_model
from src.models.serving import ServingModel
from src.training.checkpoint import load_checkpoint, restore

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def classifier(config: str = "digits_cnn") -> nn.Module:
    """The model of a config, untrained: normalised images (B, 1, 8, 8) -> logits (B, 10).

    The weights are under the key `weights` of a checkpoint.
    """
    return build_model(compose_experiment(CONFIGS / f"{config}.yaml").model)


def server(checkpoint: str, config: str = "digits_cnn") -> nn.Module:
    """The trained model as it is served: pixels from 0 to 16 (B, 1, 8, 8) -> probabilities (B, 10).

    It normalises with the statistics of the checkpoint, so that a caller need not know them.
    """
    experiment = compose_experiment(CONFIGS / f"{config}.yaml")
    model = build_model(experiment.model)
    trained = load_checkpoint(Path(checkpoint))
    restore(model, trained, experiment.params["model"])
    return ServingModel(model, trained.mean, trained.std)
