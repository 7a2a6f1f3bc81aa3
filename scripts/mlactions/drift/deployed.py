"""Which run is deployed: found by tag, alias or id, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from mlactions.drift.model import Candidate, Deployed, Selector, Settings, UndeterminedError
from mlactions.errors import UserError
from mlactions.mlflow_store import ModelVersion, Run, Store, StoreError
from mlactions.mlflow_store.problems import quoted
from mlactions.values import equal, parse

Item = TypeVar("Item")

MAX_CANDIDATES = 20
MAX_VERSIONS = 100
_TAG = re.compile(r"tag:([^=`]+)=(.*)", re.DOTALL)
_ALIAS = re.compile(r"alias:(.+)@([^@]+)", re.DOTALL)
_RUN = re.compile(r"run:([\w-]+)")
_NAME_IT = "Tag the deployed run so, or give `deployed` as `run:ID` or as an alias of its model."
_HINT = "Write `tag:deployed=true`, `alias:NAME@champion` or `run:ID`."


def parse_selector(text: str) -> Selector:
    """Read `--deployed`."""
    if match := _TAG.fullmatch(text.strip()):
        return Selector("tag", match[1], match[2])
    if match := _ALIAS.fullmatch(text.strip()):
        return Selector("alias", match[1], match[2])
    if match := _RUN.fullmatch(text.strip()):
        return Selector("run", match[1])
    raise UserError("bad input", f"`deployed` is {text!r}.", _HINT)


def check_scope(settings: Settings) -> None:
    """Refuse a tag without the experiment or model that it is looked for in."""
    if settings.selector.kind == "tag" and not (settings.experiment or settings.model):
        message = f"`deployed` is `{settings.selector}`, and neither `experiment` nor `model` is"
        hint = "Name the experiment, or the registered model, whose runs carry the tag."
        raise UserError("bad input", f"{message} given.", hint)


def find_deployed(settings: Settings, store: Store) -> Deployed:
    """Return the deployed run.

    Raises UndeterminedError where there is none or several, StoreError where nobody can tell.
    """
    selector = settings.selector
    try:
        if selector.kind == "run":
            return _deployed(store, store.run(selector.name), None)
        if selector.kind == "alias":
            return _of_version(store, store.version_by_alias(selector.name, selector.value))
    except StoreError as error:
        if error.state in {"no-run", "no-alias", "deleted", "no-model"}:
            raise UndeterminedError("no-deployed-run", error.message) from None
        raise
    if settings.model:
        return _by_model_tag(settings, store)
    experiment = store.experiment(settings.experiment)
    runs = list(store.runs([experiment.id], _condition("tags", selector), limit=MAX_CANDIDATES + 1))
    where = f"in the experiment `{experiment.name}`"
    return _deployed(store, _only(runs, [_candidate(run) for run in runs], settings, where), None)


def _condition(field: str, selector: Selector) -> str:
    # Python logs `True` where a person writes `true`.
    compared = "ILIKE" if isinstance(parse(selector.value), bool) else "="
    return f"{field}.`{selector.name}` {compared} {quoted(selector.value)}"


def _by_model_tag(settings: Settings, store: Store) -> Deployed:
    """Find the version of a model that has the tag, or whose run has it."""
    selector, model = settings.selector, settings.model
    versions = store.versions(model, _condition("tag", selector))
    if not versions:
        versions = tuple(_tagged_runs(store.versions(model), selector, store))
    found = [
        Candidate(item.run_id, "", item.status, None, f"{item.model}/{item.version}")
        for item in versions
    ]
    return _of_version(
        store, _only(list(versions), found, settings, f"among the versions of `{model}`")
    )


def _tagged_runs(
    versions: Iterable[ModelVersion], selector: Selector, store: Store
) -> Iterable[ModelVersion]:
    for version in list(versions)[:MAX_VERSIONS]:
        if version.run_id:
            try:
                tags: Mapping[str, str] = store.run(version.run_id).tags
            except StoreError as error:
                if error.state not in {"no-run", "deleted"}:
                    raise
                continue
            if selector.name in tags and equal(parse(tags[selector.name]), parse(selector.value)):
                yield version


def _only(items: list[Item], candidates: list[Candidate], settings: Settings, where: str) -> Item:
    """Return the only item."""
    selector = settings.selector
    if not items:
        message = f"no run {where} has the tag `{selector.name}={selector.value}`. {_NAME_IT}"
        raise UndeterminedError("no-deployed-run", message)
    if len(items) > 1:
        more = len(items) > MAX_CANDIDATES
        count = f"more than {MAX_CANDIDATES}" if more else str(len(items))
        message = f"{count} runs {where} have the tag `{selector.name}={selector.value}`."
        shown = tuple(candidates[:MAX_CANDIDATES])
        raise UndeterminedError("several-deployed-runs", message, shown)
    return items[0]


def _candidate(run: Run) -> Candidate:
    return Candidate(run.id, run.name, run.status, run.start_ms)


def _of_version(store: Store, version: ModelVersion) -> Deployed:
    name = f"version {version.version} of `{version.model}`"
    if not version.run_id:
        raise UndeterminedError("no-deployed-run", f"{name} names no run that made it.")
    try:
        run = store.run(version.run_id)
    except StoreError as error:
        if error.state not in {"no-run", "deleted"}:
            raise
        message = f"the run {version.run_id} that made {name} is gone."
        raise UndeterminedError("no-deployed-run", message) from None
    return _deployed(store, run, version)


def _deployed(store: Store, run: Run, version: ModelVersion | None) -> Deployed:
    """Add what the run above a nested one logged: sweeps keep what trials share there."""
    params = dict(run.params)
    if run.parent_id:
        try:
            params = {**store.run(run.parent_id).params, **params}
        except StoreError as error:
            if error.state not in {"no-run", "deleted"}:
                raise
    return Deployed(run, params, version)
