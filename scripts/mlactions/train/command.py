"""The edge of train: options in, an exit code out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlactions.environment import caller_environment, user_environment
from mlactions.evaluate.git import Git
from mlactions.publish import out_folder
from mlactions.runner import Runner
from mlactions.settings import lines_option, option
from mlactions.train.model import CHECKS, SOURCES
from mlactions.train.session import Session
from mlactions.train.settings import read_settings

_POSITIVE = click.IntRange(min=1)
_PREFLIGHT = "preflight"


class _Command(click.Command):
    """`train preflight` is `train --preflight-only`, as people say it."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args[:1] == [_PREFLIGHT]:
            args = ["--preflight-only", *args[1:]]
        return super().parse_args(context, args)


@click.command("train", cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@option("--command", help="What trains, such as `python scripts/train.py`. No shell reads it.")
@option("--preflight-only/--no-preflight-only", default=False, help="Look; start nothing.")
@lines_option("--skip-checks", help=f"Checks to leave out: {', '.join(CHECKS)}.")
@option("--require-gpus", type=click.IntRange(min=0), default=0, show_default=True)
@option("--min-gpu-memory-gb", default="0", show_default=True, help="Free, on each GPU, in GiB.")
@option("--min-disk-gb", default="1", show_default=True, help="Free at `checkpoints`, in GiB.")
@option("--min-memory-gb", default="0", show_default=True, help="Free memory, in GiB.")
@lines_option("--data", help="Files and folders that have to be there.")
@option("--tracking-uri", default="", help="MLflow; has to be reachable before anything starts.")
@option("--checkpoints", default="checkpoints", show_default=True, help="Their folder.")
@option("--resume/--no-resume", default=True, help="Continue from the newest good checkpoint.")
@option("--config-hash", default="", help="Names the configuration; no other is continued.")
@lines_option("--allow-change", help="Settings that may differ on a resume, as dotted globs.")
@lines_option("--heartbeat", help=f"What counts as a sign of life: {', '.join(SOURCES)}.")
@option("--stalled-after-minutes", default="30", show_default=True, help="Without such a sign.")
@option("--soft-limit-minutes", default="", help="Ask it then to save and end.")
@option("--grace-seconds", default="300", show_default=True, help="To save, after SIGTERM.")
@option("--attempt", type=_POSITIVE, default=1, show_default=True, help="Which this one is.")
@option("--max-attempts", type=_POSITIVE, default=5, show_default=True)
@option("--nproc-per-node", default="", help="Start it by torchrun: a number, gpu, cpu or auto.")
@option("--nnodes", type=_POSITIVE, default=1, show_default=True, help="Inside of SLURM.")
@option("--price-per-gpu-hour", default="", help="To say what it cost.")
@option("--working-directory", default=".", show_default=True, help="Where the command runs.")
@option("--key", default="train", show_default=True, help="Tells this training from others.")
@option("--verbose", is_flag=True, help="Unfold the whole report in the terminal.")
@option("--out", type=click.Path(path_type=Path), help="Folder for the results.")
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
