"""The edge of train: options in, an exit code out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlactions.environment import caller_environment, user_environment
from mlactions.evaluate.git import Git
from mlactions.publish import out_folder
from mlactions.runner import Runner
from mlactions.settings import Sections, lines_option, option
from mlactions.train.model import CHECKS, SOURCES
from mlactions.train.session import Session
from mlactions.train.settings import read_settings

_POSITIVE = click.IntRange(min=1)
_COUNT = click.IntRange(min=0)
_PREFLIGHT = "preflight"


class _Command(Sections):
    """`train preflight` is `train --preflight-only`, as people say it."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args[:1] == [_PREFLIGHT]:
            args = ["--preflight-only", *args[1:]]
        return super().parse_args(context, args)


WHAT, LOOKS, SAVES = "What is trained", "Preflight", "Checkpoints"
WATCHES, NODES = "Time and stalls", "Several processes"


@click.command(
    "train",
    cls=_Command,
    options_metavar="[preflight] [OPTIONS]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@option("--command", section=WHAT, metavar="LINE", help="Such as `python train.py`; no shell.")
@option("--working-directory", section=WHAT, metavar="DIR", default=".", help="Default: here.")
@option("--preflight-only/--no-preflight-only", section=LOOKS, default=False, help="Only look.")
@lines_option("--skip-checks", section=LOOKS, metavar="NAME", help=f"Any of {', '.join(CHECKS)}.")
@option("--require-gpus", section=LOOKS, metavar="COUNT", type=_COUNT, default=0, help="Free GPUs.")
@option("--min-gpu-memory-gb", section=LOOKS, metavar="GIB", default="0", help="Free, on each GPU.")
@option(
    "--min-disk-gb",
    section=LOOKS,
    metavar="GIB",
    default="1",
    show_default=True,
    help="Free at the checkpoints.",
)
@option("--min-memory-gb", section=LOOKS, metavar="GIB", default="0", help="Free memory.")
@lines_option("--data", section=LOOKS, metavar="PATH", help="Has to be there.")
@option(
    "--tracking-uri", section=LOOKS, metavar="URI", default="", help="MLflow has to answer there."
)
@option(
    "--checkpoints",
    section=SAVES,
    metavar="DIR",
    default="checkpoints",
    show_default=True,
    help="Their folder.",
)
@option(
    "--resume/--no-resume", section=SAVES, default=True, help="From the newest good one, or anew."
)
@option(
    "--config-hash",
    section=SAVES,
    metavar="TEXT",
    default="",
    help="Names the configuration; no other is continued.",
)
@lines_option(
    "--allow-change",
    section=SAVES,
    metavar="GLOB",
    help="Settings that may differ on a resume: data.*",
)
@option(
    "--attempt",
    section=SAVES,
    metavar="NUMBER",
    type=_POSITIVE,
    default=1,
    show_default=True,
    help="Which this one is.",
)
@option(
    "--max-attempts",
    section=SAVES,
    metavar="NUMBER",
    type=_POSITIVE,
    default=5,
    show_default=True,
    help="No requeue after these.",
)
@lines_option(
    "--heartbeat",
    section=WATCHES,
    metavar="NAME",
    help=f"Signs of life: any of {', '.join(SOURCES)}.",
)
@option(
    "--stalled-after-minutes",
    section=WATCHES,
    metavar="MINUTES",
    default="30",
    show_default=True,
    help="Without such a sign it is ended.",
)
@option(
    "--soft-limit-minutes",
    section=WATCHES,
    metavar="MINUTES",
    default="",
    help="Then it is asked to save and end.",
)
@option(
    "--grace-seconds",
    section=WATCHES,
    metavar="SECONDS",
    default="300",
    show_default=True,
    help="For that, after SIGTERM.",
)
@option(
    "--nproc-per-node",
    section=NODES,
    metavar="COUNT",
    default="",
    help="Start it by torchrun: a number, gpu, cpu or auto.",
)
@option(
    "--nnodes",
    section=NODES,
    metavar="COUNT",
    type=_POSITIVE,
    default=1,
    show_default=True,
    help="Of a SLURM allocation.",
)
@option("--price-per-gpu-hour", metavar="MONEY", default="", help="To say what it cost.")
@option("--key", metavar="NAME", default="train", help="Of the comment and the artifact.")
@option("--verbose", is_flag=True, help="Unfold the whole report in the terminal.")
@option("--out", metavar="DIR", type=click.Path(path_type=Path), help="For result and reports.")
@click.pass_obj
def command(runner: Runner, /, **given: Any) -> int:
    """Run one training: look at the machine first, watch it, and leave it resumable.

    `train preflight` only looks. Exit code 0: it finished, or it was stopped and can be continued
    (output `requeue`). 1: it failed, or the machine is not ready. 2: bad input.
    """
    settings = read_settings(given, folder=Path.cwd())
    session = Session(
        settings=settings,
        runner=runner,
        out=out_folder(given["out"], runner, "train"),
        git=Git.find(settings.folder),
        environ=user_environment(caller_environment(runner.environ)),
        verbose=given["verbose"],
    )
    return session.run()
