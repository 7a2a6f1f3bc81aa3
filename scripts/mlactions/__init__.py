"""Measure, decide, ask and comment: the Python behind the codex-ml-actions actions."""

__version__ = "0.1.0"
