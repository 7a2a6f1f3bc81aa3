"""The scripts beside a sweep: for a shell, GitHub, SLURM, Ray, and Hydra's own multirun."""

from __future__ import annotations

import math
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.sweep.commands import Command
from mlactions.sweep.model import Space
from mlactions.sweep.space import is_product

TEMPLATES = Path(__file__).with_name("templates")
HELPER = Path(__file__).with_name("user") / "sweep_trials.py"
BACKENDS = ("shell", "matrix", "slurm", "ray", "hydra")
SLURM_CHUNK = 1000
"""A cluster's MaxArraySize is 1,001 where nobody changed it: indices up to 1,000."""

_LONGEST_LINE = 100_000
_PLACE = re.compile(r"@([A-Z]+)@")


@dataclass(frozen=True)
class Job:
    """All that a script has to know. Paths are relative to the project's folder, with `/`."""

    sweep: str
    config_name: str
    config_dir: str
    command: Command
    python: str = "python"
    tracking_uri: str = ""
    experiment: str = ""

    @property
    def folder(self) -> str:
        """Where the sweep lies."""
        return posixpath.join(self.config_dir, "sweeps", self.sweep)

    @property
    def root(self) -> str:
        """The project's folder as seen from the sweep's."""
        return posixpath.relpath(".", self.folder)


def render(name: str, values: Mapping[str, str]) -> str:
    """Return a template with its `@NAME@` filled in; what was filled in is not read again."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return _PLACE.sub(lambda found: values[found[1]], text)


def scripts(job: Job, space: Space, backends: Iterable[str]) -> dict[str, str]:
    """Return the scripts by file name. Raises UserError for a backend that the space rules out."""
    found = {"run_sweep.sh": run_sweep(job), "sweep_trials.py": HELPER.read_text("utf-8")}
    for backend in backends:
        if backend == "slurm":
            found |= slurm(job, space)
        elif backend == "ray":
            found["submit_ray.sh"] = ray(job, space)
        elif backend == "hydra":
            found["multirun.sh"] = multirun(job, space)
    return found


def run_sweep(job: Job) -> str:
    """Return the sequential script, which every other one starts with a trial's number."""
    exports = [
        f"export {name}=${{{name}:-{_default(value)}}}"
        for name, value in (
            ("MLFLOW_TRACKING_URI", job.tracking_uri),
            ("MLFLOW_EXPERIMENT_NAME", job.experiment),
        )
        if value
    ]
    arguments = [
        f"--config-name={shlex.quote(job.config_name)}",
        f'"+sweeps/{job.sweep}=$name"',
        f'"hydra.run.dir=outputs/sweeps/{job.sweep}/$name"',
    ]
    values = {
        "TITLE": f"The trials of the sweep {job.sweep}, over {_comment(job.config_name)}.",
        "SWEEP": shlex.quote(job.sweep),
        "ROOT": shlex.quote(job.root),
        "PYTHON": _default(job.python),
        "EXPORTS": "\n".join(exports),
        "COMMAND": job.command.line(arguments),
    }
    return render("run_sweep.sh", values)


def _default(value: str) -> str:
    """Return what stands after `:-` within `${}`: quoted, where it is not plain."""
    return shlex.quote(value)


def _comment(text: str) -> str:
    return " ".join(text.split())


def slurm(job: Job, space: Space) -> dict[str, str]:
    """Return the batch script and what submits it."""
    resources = space.resources
    directives = []
    if resources.gpus:
        directives.append(f"#SBATCH --gres=gpu:{math.ceil(resources.gpus)}")
    if resources.cpus:
        directives.append(f"#SBATCH --cpus-per-task={resources.cpus}")
    if resources.memory_gb:
        directives.append(f"#SBATCH --mem={math.ceil(resources.memory_gb * 1024)}M")
    if resources.hours:
        directives.append(f"#SBATCH --time={math.ceil(resources.hours * 60)}")
    if resources.partition:
        directives.append(f"#SBATCH --partition={resources.partition}")
    if resources.account:
        directives.append(f"#SBATCH --account={resources.account}")
    batch = render("sweep.sbatch", {"SWEEP": job.sweep, "DIRECTIVES": "\n".join(directives)})
    parallel = f"%{space.max_parallel}" if space.max_parallel else "''"
    values = {"CHUNK": str(SLURM_CHUNK), "PARALLEL": parallel}
    return {"sweep.sbatch": batch, "submit_slurm.sh": render("submit_slurm.sh", values)}


def ray(job: Job, space: Space) -> str:
    """Return the script that submits a Ray job per trial."""
    resources = space.resources
    asked = [f"--entrypoint-num-gpus {resources.gpus:g}"]
    if resources.cpus:
        asked.append(f"--entrypoint-num-cpus {resources.cpus}")
    if resources.memory_gb:
        asked.append(f"--entrypoint-memory {math.ceil(resources.memory_gb * 2**30)}")
    values = {
        "ROOT": shlex.quote(job.root),
        "SCRIPT": shlex.quote(f"{job.folder}/run_sweep.sh"),
        "SWEEP": job.sweep,
        "RESOURCES": " ".join(asked),
    }
    return render("submit_ray.sh", values)


def multirun(job: Job, space: Space) -> str:
    """Return Hydra's own line for a grid that is a plain product."""
    why = ""
    if space.method != "grid":
        why = f"the method is {space.method}, and Hydra's own sweeper makes grids"
    elif not is_product(space):
        why = "`when` and `exclude` cannot be said in overrides"
    elif space.run_cap is not None:
        why = "`run_cap` cannot be said in overrides"
    if why:
        hint = "Choose another backend: run_sweep.sh does all of it."
        raise UserError("no --multirun line", f"{why}.", hint, space.file)
    words = ["--multirun", f"--config-name={job.config_name}", "hydra/launcher=submitit_slurm"]
    for item in space.parameters:
        levels = item.domain.levels() or ()
        words.append(f"{item.prefix}{item.key}={','.join(map(_element, levels))}")
    if space.seeds:
        words.append(f"{space.seed_parameter}={','.join(map(str, space.seeds))}")
    if space.max_parallel:
        words.append(f"hydra.launcher.array_parallelism={space.max_parallel}")
    if sum(map(len, words)) > _LONGEST_LINE:
        raise UserError("no --multirun line", "it would be too long for a shell.", file=space.file)
    line = job.command.line([shlex.quote(word) for word in words])
    return render("multirun.sh", {"ROOT": shlex.quote(job.root), "COMMAND": line})


def _element(value: Any) -> str:
    """Return a value as Hydra's grammar reads it back; text always in quotes."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, str):
        return str(QuotedString(value, Quote.double).with_quotes())
    if isinstance(value, list):
        return f"[{','.join(map(_element, value))}]"
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{_element(key)}:{_element(item)}" for key, item in value.items()) + "}"
        )
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)
