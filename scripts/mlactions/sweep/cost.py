"""What a sweep will take, with the assumptions, and whether that is within the budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlactions.sweep.model import Budget, Space
from mlactions.text import plural


@dataclass(frozen=True)
class Spent:
    """What a sweep has taken so far: trials that need no run any more, hours of all its runs.

    `median` is what a finished one took, of `runs` whose length is known.
    """

    trials: int = 0
    hours: float = 0.0
    runs: int = 0
    median: float | None = None
    running: int = 0
    """Trials that run; each will take what a trial takes."""


@dataclass(frozen=True)
class Estimate:
    """Trials to run, hours and money; None where an assumption is missing.

    `hours_from` says where the hours of a trial come from; `whole_trials` are those of the sweep in
    the end.
    """

    trials: int
    hours_per_trial: float | None = None
    hours_from: str = ""
    gpus: float = 1
    gpu_hours: float | None = None
    price: float | None = None
    money: float | None = None
    currency: str = "USD"
    spent: Spent = Spent()
    whole_trials: int = 0


def estimate(space: Space, trials: int, spent: Spent) -> Estimate:
    """Return what the trials that are left will take.

    Hours per trial are the median of finished runs, else the budget's, else the time limit's.
    """
    budget, gpus = space.budget, space.resources.gpus
    hours, source = spent.median, f"median of {spent.runs:,} finished runs of the sweep"
    if hours is None:
        hours, source = budget.hours_per_trial, "`hours_per_trial`"
    if hours is None:
        hours, source = space.resources.hours, "the time limit of a trial"
    gpu_hours = None if hours is None else trials * hours * gpus
    price = budget.price_per_gpu_hour
    money = None if gpu_hours is None or price is None else gpu_hours * price
    return Estimate(
        trials=trials,
        hours_per_trial=hours,
        hours_from=source if hours is not None else "",
        gpus=gpus,
        gpu_hours=gpu_hours,
        price=price,
        money=money,
        currency=budget.currency,
        spent=spent,
        whole_trials=_whole(space, trials + spent.trials),
    )


def _whole(space: Space, known: int) -> int:
    """Return the trials in the end: TPE goes on to `run_cap`."""
    if space.method != "tpe" or space.wanted is None:
        return known
    return max(known, space.wanted * max(len(space.seeds), 1))


def over_budget(space: Space, found: Estimate) -> list[str]:
    """Return a sentence for each limit that does not hold, or that cannot be checked.

    A budget is for the whole sweep: for what it has taken, and for what is left.
    """
    return [*_trials_over(space, found), *_hours_over(space, found), *_money_over(space, found)]


def _trials_over(space: Space, found: Estimate) -> Iterator[str]:
    limit, spent = space.budget.trials, found.spent.trials
    if limit is not None and found.trials and found.trials + spent > limit:
        before = f", after {spent:,} that have run" if spent else ""
        yield f"{found.trials:,} trials are left to run{before}, and the budget is {limit:,}"


def _hours_over(space: Space, found: Estimate) -> Iterator[str]:
    limit = space.budget.gpu_hours
    if limit is None or not found.trials:
        return
    if found.gpu_hours is None:
        yield "a budget of GPU hours needs `hours_per_trial`, or finished runs"
        return
    spent = _taken(found)
    if found.gpu_hours + spent > limit:
        before = f", after {spent:,.1f} that were spent" if spent else ""
        yield f"they take {found.gpu_hours:,.1f} GPU hours{before}, and the budget is {limit:,g}"


def _taken(found: Estimate) -> float:
    """Return the GPU hours that were spent, and that what runs will have spent."""
    running = found.spent.running * (found.hours_per_trial or 0.0)
    return (found.spent.hours + running) * found.gpus


def _money_over(space: Space, found: Estimate) -> Iterator[str]:
    limit = space.budget.money
    if limit is None or not found.trials:
        return
    if found.money is None or found.price is None:
        yield "a budget of money needs `price_per_gpu_hour` and the hours of a trial"
        return
    spent = _taken(found) * found.price
    if found.money + spent > limit:
        before = f", after {spent:,.2f} that were spent" if spent else ""
        yield f"they cost {found.money:,.2f} {found.currency}{before}, and the budget is {limit:,g}"


def beyond_budget(space: Space, found: Estimate) -> list[str]:
    """Return a sentence where a search that goes on would be ended by its budget of trials."""
    limit = space.budget.trials
    if limit is None or found.whole_trials <= limit:
        return []
    return [f"`run_cap` asks for {found.whole_trials:,} trials; the budget ends it at {limit:,}."]


def told(space: Space, found: Estimate) -> str:
    """Return in sentences what a whole sweep would take, and that no limit is set where none is."""
    most = "at most " if space.method == "grid" else ""
    text = f"It would be {most}{plural(found.whole_trials, 'trial')}"
    if space.method == "tpe" and space.wanted is None:
        text += " to begin with, and more as often as `sweep next` is asked"
    text += _hours_told(found)
    return f"{text}." if _is_limited(space.budget) else f"{text}. No budget limits it."


def _hours_told(found: Estimate) -> str:
    if found.hours_per_trial is None:
        return "; their hours are not known"
    hours = found.whole_trials * found.hours_per_trial * found.gpus
    each = f"{found.hours_per_trial:.3g} h × {found.gpus:g} GPU each, by {found.hours_from}"
    text = f", {hours:,.10g} GPU hours ({each})"
    return text if found.price is None else f"{text}, {hours * found.price:,.2f} {found.currency}"


def _is_limited(budget: Budget) -> bool:
    return any(limit is not None for limit in (budget.trials, budget.gpu_hours, budget.money))
