"""Add to a sweep the trials that TPE proposes, given those that are finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from mlactions.errors import UserError
from mlactions.settings import Status
from mlactions.sweep import compose as hydra
from mlactions.sweep.best import best, observed, reached
from mlactions.sweep.compose_checks import Files, Samples, check
from mlactions.sweep.cost import estimate, over_budget
from mlactions.sweep.folder import staging, write_files
from mlactions.sweep.generate import project_of
from mlactions.sweep.jobs import listed, matrix
from mlactions.sweep.manifest import NAME, row_text, write_manifest
from mlactions.sweep.model import Space, Trial
from mlactions.sweep.overrides import Writer
from mlactions.sweep.standing import Seen, counts_of, document, rows, spent_of
from mlactions.sweep.tpe import propose
from mlactions.sweep.tree import group_options
from mlactions.sweep.trials import Bases, Hasher, resolve_globs, seeds_of
from mlactions.text import plural


def extend(
    seen: Seen, environ: Mapping[str, str], *, count: int
) -> tuple[dict[str, Any], list[int]]:
    """Add what TPE proposes to the sweep; return the result, and the trials that are left.

    Whoever calls holds the sweep's lock.
    """
    space = seen.space
    if seen.edited:
        raise _other_search(seen, "the space was edited")
    if space.method != "tpe" or space.metric is None:
        message = f"the method is {space.method}, whose trials are all there."
        raise UserError("nothing to propose", message, "Write `method: tpe`.", space.file)
    found = best(seen.manifest, seen.states, space.metric)
    if reached(space.metric, found):
        text = f"The target {space.metric.target:g} of {space.metric.name} is reached"
        return document(seen, "next", verdict=f"{text}: no more trials."), seen.left
    per = max(len(space.seeds), 1)
    room = count if space.wanted is None else space.wanted - len(seen.manifest.rows) // per
    if room <= 0:
        text = f"All {space.run_cap:,} runs of `run_cap` are there: no more trials."
        return document(seen, "next", verdict=text), seen.left
    return _add(seen, environ, min(count, room))


def _add(seen: Seen, environ: Mapping[str, str], count: int) -> tuple[dict[str, Any], list[int]]:
    space, bases = _based(seen, environ)
    first = seen.manifest.rows[0]
    composed = seen.settings.compose != "none"
    if composed and Hasher(space, bases).hash(first["overrides"]) != first["hash"]:
        raise _other_search(seen, f"`{seen.settings.config_name}` was edited")
    fresh = _fresh(seen, space, bases, count)
    cost = estimate(space, len(seen.left) + len(fresh), spent_of(seen))
    broken = over_budget(space, cost)
    if broken:
        text = f"Refused: {'; '.join(broken)}."
        refused: dict[str, Any] = {
            "refused": broken,
            "status": str(Status.REFUSED),
            "estimate": asdict(cost),
        }
        return document(seen, "next", verdict=text, **refused), seen.left
    _install(seen, space, bases, fresh, environ)
    left = [*seen.left, *(trial.number for trial in fresh)]
    width = seen.manifest.header["width"]
    proposed = [
        {"trial": trial.name(width), "seed": trial.seed, "overrides": dict(trial.values)}
        for trial in fresh
    ]
    counts = counts_of(seen)
    states = counts["states"]
    counts |= {
        "trials": counts["trials"] + len(fresh),
        "configurations": counts["configurations"] + len({trial.hash for trial in fresh}),
        "left": len(left),
        "states": {**states, "missing": states.get("missing", 0) + len(fresh)},
    }
    result = document(
        seen,
        "next",
        verdict=f"TPE proposes {plural(len(fresh), 'trial')} for `{_name(seen)}`.",
        counts=counts,
        left=listed(left),
        proposed=proposed,
        estimate=asdict(cost),
        jobs=len(matrix(left, max_jobs=seen.settings.max_jobs)["include"]),
    )
    return result, left


def _other_search(seen: Seen, why: str) -> UserError:
    message = f"{why} since the sweep was generated, so its runs say nothing of it."
    hint = "Generate another sweep with `--name`, or this one anew with `--replace`."
    return UserError("another search", message, hint, seen.space.file)


def _based(seen: Seen, environ: Mapping[str, str]) -> tuple[Space, Bases]:
    """Return the space with its globs resolved, and the composed configs."""
    if seen.settings.compose == "none":
        options = group_options(seen.settings.configs, seen.space)
        return resolve_globs(seen.space, options), Bases(frozenset(options))
    project = project_of(seen.settings, environ)
    space, composed = hydra.compose(project, seen.space)
    return space, hydra.bases_of(composed, space)


def _fresh(seen: Seen, space: Space, bases: Bases, count: int) -> list[Trial]:
    """Return the trials to add: configurations that were not there, with all seeds."""
    hasher = Hasher(space, bases)
    known = {row["hash"] for row in seen.manifest.rows}
    found: list[Trial] = []
    number = len(seen.manifest.rows) + 1
    wanted = count
    for values in islice(propose(space, observed(seen.manifest, seen.states)), 50 * count + 100):
        digest = hasher.hash(values)
        if digest in known:
            continue
        known.add(digest)
        for seed in seeds_of(values, space, bases):
            found.append(Trial(number, values, digest, seed))
            number += 1
        wanted -= 1
        if not wanted:
            break
    return found


def _install(
    seen: Seen, space: Space, bases: Bases, fresh: list[Trial], environ: Mapping[str, str]
) -> None:
    """Compose the new files, then put them into the sweep; the manifest comes last."""
    sweep, width = seen.manifest.header["sweep"], seen.manifest.header["width"]
    writer = Writer(space, bases.groups)
    files = [(f"{trial.name(width)}.yaml", writer.text(trial, sweep)) for trial in fresh]
    with staging(seen.folder) as stage:
        write_files(stage, files)
        if seen.settings.compose != "none":
            project = project_of(seen.settings, environ)
            samples = Samples(bases.groups)
            for trial in fresh:
                samples.note(trial)
            named = [(trial.name(width), trial) for trial in fresh]
            files_of = Files(f"sweeps/{stage.name}", named)
            check(project, space, hydra.compose(project, space)[1], samples, files_of)
        all_rows = [*rows(seen), *(row_text(trial, width, "missing") for trial in fresh)]
        write_manifest(stage / NAME, seen.manifest.header, all_rows)
        for name in (*(name for name, _ in files), NAME):
            (stage / name).replace(seen.folder / name)


def _name(seen: Seen) -> str:
    return str(seen.manifest.header["sweep"])
