"""Read a search space: a W&B sweep file, Hydra sweeper strings, Optuna's distributions.

References: https://docs.wandb.ai/models/sweeps/sweep-config-keys and
https://hydra.cc/docs/advanced/override_grammar/extended/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlactions.schema import schema
from mlactions.sweep.checks import check_conditions, check_finite, check_method, check_names
from mlactions.sweep.commands import check_command
from mlactions.sweep.domains import Choice
from mlactions.sweep.identity import canonical_value
from mlactions.sweep.model import Budget, Metric, Parameter, Resources, Space
from mlactions.sweep.parameters import read_condition, read_parameters
from mlactions.sweep.places import Place, Source, closest
from mlactions.yaml_lines import parse_marked

_REFUSED: Mapping[str, str] = {
    "early_terminate": "trials are jobs of their own, which nobody stops by comparing them;"
    " `train` ends a run that stalls or diverges",
    "controller": "there is no W&B controller here: `sweep next` proposes trials",
    "job": "W&B launch jobs are not started here: `command` says what a trial runs",
    "image_uri": "W&B launch images are not started here: name the container in the workflow",
}


def parse_space(text: str, *, file: str) -> Space:
    """Return a checked search space. Raises UserError with file, line and field."""
    marked = parse_marked(text, name=file)
    source = Source(file, marked)
    if not isinstance(marked.value, dict) or not marked.value:
        hint = "Write `parameters:` with a name and `values:` below it."
        raise source.wrong((), "it holds no keys and values.", hint, "empty search space")
    document, moved = _from_hydra(marked.value, source)
    _check_keys(document, source)
    check_finite(document, source)
    _check_schema(document, source)
    return _checked(_read(document, source, moved), source)


def _from_hydra(document: Mapping[str, Any], source: Source) -> tuple[Mapping[str, Any], list[str]]:
    """Take `hydra.sweeper.params` of a Hydra config as the parameters."""
    if "hydra" not in document:
        return document, []
    hydra = document["hydra"]
    sweeper = hydra.get("sweeper") if isinstance(hydra, dict) else None
    if (
        not isinstance(sweeper, dict)
        or not isinstance(params := sweeper.get("params"), dict)
        or "parameters" in document
    ):
        message = "only `hydra.sweeper.params` is read, where there are no `parameters`."
        raise source.wrong(("hydra",), message)
    known = schema("sweep")["properties"]
    kept = {key: value for key, value in document.items() if key in known}
    left = sorted(set(document) - set(kept) - {"hydra", "defaults"})
    notes = ["parameters were taken from `hydra.sweeper.params`"]
    if left:
        notes.append(f"the config's own keys were left out: {', '.join(left)[:200]}")
    if "n_trials" in sweeper and "run_cap" not in kept:
        kept["run_cap"] = sweeper["n_trials"]
    return kept | {"parameters": params}, notes


def _check_keys(document: Mapping[str, Any], source: Source) -> None:
    """Refuse by name what is not known, and what W&B knows and this cannot do."""
    known = schema("sweep")["properties"]
    for key in document:
        if key in _REFUSED:
            raise source.wrong((key,), f"it is refused: {_REFUSED[key]}.", f"Remove `{key}`.")
        if key not in known:
            hint = closest(str(key), known) or f"There are {', '.join(sorted(known))}."
            raise source.wrong((key,), "there is no such key.", hint)
    if not document.get("parameters"):
        hint = "Write a name and `values: [1, 2]` below `parameters:`."
        raise source.wrong(("parameters",), "there are none.", hint, "empty search space")


def _check_schema(document: Mapping[str, Any], source: Source) -> None:
    from jsonschema import Draft202012Validator  # 90 ms to import
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema("sweep")).iter_errors(document))
    if error is None:
        return
    place: Place = tuple(error.absolute_path)
    message, hint = error.message, ""
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        odd = sorted(set(map(str, error.instance)) - set(error.schema.get("properties", {})))
        if odd:
            place, message = (*place, odd[0]), "there is no such key"
            hint = _key_hint(odd[0], error.schema["properties"])
    elif error.validator == "type" and isinstance(error.instance, list) and len(place) > 1:
        message, hint = "a list says too little", "Write `values: [...]` or `value: [...]`."
    elif error.validator == "enum" and isinstance(error.instance, str):
        message = f"{error.instance!r} is not known"
        near = closest(error.instance, map(str, error.validator_value))
        hint = near or f"There are {', '.join(map(str, error.validator_value))}."
    raise source.wrong(place, f"{message[:300]}.", hint)


def _key_hint(key: str, known: Mapping[str, Any]) -> str:
    return closest(key, known) or f"There are {', '.join(sorted(known))}."


def _read(document: Mapping[str, Any], source: Source, notes: Sequence[str]) -> Space:
    notes = [*notes, *_notes(document)]
    seed = document.get("sampler_seed", 0)
    found = tuple(read_parameters(document["parameters"], source, seed))
    seeds = document.get("seeds", ())
    seed_parameter = document.get("seed_parameter", "seed")
    seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not seeds:
        found, seeds = _seeds_among(found, seed_parameter)
        if seeds:
            notes.append(f"`{seed_parameter}` counts as `seeds`: it repeats a configuration")
    metric = document.get("metric")
    method = document.get("method", "grid")
    return Space(
        file=source.file,
        parameters=_in_order(found, source),
        name=document.get("name", ""),
        description=document.get("description", ""),
        method="tpe" if method == "bayes" else method,
        metric=None if metric is None else Metric(**metric),
        exclude=tuple(
            read_condition(item, ("exclude", place), source)
            for place, item in enumerate(document.get("exclude", ()))
        ),
        seeds=seeds,
        seed_parameter=seed_parameter,
        sampler_seed=seed,
        run_cap=document.get("run_cap"),
        command=tuple(map(_word, document.get("command", ()))),
        program=document.get("program", ""),
        budget=Budget(**document.get("budget", {})),
        resources=Resources(**document.get("resources", {})),
        max_parallel=document.get("max_parallel"),
        retry=document.get("retry", 0),
        reuse_across_commits=document.get("reuse_across_commits", False),
        notes=tuple(notes),
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    if document.get("method") == "bayes":
        yield "`method: bayes` is done by TPE (Optuna), not by W&B's Gaussian process"
    if document.get("method") in {"bayes", "tpe"} and "run_cap" not in document:
        yield "no `run_cap`: `sweep next` proposes trials as often as it is asked"
    for key in ("entity", "project"):
        if key in document:
            yield f"`{key}` has no effect: runs are recorded in MLflow"
    if "method" not in document:
        yield "no `method`, so it is a grid"
    if "metric" in document and "goal" not in document["metric"]:
        yield "the metric has no `goal`, so it is minimized, as in W&B"


def _seeds_among(
    found: tuple[Parameter, ...], name: str
) -> tuple[tuple[Parameter, ...], tuple[int, ...]]:
    """Take a parameter that lists seeds for the seeds; anything else it may be stays as it is."""
    for parameter in found:
        if parameter.key != name or parameter.when or not isinstance(parameter.domain, Choice):
            continue
        values = parameter.domain.values
        plain = all(type(value) is int and value >= 0 for value in values)
        if values and plain and not parameter.domain.weights:
            rest = tuple(item for item in found if item is not parameter)
            return rest, tuple(dict.fromkeys(values))
    return found, ()


def _in_order(found: Sequence[Parameter], source: Source) -> tuple[Parameter, ...]:
    """Return parameters after those that their conditions name; else in the file's order."""
    by_key: dict[str, Parameter] = {}
    for item in found:
        if item.key in by_key:
            message = f"`{item.key}` is there twice: nested and with dots, or with `+`."
            raise source.wrong(("parameters", item.key), message, title="name clash")
        by_key[item.key] = item
    done: dict[str, Parameter] = {}
    waiting = list(found)
    while waiting:
        ready = [
            item for item in waiting if _parents(item) <= set(done) | (_parents(item) - set(by_key))
        ]
        if not ready:
            names = ", ".join(f"`{item.key}`" for item in waiting)
            place = ("parameters", waiting[0].key, "when")
            raise source.wrong(place, f"conditions lead in a circle: {names}.")
        first = ready[0]
        done[first.key] = first
        waiting.remove(first)
    return tuple(done.values())


