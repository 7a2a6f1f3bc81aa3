"""train: one training run, prepared, watched, and resumable. Measures."""

from mlactions.train.command import command
from mlactions.train.render import render

__all__ = ["command", "render"]
