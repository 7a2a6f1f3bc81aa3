"""comment: show results as one sticky comment on a pull request. The only word that writes."""

from mlactions.comment.command import command

__all__ = ["command"]
