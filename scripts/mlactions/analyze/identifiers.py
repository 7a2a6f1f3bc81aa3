"""Parameters that only name their run: its folder, its name, its job. They part nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mlactions.analyze.table import Column, Table

UNIQUE_SHARE = 0.9
"""Of the runs that have a parameter: values of their own in more than this name the run."""

MANY = 12
"""Runs with a text of their own each, above which that is worth a word."""

_NAMES = re.compile(
    r"(?:^|[._-])(?:(?:run|job|trial|task|out|output|log|save|checkpoint|ckpt|work|working|exp"
    r"|experiment|tensorboard|slurm)s?(?:[._-]?(?:dir|directory|folder|path|root|file|name|id|number"
    r"|num|index|prefix))?|uuid|guid|timestamp|datetime|hostname|pid|port)$",
    re.IGNORECASE,
)
_COUNTERS = re.compile(
    r"(?:^|[._-])(?:(?:run|job|trial|task|exp|experiment|slurm)s?[._-]?(?:id|number|num|index|name"
    r"|dir|directory|folder|path|root|file|prefix)|uuid|guid|timestamp|pid|port)$",
    re.IGNORECASE,
)
"""Numbers are more often settings: `drop_out` and `n_task` are no folders."""

_STAMP = re.compile(
    r"\d{4}[-_.]?\d{2}[-_.]?\d{2}(?:\D|$)|\d{2}[-:]\d{2}[-:]\d{2}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-|(?<![0-9a-f])[0-9a-f]{16,}(?![0-9a-f])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Runs:
    """The runs that are looked at: their table, their rows, and the columns of their seeds."""

    table: Table
    rows: Sequence[int]
    seeds: Sequence[Column] = ()


def names_run(name: str, column: Column, runs: Runs) -> bool:
    """Tell whether a parameter names its run, and says nothing of how it was configured.

    It holds the run's id or name, or its seed, or nearly each run has a value of its own that
    looks like a name: by what the parameter is called, or by a date.
    """
    values = [(row, value) for row in runs.rows if (value := column.at(row)) is not None]
    texts = [(row, value) for row, value in values if isinstance(value, str)]
    distinct = len({value for _, value in values})
    unique = distinct > UNIQUE_SHARE * len(values)
    if not texts:
        return unique and len(values) > 1 and bool(_COUNTERS.search(name))
    ids, names = runs.table.ids, runs.table.names
    called = bool(_NAMES.search(name))
    if _mostly(texts, lambda row, text: ids[row] in text):
        return True
    # A run may be named after its model: that is no reason to leave the model out.
    if called and _mostly(texts, lambda row, text: text == names[row]):
        return True
    if any(_holds_seed(texts, seed) for seed in runs.seeds):
        return True
    stamped = _mostly(texts, lambda _, text: bool(_STAMP.search(text)))
    return unique and (stamped or called)


def is_own_text(column: Column, rows: Sequence[int]) -> bool:
    """Tell whether nearly each run has a text of its own: then no two are repeats of each other."""
    values = [value for row in rows if (value := column.at(row)) is not None]
    texts = {value for value in values if isinstance(value, str)}
    return len(texts) > max(MANY, UNIQUE_SHARE * len(values))


def _mostly(texts: Sequence[tuple[int, str]], holds: Callable[[int, str], bool]) -> bool:
    return sum(holds(row, text) for row, text in texts) > UNIQUE_SHARE * len(texts)


def _holds_seed(texts: Sequence[tuple[int, str]], seed: Column) -> bool:
    """Tell whether texts hold their own run's seed, and fewer are left without it."""
    masked = list(_masked(texts, seed))
    if sum(found for _, found in masked) <= UNIQUE_SHARE * len(texts):
        return False
    return len({text for text, _ in masked}) < len({text for _, text in texts})


def _masked(texts: Sequence[tuple[int, str]], seed: Column) -> Iterator[tuple[str, bool]]:
    """Yield each text without its seed, and whether the seed stood in it as a number alone."""
    for row, text in texts:
        value = seed.at(row)
        if not isinstance(value, float) or not value.is_integer():
            yield text, False
            continue
        found = re.sub(rf"(?<![\d.])0*{int(value)}(?!\d|\.\d)", "*", text)
        yield found, found != text
