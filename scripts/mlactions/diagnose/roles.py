"""Which metric is the training loss, which the held-out score, which the learning rate. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mlactions.curves import Direction, Value, finite_values
from mlactions.diagnose.model import Roles

_HELD_OUT = frozenset({"val", "valid", "validation", "eval", "test", "dev", "heldout"})
_TRAINING = frozenset({"train", "training", "tr"})
_LOSSES = frozenset({"loss", "nll", "perplexity", "ppl", "mse", "mae", "rmse", "error"})
_SCORES = (
    "accuracy", "acc", "f1", "auc", "auroc", "map", "iou", "dice", "bleu", "rouge", "r2", "score",
    "precision", "recall", "top1",
)  # fmt: skip
_RATES = frozenset({"lr", "learning_rate", "learningrate"})
_WORDS = re.compile(r"[A-Za-z0-9]+")
_SUMMED_UP = frozenset({"step", "epoch", "avg", "mean", "running", "total", "macro", "micro"})


def words(name: str) -> tuple[str, ...]:
    """Return a metric's name as lower-case words: `val/Loss` is val, loss."""
    return tuple(word.lower() for word in _WORDS.findall(name))


def direction_of(metric: str) -> Direction:
    """Return which values of a metric are better, by its name."""
    return "lower" if _LOSSES & set(words(metric)) else "higher"


def roles_of(metrics: Iterable[str], wanted: Sequence[str] = ()) -> Roles:
    """Return the parts that metrics play; those that are `wanted` come first."""
    names = [*dict.fromkeys((*wanted, *sorted(metrics, key=_plain_first)))]
    known = [name for name in names if name in set(metrics)]
    return Roles(
        loss=_first(known, _is_training_loss),
        held_out_loss=_first(known, lambda name: _is_loss(name) and _is_held_out(name)),
        score=_first(known, lambda name: _is_score(name) and not _is_held_out(name)),
        held_out_score=_first(known, lambda name: _is_score(name) and _is_held_out(name)),
        rate=_first(known, _is_rate),
        gradient=_first(known, _is_gradient),
    )


def with_highest_rate(roles: Roles, series: Mapping[str, Sequence[Value]]) -> Roles:
    """Judge by the highest rate where each parameter group has its own."""
    rates = [name for name in series if _is_rate(name) and finite_values(series[name])]
    if len(rates) < 2:  # noqa: PLR2004  # two groups
        return roles
    highest = max(sorted(rates), key=lambda name: max(v for _, v in finite_values(series[name])))
    return replace(roles, rate=highest)


def _plain_first(name: str) -> tuple[int, str]:
    """Put `train_loss` before `train_loss/class=3`."""
    return len(words(name)), name


def _first(names: Sequence[str], test: object) -> str:
    return next((name for name in names if test(name)), "")  # type: ignore[operator]  # a predicate


def _is_loss(name: str) -> bool:
    return "loss" in words(name) or (bool(_LOSSES & set(words(name))) and not _is_score(name))


def _is_held_out(name: str) -> bool:
    return bool(_HELD_OUT & set(words(name)))


def _is_training_loss(name: str) -> bool:
    rest = set(words(name)) - _TRAINING - _SUMMED_UP - {"loss"}
    return "loss" in words(name) and not rest


def _is_score(name: str) -> bool:
    return any(score in words(name) for score in _SCORES)


def _is_rate(name: str) -> bool:
    joined = "_".join(words(name))
    return (
        joined in _RATES
        or words(name)[:1] == ("lr",)
        or joined.endswith("_lr")
        or ("learning_rate" in joined)
    )


def _is_gradient(name: str) -> bool:
    found = set(words(name))
    return bool({"grad", "gradient", "gradients"} & found) and "norm" in found
