"""The options of export, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mlactions.settings import lines_option, option

Function = TypeVar("Function", bound=Callable[..., Any])
Decorate = Callable[[Any], Any]

MEASURE: tuple[Decorate, ...] = (
    option("--model", default="", help="package.module:factory; required."),
    option("--model-arguments", default="", help="The factory's keyword arguments, a JSON object."),
    option(
        "--checkpoint",
        default="",
        help="A file, best:METRIC, mlflow:runs:/RUN/PATH or mlflow:models:/NAME@ALIAS.",
    ),
    option("--checkpoint-dir", default="", help="Where best:METRIC looks."),
    option("--checkpoint-key", default="", help="Dotted key of the weights inside the file."),
    option(
        "--allow-pickle/--no-allow-pickle",
        default=False,
        help="Read checkpoints that can run any program as you.",
    ),
    lines_option(
        "--example-inputs",
        help="pixels: float32[batch,1,8,8], or package.module:function, or an .npz.",
    ),
    lines_option("--outputs", help="Names of the outputs, in order."),
    lines_option("--axes", help="Lengths of dynamic axes: sequence=1..512; batch is 1..64."),
    lines_option("--dynamic", help="Axes of a function's or file's arrays: tokens[batch,_]."),
    option("--opset", default="20", show_default=True),
    option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True),
    option(
        "--optimize",
        type=click.Choice(["none", "basic", "extended", "all"]),
        default="none",
        show_default=True,
        help="Let onnxruntime rewrite the graph before it is written.",
    ),
    option(
        "--quantize",
        type=click.Choice(["none", "dynamic-int8"]),
        default="none",
        show_default=True,
    ),
    option(
        "--external-data",
        type=click.Choice(["auto", "always"]),
        default="auto",
        show_default=True,
        help="Weights beside the model: from 1 GiB on, or always.",
    ),
    lines_option("--seeds", default=("0", "1"), show_default=True, help="Of the random inputs."),
    lines_option("--batch-sizes", default=("1,2,3,7,16",), show_default=True),
    option("--task-data", default="", help=".npz with the inputs and `label`, for fp16 and int8."),
    lines_option("--config", help="Files whose hash goes into the model."),
    option("--python", default="python", show_default=True, help="The one with torch."),
    option(
        "--working-directory", default=".", show_default=True, help="Where the model's code is."
    ),
    option("--timeout-minutes", default="30", show_default=True),
)

VERIFY: tuple[Decorate, ...] = (
    lines_option("--tolerance", help="1e-5, or for one output, logits=1e-4."),
    option(
        "--tolerance-mode",
        type=click.Choice(["scaled", "absolute"]),
        default="scaled",
        show_default=True,
    ),
    lines_option("--providers", help="Execution providers; by default all that are there."),
    option(
        "--task-tolerance", default="0.005", show_default=True, help="Allowed loss of accuracy."
    ),
    lines_option("--target", help="onnxruntime, triton, torchserve: which serving files to write."),
    lines_option("--base-image", help="Digest-pinned base of a Dockerfile: python=IMAGE@sha256:…"),
    option("--name", default="", help="What servers call the model."),
    option("--key", default="export", show_default=True, help="Tells this check from others."),
    option("--report-file", default="", help="Write the report there too, in Markdown."),
    option("--verbose", is_flag=True, help="Unfold the whole report in the terminal."),
)

OUT = option("--out", type=click.Path(path_type=Path), help="Folder for the results.")

BUNDLE = click.argument(
    "bundle",
    envvar="INPUT_BUNDLE",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)


def apply(options: tuple[Decorate, ...]) -> Callable[[Function], Function]:
    """Return one decorator for several options, in the order they are listed."""

    def decorate(function: Function) -> Function:
        for one in reversed(options):
            function = one(function)
        return function

    return decorate
