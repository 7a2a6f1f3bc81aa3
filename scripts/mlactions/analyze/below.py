"""What is said below the best: what stands for what, what was set aside, where bounds stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.analyze.tables import columns_of
from mlactions.report import Code, Span

MAX_NAMES = 6

Document = Mapping[str, Any]


def below_best(result: Document) -> Iterator[Span]:
    """Say what stands for others, what was set aside, and where bounds end."""
    for item in columns_of(result):
        if item.others:
            yield from (Code(item.name), " stands for ", *_names(item.others))
            yield f", which change{'s' * (len(item.others) == 1)} with it here. "
    aside = result["set_aside"]
    if aside["seeds"] and any(len(item["runs"]) > 1 for item in result["configurations"]):
        yield from ("Runs that differ only in ", *_names(aside["seeds"]))
        yield " are one configuration; runs of one seed count once. "
    if aside["identifiers"]:
        yield from ("Set aside, as they only name their runs: ", *_names(aside["identifiers"]))
        yield ". "
    yield from _range(result)


def _names(names: Sequence[str]) -> Iterator[Span]:
    shown = names if len(names) <= MAX_NAMES else names[: MAX_NAMES - 1]
    for position, name in enumerate(shown):
        last = position == len(names) - 1
        yield from (" and " if last else ", ",) if position else ()
        yield Code(name)
    if len(names) > len(shown):
        yield f" and {len(names) - len(shown)} more"


def _range(result: Document) -> Iterator[Span]:
    """Say that bounds end where the metric does, where some of those shown do."""
    found = result["range"]
    if found is None:
        return
    ends = [end for end in (found["low"], found["high"]) if end is not None]
    shown = result["configurations"][: result["settings"]["top"]]
    met = sorted({end for end in ends for item in shown if end in (item["low"], item["high"])})
    if met:
        why = "as declared" if found["known_by"] == "declared" else "going by its name"
        yield f"Bounds stop at {' and '.join(f'{end:g}' for end in met)}, where "
        yield from (Code(result["settings"]["metric"]), f" ends, {why}. ")
