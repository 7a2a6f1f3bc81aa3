"""evaluate: run the evaluation of every model config a change touches, and collect its metrics."""

from mlactions.evaluate.command import command
from mlactions.evaluate.render import render

__all__ = ["command", "render"]