def _parents(parameter: Parameter) -> set[str]:
    return {test.parameter for test in parameter.when.tests} if parameter.when else set()


def _checked(space: Space, source: Source) -> Space:
    """Refuse what cannot be done: clashes, unknown names, an endless grid, no number of trials."""
    check_names(space, source)
    check_conditions(space, source)
    check_method(space, source)
    check_command(space.command, space.program, source)
    if not space.parameters and not space.seeds:
        raise source.wrong(("parameters",), "there are none.", title="empty search space")
    return _deduplicated(space)


def _deduplicated(space: Space) -> Space:
    """Drop values that are written twice, `0.1` and `1e-1`; a weighted choice keeps its own."""
    found, notes = [], list(space.notes)
    for parameter in space.parameters:
        domain = parameter.domain
        if isinstance(domain, Choice) and not domain.weights and len(domain.values) > 1:
            unique: dict[str, Any] = {}
            for value in domain.values:
                unique.setdefault(canonical_value(value), value)
            again = len(domain.values) - len(unique)
            if again:
                notes.append(f"`{parameter.key}` names values again: {again} dropped")
                domain = replace(domain, values=tuple(unique.values()))
                parameter = replace(parameter, domain=domain)  # noqa: PLW2901  # the better one
        found.append(parameter)
    return replace(space, parameters=tuple(found), notes=tuple(notes))


def is_product(space: Space) -> bool:
    """Tell whether the space is a plain product: nothing depends on anything else."""
    return not space.exclude and all(item.when is None for item in space.parameters)
