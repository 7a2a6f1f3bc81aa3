"""Model configs that the base has and the head does not; `compare` decides what that means."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from mlactions.evaluate import globs
from mlactions.evaluate.git import Change
from mlactions.evaluate.naming import name_models
from mlactions.evaluate.records import Config, Removed
from mlactions.evaluate.settings import Settings
from mlactions.own_files import own_files


def find_removed(
    changes: Sequence[Change], settings: Settings, folder: str, configs: Iterable[Config]
) -> tuple[Removed, ...]:
    """Return every config that was deleted, renamed, or turned into something else since the base.

    `folder` is the working directory below the repository. A config's model has the name that it
    had at the base, where its neighbours may have been others.
    """
    here = {config.path: config for config in configs}
    new = {_below(change.path, folder) for change in changes if change.kind in _NEW}
    gone = {
        path: change
        for change in changes
        if change.kind not in {"added", "untracked"}
        and (path := _below(change.old or change.path, folder)) is not None
        and _was_config(path, settings)
        and path not in here
    }
    before = name_models([*gone, *(path for path in here if path not in new)])
    return tuple(
        Removed(config, gone[config.path].kind, _new_name(gone[config.path], folder, here))
        for config in before
        if config.path in gone
    )


_NEW = frozenset({"added", "renamed", "untracked"})


def _below(path: str, folder: str) -> str | None:
    """Return a path as the working directory sees it, None if it is not in there."""
    if not folder:
        return path
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else None


def _was_config(path: str, settings: Settings) -> bool:
    if path == posixpath.normpath(settings.baseline) or own_files([path], settings.configs):
        return False
    return globs.selects(path, settings.configs)


def _new_name(change: Change, folder: str, here: dict[str, Config]) -> str | None:
    config = here.get(_below(change.path, folder) or "")
    return config.model if change.kind == "renamed" and config is not None else None


def say_removed(removed: Iterable[Removed], folder: str) -> Iterator[str]:
    """Say it in sentences."""
    for gone in removed:
        path = posixpath.join(folder, gone.config.path)
        if gone.renamed_to is not None:
            yield f"`{path}` was renamed: its model is evaluated as `{gone.renamed_to}`."
        elif gone.kind in {"deleted", "renamed"}:
            yield f"`{path}` was deleted: its model is not evaluated any more."
        else:
            yield f"`{path}` is no model config any more: its model is not evaluated."
