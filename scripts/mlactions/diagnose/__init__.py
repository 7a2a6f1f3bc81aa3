"""diagnose: a failed or odd training run, and what its curves, settings and probes say."""

from mlactions.diagnose.command import command
from mlactions.diagnose.render import render

__all__ = ["command", "render"]
