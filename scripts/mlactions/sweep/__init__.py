"""sweep: from a search space to override files, scripts and a manifest. Decides, runs nothing."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlactions.sweep.cli import command
    from mlactions.sweep.render import render

__all__ = ["command", "render"]


def __getattr__(name: str) -> Any:
    """Import when asked for: whoever only reads a space needs no command line."""
    if name == "command":
        from mlactions.sweep.cli import command

        return command
    if name == "render":
        from mlactions.sweep.render import render

        return render
    raise AttributeError(name)
