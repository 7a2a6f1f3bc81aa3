"""init: look at a repository, and write the workflows that fit it, after showing them."""

from mlactions.init.command import command

__all__ = ["command"]
