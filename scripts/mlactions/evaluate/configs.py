"""The model configs that globs match; baselines and our own files among them are none."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.evaluate import globs
from mlactions.evaluate.naming import name_models
from mlactions.evaluate.records import Config
from mlactions.evaluate.settings import BASELINE, Settings
from mlactions.own_files import own_files
from mlactions.schema import load_yaml

MAX_NAMED = 2


def find_configs(settings: Settings) -> tuple[tuple[Config, ...], tuple[str, ...]]:
    """Return the configs with their models' names, and what the reader should know.

    Raises UserError where no config is left: a check of nothing would always pass.
    """
    named = posixpath.normpath(settings.baseline)
    paths = globs.find(settings.folder, settings.configs, field="configs")
    others = [path for path in paths if path != named]
    baselines = [path for path in others if is_baseline(settings.folder / path)]
    ours = own_files(others, settings.configs)
    configs = name_models(path for path in others if path not in {*baselines, *ours})
    if not configs:
        raise UserError(
            "bad input",
            f"`configs` leaves nothing to evaluate in {settings.folder}.",
            "Write a glob that matches model configs: configs/*.yaml.",
        )
    left_out = (*map(_left_out, baselines), *_ours(ours))
    return configs, (*_missing(settings, named), *left_out, *_renamed(configs))


def is_baseline(path: Path) -> bool:
    """Say whether a file is a baseline: a version, and models that hold `metrics` and no more.

    A model config with keys of the same names is still a config.
    """
    if path.suffix not in {".yaml", ".yml"}:
        return False
    try:
        document: Any = load_yaml(path)
    except UserError:
        return False  # the user's script may read what we do not
    if not isinstance(document, dict) or type(document.get("version")) is not int:
        return False
    models = document.get("models")
    return isinstance(models, dict) and all(
        isinstance(model, dict) and {"metrics"} <= model.keys() <= {"metrics", "provenance"}
        for model in models.values()
    )


def _missing(settings: Settings, named: str) -> Iterator[str]:
    """Speak up only for a baseline that somebody named: the usual one comes with the first run."""
    if named != BASELINE and not (settings.folder / named).is_file():
        yield f"The baseline `{named}` does not exist: no metric is shown first."


def _left_out(path: str) -> str:
    return f"`{path}` is a baseline, not a model config: it is left out."


def _ours(paths: Sequence[str]) -> Iterator[str]:
    """Say it once: a generated sweep alone may be hundreds of files."""
    if paths:
        rest = len(paths) - MAX_NAMED
        parts = [*(f"`{path}`" for path in paths[:MAX_NAMED]), *([f"{rest:,} more"] * (rest > 0))]
        names = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        told = "are files of `sweep` or `drift`, not model configs: they are"
        if len(paths) == 1:
            told = "is a file of `sweep` or `drift`, not a model config: it is"
        yield f"{names} {told} left out. A path in `configs` without a pattern takes it."


def _renamed(configs: Iterable[Config]) -> Iterator[str]:
    return (
        f"The model of `{config.path}` is called `{config.model}`: its file name is not unique,"
        " or not safe as it stands."
        for config in configs
        if config.model != config.stem
    )
