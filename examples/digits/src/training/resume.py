"""Stopping and resuming: all that the next epoch depends on, saved after each one.

A run that was killed and resumed ends with the same bits as one that was not.
"""

import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from src.mlactions_train import Checkpoints, progress, should_stop

log = logging.getLogger(__name__)


class Stopped(Exception):
    """SIGTERM came, and the last epoch is saved: no error, the run will be continued."""


class Stateful(Protocol):
    """A model, an optimizer or a scheduler."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take it."""


class Keeper(Protocol):
    """Whoever keeps the state of a training."""

    def restore(self, parts: Mapping[str, Stateful], order: torch.Generator) -> int:
        """Load the last state, if there is one; return its epoch, or 0."""

    def save(
        self, parts: Mapping[str, Stateful], order: torch.Generator, epoch: int, loss: float
    ) -> None:
        """Keep the state of an epoch that has ended."""


class CheckpointKeeper:
    """Keeps the state in a folder of checkpoints, and the id of the MLflow run beside it."""

    def __init__(self, checkpoints: Checkpoints, run_id: str = "") -> None:
        self._checkpoints = checkpoints
        self._run_id = run_id

    def restore(self, parts: Mapping[str, Stateful], order: torch.Generator) -> int:
        """Load the newest undamaged state; never runs pickled code (`weights_only`)."""
        found = self._checkpoints.latest()
        if found is None:
            return 0
        state = torch.load(found.path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        order.set_state(state["order"])
        set_random_state(state["random"])
        log.info("resumed after epoch %d", found.step)
        return found.step

    def save(
        self, parts: Mapping[str, Stateful], order: torch.Generator, epoch: int, loss: float
    ) -> None:
        """Write a checkpoint. Raises Stopped if somebody asked for the end."""
        state = {
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "order": order.get_state(),
            "random": random_state(),
        }

        def write(path: Path) -> None:
            torch.save(state, path)

        progress(step=epoch, loss=loss)
        metric = ("train_loss", loss)
        self._checkpoints.save(write, step=epoch, metric=metric, run_id=self._run_id)
        if should_stop():
            raise Stopped(f"stopped after epoch {epoch}, which is saved")


def random_state() -> dict[str, Any]:
    """The state of every generator that a training may draw from, without pickled classes."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put every generator where it was."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
