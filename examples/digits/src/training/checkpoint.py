"""Checkpoints: the weights and what it takes to use them."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.files import atomic_path


@dataclass(frozen=True)
class Checkpoint:
    """Weights, the resolved config they were trained with, and the input normalisation."""

    weights: dict[str, Tensor]
    config: dict[str, Any]
    mean: float
    std: float
    data_sha256: str


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the checkpoint atomically: a run that is stopped leaves the old file or none."""
    with atomic_path(path) as temporary:
        torch.save(asdict(checkpoint), temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; never runs pickled code (`weights_only`)."""
    return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))


def restore(model: nn.Module, checkpoint: Checkpoint, model_config: dict[str, Any]) -> None:
    """Load the weights into `model`, after checking that its config is the one they belong to."""
    trained = checkpoint.config["model"]
    if trained != model_config:
        raise ValueError(f"the checkpoint is of {trained}, the config asks for {model_config}")
    model.load_state_dict(checkpoint.weights)
