"""`export smoke`: verify's result, with the servers that were started and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlactions.bundle import open_bundle
from mlactions.evaluate.settings import report_place
from mlactions.publish import empty_folder, out_folder
from mlactions.runner import Runner
from mlactions.settings import lines_option, option

_POSITIVE = click.IntRange(min=1)
_SECONDS = click.FloatRange(min=0.1, max=86_400)


@click.command("smoke", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path), envvar="INPUT_BUNDLE")
@lines_option("--target", help="Servers to try; by default each that was written and can start.")
@option("--concurrency", default="1,8,32", show_default=True, help="Clients at a time.")
@option("--requests", type=_POSITIVE, default=500, show_default=True, help="For each level.")
@option("--level-seconds", type=_SECONDS, default=10.0, show_default=True, help="At most.")
@option("--ready-seconds", type=_SECONDS, default=120.0, show_default=True, help="To be ready.")
@option("--timeout-minutes", default="15", show_default=True, help="For one server.")
@option("--serving-python", default="", help="A Python with torchserve, torch and onnxruntime.")
@option("--url", default="", help="Ask a server that runs already: http://HOST:PORT.")
@option("--report-file", default="", help="Write the report there too, in Markdown.")
@option("--verbose", is_flag=True, help="Unfold the whole report in the terminal.")
@option("--out", type=click.Path(path_type=Path), help="Folder for the results.")
@click.pass_obj
def smoke_command(runner: Runner, /, **given: Any) -> int:
    """Start the servers that verify wrote, ask them the golden requests, measure, stop them."""
    # Here, not above: the group's help does not wait for NumPy.
    from mlactions.export.exported import WORD
    from mlactions.export.render import render
    from mlactions.export.serving.settings import read_smoke_settings
    from mlactions.export.serving.trial import run_smoke
    from mlactions.export.serving.write import TARGETS

    settings = read_smoke_settings(given, tuple(TARGETS))
    out = out_folder(given["out"], runner, "export-smoke")
    report_file = report_place(Path.cwd(), given["report_file"], out=out)
    bundle = open_bundle(given["bundle"], word=WORD)
    if out != bundle.folder.resolve():
        empty_folder(out, WORD, {"logs"}, scratch="logs")
    return run_smoke(
        runner, bundle, out, settings, render, report_file=report_file, verbose=given["verbose"]
    )
