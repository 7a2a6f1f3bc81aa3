"""audit: is the training code reproducible? Rules over the syntax tree. Decides; `measure` runs."""

from mlactions.audit.cli import command
from mlactions.audit.render import render

__all__ = ["command", "render"]
