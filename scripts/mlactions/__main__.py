"""The command line. The only place that turns errors into annotations and exit codes."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import Any

import click

from mlactions import __version__
from mlactions.errors import Exit, Interrupted, UserError
from mlactions.runner import Annotation, Runner

# Each word's module is imported only when it is called: start-up time is part of the product.
WORDS: Mapping[str, tuple[str, str]] = {
    "evaluate": (
        "mlactions.evaluate",
        "Run the evaluation of every model config a change touches.",
    ),
    "compare": ("mlactions.compare", "Check metrics against a baseline YAML."),
    "train": ("mlactions.train", "Run one training on this machine, watched and resumable."),
    "export": (
        "mlactions.export.command",  # not the package: workers import that, and need no options
        "Turn a checkpoint into an ONNX model that is proven equal.",
    ),
    "sweep": (
        "mlactions.sweep",
        "Turn a search space into override files and scripts that resume.",
    ),
    "drift": ("mlactions.drift", "Check a production config against the deployed MLflow run."),
    "analyze": ("mlactions.analyze", "Say what the runs of an MLflow experiment show."),
    "discover": (
        "mlactions.discover",
        "Find models and data sets on the Hugging Face Hub, by licence and size.",
    ),
    "diagnose": (
        "mlactions.diagnose",
        "Say what is wrong with a training run, from what it logged.",
    ),
    "audit": ("mlactions.audit", "Audit the reproducibility of training code."),
    "note": ("mlactions.note", "Write, check and close experiment notes."),
    "propose": (
        "mlactions.propose.command",
        "Let Codex do a code task as a patch that is checked.",
    ),
    "ask": ("mlactions.ask", "Let Codex explain a result; every claim is checked."),
    "codex-home": (
        "mlactions.codex_home.command",
        "Write a Codex home for calls of your own, with MCP servers that read.",
    ),
    "comment": ("mlactions.comment", "Post a result as one sticky pull-request comment."),
    "init": ("mlactions.init", "Write the workflows that fit a repository, after showing them."),
    "doctor": ("mlactions.doctor", "Check a repository's set-up, and say what to do."),
}


_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Words(click.Group):
    """A group whose commands live in the module of their word."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(WORDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in WORDS:
            return None
        command: click.Command = importlib.import_module(WORDS[name][0]).command
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in WORDS.items()])


@click.group(cls=_Words, context_settings=_HELP)
@click.version_option(__version__, prog_name="mlactions")
def cli() -> None:
    """Python measures and decides; Codex reads, proposes and explains.

    Exit codes: 0 pass, 1 the check failed, 2 bad input, 3 no usable agent answer, 70 a bug.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    runner = Runner(environ=os.environ)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sys.exit(run(arguments, runner))


def run(arguments: list[str] | None, runner: Runner) -> int:
    """Return the exit code of one command; every error becomes one annotation."""
    try:
        code: Any = cli.main(arguments, prog_name="mlactions", standalone_mode=False, obj=runner)
        return int(code or Exit.PASS)
    except UserError as error:
        runner.annotate(Annotation("error", _message(error), error.title, error.file, error.line))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        runner.say(error.format_message())
        return Exit.BAD_INPUT
    except click.ClickException as error:
        message = error.format_message() + _suggestion(error)
        runner.annotate(Annotation("error", message, "bad input"))
        return Exit.BAD_INPUT
    except click.Abort:
        return 128 + signal.SIGINT
    except Interrupted as stop:
        runner.say(f"Interrupted by {signal.Signals(stop.signal_number).name}.")
        return 128 + stop.signal_number
    except Exception:  # noqa: BLE001  # the last line of defence: a bug is reported as one
        traceback.print_exc(file=runner.stream)
        runner.annotate(
            Annotation("error", "Please report the traceback above.", "bug in mlactions")
        )
        return Exit.BUG


def _suggestion(error: click.ClickException) -> str:
    """Ask for the command that was meant, where a word is no command; or return nothing."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    unknown = re.fullmatch(r"No such command '(.+)'\.", error.message)
    if context is None or unknown is None or not isinstance(context.command, click.Group):
        return ""
    from difflib import get_close_matches  # only once something is wrong

    close = get_close_matches(unknown[1], context.command.list_commands(context), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def _message(error: UserError) -> str:
    return " ".join(f"{error.message} {error.hint}".split())


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


if __name__ == "__main__":
    main()
