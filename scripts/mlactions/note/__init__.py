"""note: experiment notes, written before the run and closed after it. Decides."""

from mlactions.note.command import command
from mlactions.note.render import render

__all__ = ["command", "render"]
