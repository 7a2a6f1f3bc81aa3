"""The user's command line: split once into arguments, placeholders filled in per argument.

No shell reads it, so no config name can be more than one argument.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import NoReturn

from mlactions.errors import UserError

PLACEHOLDERS = ("config", "name", "seed", "output", "predictions")

# `${word}` is left to whoever expands it: Hydra, or the shell of a script.
_PLACEHOLDER = re.compile(r"(?<!\$)(?:{{(?P<literal>[A-Za-z_]\w*)}}|{(?P<name>[A-Za-z_]\w*)})")
_QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
_LITERAL = re.compile(r"'[^']*'|\\.", re.DOTALL)
_OPERATOR = re.compile(r"&&|\|\||[|;<>&]")
_EXPANSION = re.compile(r"`|\$[A-Za-z_{(]")
_INTERPRETER = re.compile(r"(?:ba|da|z|k|c|tc|fi|a)?sh|python[\d.]*|pypy[\d.]*|perl|ruby|node")
_INLINE = re.compile(r"-[A-Za-z]*[ce]")
_WITH_VALUE = frozenset({"-o", "+o", "-O", "-W", "-X"})
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?")


@dataclass(frozen=True)
class Template:
    """The command's arguments with their placeholders still in them."""

    arguments: tuple[str, ...]

    def uses(self, placeholder: str) -> bool:
        """Say whether any argument holds `{placeholder}`."""
        return any(placeholder in _names(argument) for argument in self.arguments)

    def fill(self, values: Mapping[str, str]) -> list[str]:
        """Return the arguments of one evaluation; of `{{word}}`, `{word}` stays."""

        def value(match: re.Match[str]) -> str:
            return f"{{{match['literal']}}}" if match["literal"] else values[match["name"]]

        return [_PLACEHOLDER.sub(value, argument) for argument in self.arguments]

    def preview(self, config: str, name: str) -> list[str]:
        """Return the arguments for one config as static analysis reads them."""
        return self.fill(values(config=config, name=name, seed=0, output="", predictions=""))

    def python(self) -> tuple[str, ...] | None:
        """Return the arguments up to the Python interpreter (`uv run python`), if one is named."""
        for position, argument in enumerate(self.arguments):
            if _PYTHON.fullmatch(PurePosixPath(argument).name):
                return self.arguments[: position + 1]
        return None


def parse_template(text: str) -> Template:
    """Split a command line the way a shell would; what only a shell could do is refused.

    Raises UserError for shell syntax, an unknown `{word}`, a missing `{output}`, no `{config}` or
    `{name}`, and placeholders inside program text (`bash -c "… {config}"`).
    """
    template = Template(split_arguments(text, wanted="evaluates one config"))
    _check(template)
    return template


def split_arguments(text: str, *, wanted: str) -> tuple[str, ...]:
    """Split a command line the way a shell would; what only a shell could do is refused.

    `wanted` says what the command is for, where there is none.
    """
    line = text.replace("\\\n", " ").strip()
    _refuse_shell_syntax(line)
    try:
        arguments = tuple(shlex.split(line))
    except ValueError as error:
        _refuse(f"it cannot be split into arguments ({error}).", "Close every quote.")
    if not arguments:
        _refuse("it is empty.", f"Write the command that {wanted}.")
    return arguments


def _refuse_shell_syntax(line: str) -> None:
    if found := _OPERATOR.search(_QUOTED.sub("", line)):
        _refuse(
            f"`{found[0]}` needs a shell, and none reads it.",
            "Quote it, or put the steps into a script and call that.",
        )
    if found := _EXPANSION.search(_LITERAL.sub("", line)):
        _refuse(
            f"`{found[0]}` would be expanded by a shell, and none reads it.",
            "Put it in single quotes to pass it as it is.",
        )
    if re.match(r"[A-Za-z_]\w*=", line):
        _refuse("it starts with a variable.", "Write `env NAME=value …` instead.")


def _names(argument: str) -> list[str]:
    """Return the placeholders of an argument, known or not, in their order."""
    return [match["name"] for match in _PLACEHOLDER.finditer(argument) if match["name"]]


def _check_known(template: Template) -> None:
    """Refuse `{confg}`: passed on as it stands, it would only confuse the user's script."""
    for name in (name for argument in template.arguments for name in _names(argument)):
        if name in PLACEHOLDERS:
            continue
        known = ", ".join(f"{{{word}}}" for word in PLACEHOLDERS)
        close = get_close_matches(name.lower(), PLACEHOLDERS, n=1)
        advice = f"Did you mean {{{close[0]}}}?" if close else f"Placeholders are {known}."
        _refuse(
            f"{{{name}}} is no placeholder.",
            f"{advice} Literal braces are doubled: {{{{{name}}}}}.",
        )


def _check(template: Template) -> None:
    _check_known(template)
    for program in _programs(template.arguments):
        if found := _names(program):
            _refuse(
                f"{{{found[0]}}} stands inside program text, where a file name could become code.",
                """Pass it behind: `bash -c 'eval.sh "$1" > "$2"' run {config} {output}`.""",
            )
    if not template.uses("output"):
        _refuse("{output} is missing.", "It is the path where your script writes its metrics.")
    if not (template.uses("config") or template.uses("name")):
        _refuse("{config} is missing.", "It is the path of the config to evaluate.")


def _programs(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments that an interpreter reads as program text: `bash -eu -c TEXT`."""
    interpreting = False
    for before, argument, following in zip(
        ("", *arguments), arguments, arguments[1:], strict=False
    ):
        if _INTERPRETER.fullmatch(PurePosixPath(argument).name):
            interpreting = True
        elif interpreting and _INLINE.fullmatch(argument):
            yield following
        elif not argument.startswith("-") and before not in _WITH_VALUE:
            interpreting = False


def values(
    *, config: str, name: str, seed: int | None, output: str, predictions: str
) -> dict[str, str]:
    """Return what the placeholders stand for; a path that looks like an option gets `./`."""
    return {
        "config": f"./{config}" if config.startswith("-") else config,
        "name": name,
        "seed": "" if seed is None else str(seed),
        "output": output,
        "predictions": predictions,
    }


def check_names(template: Template, names: Sequence[str]) -> None:
    """Refuse a config whose name would arrive as an option because it starts with a dash."""
    risky = next((name for name in names if name.startswith("-")), None)
    if risky is not None and "{name}" in template.arguments:
        _refuse(
            f"the config name {risky!r} would be read as an option.",
            "Write the placeholder with its option: `--config-name={name}`.",
        )


def _refuse(message: str, hint: str) -> NoReturn:
    raise UserError("bad input", f"`command`: {message}", hint)
