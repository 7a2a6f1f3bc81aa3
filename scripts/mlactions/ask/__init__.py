"""ask: the one place that calls Codex. It explains a result; every claim it makes is checked."""

from mlactions.ask.command import command
from mlactions.ask.local import ask_locally, tell_locally
from mlactions.ask.render import render_answer

__all__ = ["ask_locally", "command", "render_answer", "tell_locally"]
