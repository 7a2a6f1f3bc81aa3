"""Options shared by the commands: every one names its environment variable, lists are lines."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click

from mlactions.errors import UserError

Function = TypeVar("Function", bound=Callable[..., Any])

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Status(StrEnum):
    """How a check ended; the `status` output of every action."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Lines(click.ParamType[tuple[str, ...]]):
    """A list, one item a line; on the command line the option may also be repeated."""

    name = "text..."

    def convert(self, value: Any, _param: Any, _context: Any) -> tuple[str, ...]:
        """Split at line ends, drop blanks and surrounding space."""
        if isinstance(value, tuple):
            return value
        return tuple(line.strip() for line in str(value).splitlines() if line.strip())

    def split_envvar_value(self, rv: str) -> list[str]:
        """Hand the whole variable to `convert`: click would split it at white space."""
        return [rv]


class Option(click.Option):
    """An option that may stand under a heading of `--help`."""

    def __init__(self, *given: Any, section: str = "", **settings: Any) -> None:
        self.section = section
        super().__init__(*given, **settings)


class Sections(click.Command):
    """A command whose `--help` has its options under headings, those without one at the end."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by heading, in the order in which the headings first come."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "section", "") or "Options", []).append(record)
        for heading in [*(name for name in groups if name != "Options"), "Options"]:
            with formatter.section(heading):
                formatter.write_dl(groups.get(heading, []))


def option(name: str, **settings: Any) -> Callable[[Function], Function]:
    """Declare `--name`, read from `INPUT_NAME` when the flag is absent.

    Click's automatic prefix would put the command's name into the variable, so each is explicit.
    An empty variable counts as absent: GitHub passes every unset input as an empty string. People
    who type have no use for the variable, so `--help` leaves it out. `section` is a heading there.
    """
    variable = "INPUT_" + name.removeprefix("--").split("/")[0].replace("-", "_").upper()
    return click.option(name, cls=Option, envvar=variable, **settings)


def lines_option(name: str, **settings: Any) -> Callable[[Function], Function]:
    """Declare a list option: repeat the flag, or give one item a line in the variable.

    The value arrives as a tuple of strings.
    """
    variable = "INPUT_" + name.removeprefix("--").replace("-", "_").upper()

    def flatten(_context: Any, _param: Any, value: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
        return tuple(item for group in value for item in group)

    return click.option(
        name,
        type=Lines(),
        multiple=True,
        envvar=variable,
        cls=Option,
        callback=flatten,
        **settings,
    )


def parse_duration_minutes(text: str, *, field: str) -> float:
    """Return minutes as a positive finite number of seconds."""
    try:
        seconds = float(text) * 60
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise UserError(
            "bad input",
            f"`{field}` is {text!r}, not a positive number of minutes.",
            "Write for example 30.",
        )
    return seconds


def check_key(text: str, *, field: str) -> str:
    """Accept a comment or artifact key: lower case letters, digits and dashes, up to 64."""
    if not _KEY.fullmatch(text):
        raise UserError(
            "bad input",
            f"`{field}` is {text!r}.",
            "Use lower-case letters, digits and dashes, at most 64 characters.",
        )
    return text


def check_name(text: str, *, field: str) -> str:
    """Accept a name that is safe as a file name: letters, digits, dot, dash, underscore."""
    if not _NAME.fullmatch(text):
        raise UserError(
            "bad input",
            f"`{field}` is {text!r}, which is not safe as a file name.",
            "Use letters, digits, dots, dashes and underscores, at most 128 characters.",
        )
    return text


def path_below(root: Path, text: str, *, field: str) -> Path:
    """Return `root/text`; a path that leads out of `root`, also through a link, is refused."""
    relative = PurePosixPath(text)
    path = (root / relative).resolve()
    if relative.is_absolute() or not path.is_relative_to(root.resolve()):
        raise UserError("bad input", f"`{field}` is {text!r}, which leads out of {root}.")
    return path
