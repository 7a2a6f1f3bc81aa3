"""Splits and samples that are drawn without a seed of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mlactions.audit.model import Finding, Rule
from mlactions.audit.source import Source, called, constant, is_open, keyword, last_part, receiver

FAMILY = "splitting"

SPLIT = Rule(
    "split-unseeded",
    FAMILY,
    "warning",
    "Training and validation data are split at random",
    "Another split each run: metrics are not comparable, and samples that were trained on end up in"
    " the validation set of the next run.",
    "Pass `random_state=seed` (scikit-learn), `generator=torch.Generator().manual_seed(seed)`"
    " (`random_split`) or `seed=seed` (datasets), or store the split's indices.",
    "https://scikit-learn.org/stable/common_pitfalls.html#controlling-randomness",
)
SAMPLE = Rule(
    "sample-unseeded",
    FAMILY,
    "warning",
    "Rows are shuffled or sampled without a seed",
    "Which rows are seen, and in which order, differs from run to run.",
    "Pass `random_state=seed` (pandas, scikit-learn) or `seed=seed` (datasets).",
    "https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.sample.html",
)
RULES = (SPLIT, SAMPLE)

_ALWAYS = frozenset(
    {"ShuffleSplit", "StratifiedShuffleSplit", "GroupShuffleSplit"}
    | {"RepeatedKFold", "RepeatedStratifiedKFold"}
)
_FOLDS = frozenset({"KFold", "StratifiedKFold", "StratifiedGroupKFold"})


def check(source: Source) -> Iterator[Finding]:
    """Yield splits and samples whose call names no seed."""
    seeded = any(
        name == "numpy.random.seed" or "seed" in last_part(name) for _, _, name in source.calls
    )
    for call, _, name in source.calls:
        if is_open(call):
            continue
        last = last_part(name)
        if name.startswith("sklearn."):
            yield from _sklearn(source, call, last)
        elif last == "random_split" and name.startswith("torch."):
            if keyword(call, "generator", 2) is None:
                yield source.finding(SPLIT, call, "`random_split` has no `generator`.")
        elif not name or name.startswith("@"):
            yield from _method(source, call, seeded=seeded)


def _sklearn(source: Source, call: ast.Call, last: str) -> Iterator[Finding]:
    state = keyword(call, "random_state")
    if state is not None and constant(state) is not None:
        return
    shuffle = constant(keyword(call, "shuffle"))
    if last == "train_test_split" and shuffle is not False:
        yield source.finding(SPLIT, call, "`train_test_split` has no `random_state`.")
    elif last in _ALWAYS or (last in _FOLDS and shuffle is True):
        yield source.finding(SPLIT, call, f"`{last}` shuffles without a `random_state`.")
    elif last in {"shuffle", "resample"} and state is None:
        yield source.finding(SAMPLE, call, f"`sklearn.utils.{last}` has no `random_state`.")


def _method(source: Source, call: ast.Call, *, seeded: bool) -> Iterator[Finding]:
    what, of = called(call), receiver(call).lower()
    if what == "sample" and "pandas" in source.roots and not seeded:
        sized = keyword(call, "frac") is not None or keyword(call, "n") is not None
        if sized and keyword(call, "random_state") is None:
            yield source.finding(SAMPLE, call, "`.sample` has no `random_state`.")
    if "datasets" not in source.roots or keyword(call, "seed") is not None:
        return
    if what == "train_test_split" and constant(keyword(call, "shuffle")) is not False:
        yield source.finding(SPLIT, call, "`.train_test_split` has no `seed`.")
    elif what == "shuffle" and not call.args and _is_dataset(of):
        yield source.finding(SAMPLE, call, "`.shuffle` has no `seed`.")


def _is_dataset(name: str) -> bool:
    parts = ("data", "ds", "train", "split", "load_dataset", "corpus", "map", "select", "filter")
    return any(part in name for part in parts)
