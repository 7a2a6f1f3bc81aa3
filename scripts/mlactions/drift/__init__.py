"""drift: a production config against the parameters of the deployed MLflow run. Decides."""

from mlactions.drift.cli import command
from mlactions.drift.render import render

__all__ = ["command", "render"]
