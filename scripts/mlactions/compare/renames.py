"""Models that vanished while a new one appeared: a rename, or a name that was mistyped. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mlactions.compare.model import Baseline, Candidate

CLOSE = 0.75
MAX_NAMES = 100
"""More names than that are not compared: it would take time, and tell little."""


def vanished(
    baseline: Baseline, candidate: Candidate, expected: frozenset[str] | None
) -> list[str]:
    """Return the models with rules of which this run knows nothing, not even that they failed."""
    known = {failure.model for failure in candidate.failures if failure.side == "head"}
    known |= candidate.head.keys()
    if expected is not None:
        known |= expected | candidate.skipped.keys()
    return [model for model in baseline.models if model not in known]


def renames(
    baseline: Baseline, candidate: Candidate, expected: frozenset[str] | None
) -> dict[str, str]:
    """Return which measured model without rules each vanished one may be called now.

    One of each is a pair whatever their names are; of several, those with names that are close.
    """
    gone = vanished(baseline, candidate, expected)
    new = [model for model in candidate.head if model not in baseline.models]
    if len(gone) == len(new) == 1:
        return {gone[0]: new[0]}
    pairs: dict[str, str] = {}
    for model in gone if new and len(gone) <= MAX_NAMES else ():
        match = closest(model, [name for name in new if name not in pairs.values()])
        if match:
            pairs[model] = match
    return pairs


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like this one, or nothing if none is."""
    names = list(known)
    if not 0 < len(names) <= MAX_NAMES:
        return ""
    from difflib import get_close_matches  # only once something is wrong

    return next(iter(get_close_matches(name, names, n=1, cutoff=CLOSE)), "")


def renamed(gone: str, new: str) -> str:
    """Say that two models may be one."""
    return (
        f"`{gone}` has rules and was not measured; `{new}` was measured and has none:"
        " if it was renamed, rename it in the baseline too."
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question as a sentence behind another one, or nothing."""
    match = closest(name, known)
    return f" Did you mean `{match}`?" if match else ""
