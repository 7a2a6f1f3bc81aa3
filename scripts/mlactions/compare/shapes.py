"""Metrics files that were read as one model and were probably not meant so."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from mlactions.compare.findings import listed
from mlactions.compare.model import Candidate, Finding
from mlactions.errors import UserError

_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "eval"})
_NO_MODEL = frozenset({"metrics", "metric", "results", "result", "scores", "eval", "evaluation"})


def check_shape(
    paths: Sequence[Path], candidate: Candidate, known: Collection[str], *, new: bool = False
) -> None:
    """Raise UserError for a file that became a model of its own name, and others have rules.

    With `new`, a model without rules is fine, as long as the file does not hold models that have.
    """
    for path, model in _single(paths, candidate):
        inside = [name for name in known if name in _prefixes(model, candidate)]
        if model in known or not (known and (inside or not new)):
            continue
        read = f"it was read as one model, `{model}`, after the file's name"
        if inside:
            message = f"{read}, and it holds {listed(inside)} at its top."
            raise UserError("bad metrics", message, _wrapped(inside[0]), str(path))
        if len(candidate.head) == 1 and candidate.expected is None:
            first = next(iter(known))
            message = f"{read}; the baseline has {listed(list(known))}."
            hint = f"Name the file `{first}.json`, or {_wrapped(first, 'w')}"
            raise UserError("bad metrics", message, hint, str(path))


def doubts(paths: Sequence[Path], candidate: Candidate) -> Iterator[Finding]:
    """Yield a warning for a file that may hold models where metrics were read."""
    for path, model in _single(paths, candidate):
        names = list(candidate.head[model].values)
        tops = list(dict.fromkeys(name.partition(".")[0] for name in names))
        nested = all("." in name for name in names) and not _SPLITS.issuperset(tops)
        read = f"`{path}` was read as one model, `{model}`, after the file's name"
        if nested:
            which = "is a model" if len(tops) == 1 else "are models"
            message = f"{read}. If {listed(tops)} {which}: {_wrapped(tops[0], 'w')}"
            yield Finding("one-model", "warn", message, model)
        elif model in _NO_MODEL:
            message = f"{read}. Name the file after the model, or {_wrapped('<model>', 'w')}"
            yield Finding("one-model", "warn", message, model)


def _wrapped(model: str, first: str = "W") -> str:
    return f'{first}rite {{"models": {{"{model}": {{"metrics": {{…}}}}}}}}.'


def _single(paths: Sequence[Path], candidate: Candidate) -> Iterator[tuple[Path, str]]:
    """Yield the files that were read as one model each, with that model."""
    for path in paths:
        side = candidate.head.get(path.stem)
        if side is not None and side.file == str(path) and path.is_file():
            yield path, path.stem


def _prefixes(model: str, candidate: Candidate) -> set[str]:
    side = candidate.head[model]
    names = (*side.values, *(problem.metric for problem in side.problems))
    return {name[:end] for name in names for end, letter in enumerate(name) if letter == "."}
