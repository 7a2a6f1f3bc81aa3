"""analyze: what the runs of an MLflow experiment say, measured before anybody explains it."""

from mlactions.analyze.command import command
from mlactions.analyze.render import render

__all__ = ["command", "render"]
