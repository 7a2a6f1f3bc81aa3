"""The command line of export: measure, verify, smoke, retry; without one, all in one go."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mlactions.errors import Exit, UserError
from mlactions.export.exported import MODEL
from mlactions.export.options import BUNDLE, MEASURE, OUT, VERIFY, apply
from mlactions.publish import out_folder
from mlactions.runner import Runner
from mlactions.settings import lines_option, option

_HELP = {"help_option_names": ["-h", "--help"]}

LAZY: Mapping[str, tuple[str, str, str]] = {
    "smoke": (
        "mlactions.export.serving.command",
        "smoke_command",
        "Start the servers that verify wrote, and ask them.",
    ),
}
"""Subcommands that live with what they start: module, name, help."""


class _Export(click.Group):
    """A group that imports a subcommand when it is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *LAZY})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in LAZY:
            module, attribute, _ = LAZY[name]
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        return super().get_command(context, name)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            rows = [(name, text) for name, (_, _, text) in LAZY.items()]
            rows += [(name, c.get_short_help_str(80)) for name, c in self.commands.items()]
            formatter.write_dl(sorted(rows))


@click.group("export", cls=_Export, invoke_without_command=True, context_settings=_HELP)
@apply(MEASURE)
@apply(VERIFY)
@option("--smoke", is_flag=True, help="Then start the servers that were written, and ask them.")
@option("--serving-python", default="", help="For --smoke: a Python with torchserve.")
@OUT
@click.pass_context
def command(context: click.Context, /, **given: Any) -> int | None:
    """Turn a checkpoint into an ONNX model that is proven equal.

    Without a subcommand: measure, then verify, into OUT/measured and OUT/result.
    """
    if context.invoked_subcommand is not None:
        return None
    runner = context.obj
    measured, result = folders(given["out"], runner)
    return in_one_go(runner, measured, result, given)


def folders(out: Path | None, runner: Runner) -> tuple[Path, Path]:
    """Return where the measured bundle goes, and the result."""
    if out is not None:
        return out.resolve() / "measured", out.resolve() / "result"
    return out_folder(None, runner, "export-measure"), out_folder(None, runner, "export")


def in_one_go(runner: Runner, measured: Path, result: Path, given: Mapping[str, Any]) -> int:
    """Measure, verify, and where it is asked for, try the servers; return the last exit code.

    A failed export is verified too: that is what makes its report.
    """
    from mlactions.export.measure import empty, run_measure
    from mlactions.export.serving.settings import find_serving_python
    from mlactions.export.verify import prepare, read_settings, run_verify

    # What an earlier run left goes first: whoever looks after a failure must not find its model.
    prepare(result, measured)
    empty(measured)
    # What is wrong is said now, not after the export.
    find_serving_python(given["serving_python"])
    read_settings(given)
    if given["smoke"] and not given["target"]:
        raise UserError("bad input", "`--smoke` has no `--target`.", "Name one: onnxruntime.")
    no_room = run_measure(runner, measured, given, Path.cwd()) == Exit.BAD_INPUT
    if not given["smoke"] or no_room:
        code = run_verify(runner, measured, result, given)
        _name_model(runner, result)
        return Exit.BAD_INPUT if no_room else code
    with _withheld(runner) as held:
        code = run_verify(held, measured, result, given)
        if code == Exit.PASS:
            code = _smoke(runner, result, given)
            held.drop()
    _name_model(runner, result)
    return code


def _name_model(runner: Runner, result: Path) -> None:
    """Say where the model lies: two folders were written, and each may hold a file of its name."""
    model = result / MODEL
    if model.is_file() and not runner.on_github:
        runner.say(f"model:  {model}")


class _Held(Runner):
    """A runner that keeps report and summary back: the smoke test's report says all of it too."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.environ, stream=io.StringIO())
        self._summaries: list[str] = []
        self._outputs: dict[str, str] = {}
        self._runner = runner

    def summary(self, markdown: str) -> None:
        """Keep the summary."""
        self._summaries.append(markdown)

    def output(self, name: str, value: str) -> None:
        """Keep a step output: set twice, a step has the last one only by luck."""
        self._outputs[name] = value

    def drop(self) -> None:
        """Forget what was kept."""
        self._summaries.clear()
        self._outputs.clear()
        self.stream = io.StringIO()

    def release(self) -> None:
        """Show what was kept."""
        assert isinstance(self.stream, io.StringIO)  # noqa: S101  # for the type checker
        if text := self.stream.getvalue().rstrip("\n"):
            self._runner.say(text)
        for markdown in self._summaries:
            self._runner.summary(markdown)
        for name, value in self._outputs.items():
            self._runner.output(name, value)


@contextmanager
def _withheld(runner: Runner) -> Iterator[_Held]:
    """Give a runner whose report is shown at the end, unless it was dropped for a fuller one."""
    held = _Held(runner)
    try:
        yield held
    finally:
        held.release()


def _smoke(runner: Runner, result: Path, given: Mapping[str, Any]) -> int:
    """Try the servers; what they did goes into the same result."""
    smoke = command.get_command(click.Context(command), "smoke")
    assert smoke is not None  # noqa: S101  # it is listed above
    arguments = [str(result), "--out", str(result), *(["--verbose"] if given["verbose"] else [])]
    for name in ("report_file", "serving_python"):
        if given[name]:
            arguments += [f"--{name.replace('_', '-')}", str(given[name])]
    return int(smoke.main(arguments, standalone_mode=False, obj=runner) or 0)


@command.command("measure", context_settings=_HELP)
@apply(MEASURE)
@OUT
@click.pass_obj
def measure(runner: Runner, /, **given: Any) -> int:
    """Export the model in the user's Python; seal it with its references."""
    from mlactions.export.measure import run_measure

    return run_measure(
        runner, out_folder(given["out"], runner, "export-measure"), given, Path.cwd()
    )


@command.command("verify", context_settings=_HELP)
@BUNDLE
@apply(VERIFY)
@option("--head-sha", default="", help="Refuse what was measured at another commit.")
@option("--timeout-minutes", default="30", show_default=True, help="Of each run of the model.")
@OUT
@click.pass_obj
def verify(runner: Runner, /, **given: Any) -> int:
    """Hold an exported model against its references; package it."""
    from mlactions.export.verify import run_verify

    return run_verify(runner, given["bundle"], out_folder(given["out"], runner, "export"), given)


@command.command("retry", context_settings=_HELP)
@option(
    "--before",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The result of the export that failed.",
)
@option("--patch", required=True, help="The suggested diff.")
@lines_option("--share", help="Untracked paths that the model needs: data, an environment.")
@apply(MEASURE)
@apply(VERIFY)
@OUT
@click.pass_obj
def retry(runner: Runner, /, **given: Any) -> int:
    """Export once more with a suggested patch, in a work tree that is thrown away."""
    from mlactions.export.retry import run_retry

    return run_retry(
        runner, given["before"], out_folder(given["out"], runner, "export-retry"), given
    )
