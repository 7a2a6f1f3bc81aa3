"""Compare metrics with a baseline: rules in, one verdict out, every number with its noise."""

from mlactions.compare.cli import command
from mlactions.compare.reporting import render

__all__ = ["command", "render"]
