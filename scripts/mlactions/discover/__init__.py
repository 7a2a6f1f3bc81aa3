"""discover: models and data sets on the Hugging Face Hub that hold to constraints. Decides."""

from mlactions.discover.command import command
from mlactions.discover.render import render

__all__ = ["command", "render"]
