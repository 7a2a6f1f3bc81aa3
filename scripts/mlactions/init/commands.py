"""The command that evaluates one config, from the options that the script itself declares. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlactions.errors import UserError
from mlactions.evaluate.template import parse_template
from mlactions.init.model import Findings, Packages, Script

_CONFIG = ("--config", "--cfg", "--config-file", "--config_file", "--config-path", "-c")
_OUTPUT = (
    *("--output", "--out", "--output-file", "--output_file", "--output-json", "--output-path"),
    *("--metrics", "--metrics-file", "--metrics_file", "--metrics-out", "--results"),
)
_SEED = ("--seed", "--random-seed", "--random_seed")
_STARTERS = ("conda", "mamba", "micromamba", "pixi", "uv", "poetry", "docker")
_KEYS = ("output", "output_file", "metrics_file", "metrics_path", "out")


def evaluation_command(found: Findings, keys: Sequence[str]) -> tuple[str, str]:
    """Return the command, or nothing and why none can be told.

    `keys` are the top-level keys of the evaluation's primary Hydra config.
    """
    script = found.script("evaluate")
    if script is None and (path := found.idle.get("evaluate")):
        return "", f"`{path}` is there, but running it starts nothing"
    if script is None:
        return "", "no script named evaluate.py or eval.py that can be started was found"
    start = f"{found.packages.run} {script.arguments}"
    return _from_hydra(script, start, keys) if script.hydra else _from_options(script, start)


def _from_options(script: Script, start: str) -> tuple[str, str]:
    config = _first(_CONFIG, script.options) or _first(("config",), script.options)
    output = _first(_OUTPUT, script.options)
    if not config or not output:
        wanted = "--config" if not config else "--output"
        return "", f"{script.path} has no option like `{wanted}`"
    given = f"{config} {{config}}" if config.startswith("-") else "{config}"
    seed = _first(_SEED, script.options)
    parts = [start, given, f"{seed} {{seed}}" if seed else "", f"{output} {{output}}"]
    return " ".join(part for part in parts if part), ""


def _from_hydra(script: Script, start: str, keys: Sequence[str]) -> tuple[str, str]:
    output = _first(_KEYS, keys)
    if not output:
        listed = ", ".join(f"`{key}`" for key in _KEYS[:3])
        return "", f"the config of {script.path} has no key like {listed} that takes a file"
    seed = " seed={seed}" if "seed" in keys else ""
    return f"{start} {{config}}{seed} {output}={{output}}", ""


def hydra_choice(command: str, script: Script | None, glob: str) -> str:
    """Say how Hydra is told the config: an experiment's override, or the primary's name."""
    if script is None or script.hydra is None or " {config} " not in command:
        return command
    place = glob.rpartition("/")[0].removeprefix(script.hydra.folder).strip("/")
    choice = f"+{place}={{name}}" if place else "--config-name {name}"
    return command.replace(" {config} ", f" {choice} ", 1)


def in_environment(command: str, packages: Packages) -> str:
    """Let a command start where conda installs, unless it says itself where."""
    if packages.manager != "conda" or command.partition(" ")[0] in _STARTERS:
        return command
    return f"{packages.run.removesuffix(' python')} {command}"


def check_command(command: str) -> None:
    """Refuse a command that the gate would refuse. Raises UserError."""
    try:
        parse_template(command)
    except UserError as error:
        raise UserError("bad input", f"--command: {error.message}", error.hint) from None


def _first(wanted: Sequence[str], given: Sequence[str]) -> str:
    return next((name for name in wanted if name in given), "")
