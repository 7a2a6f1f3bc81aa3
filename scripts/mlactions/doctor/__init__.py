"""doctor: check a repository's set-up of this library, and say what to do, line by line."""

from mlactions.doctor.command import command

__all__ = ["command"]
