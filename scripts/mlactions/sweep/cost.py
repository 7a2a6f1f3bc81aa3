"""What a sweep will take, with the assumptions, and whether that is within the budget."""

from __future__ import annotations

from dataclasses import dataclass

from mlactions.sweep.model import Space


@dataclass(frozen=True)
class Estimate:
    """Trials to run, hours and money; None where an assumption is missing.

    `hours_from` says where the hours of a trial come from.
    """

    trials: int
    hours_per_trial: float | None = None
    hours_from: str = ""
    gpus: float = 1
    gpu_hours: float | None = None
    price: float | None = None
    money: float | None = None
    currency: str = "USD"


def estimate(space: Space, trials: int, measured: float | None, runs: int) -> Estimate:
    """Return what the trials that are left will take.

    Hours per trial are the median of finished runs, else the budget's, else the time limit's.
    """
    budget, gpus = space.budget, space.resources.gpus
    hours, source = measured, f"median of {runs:,} finished runs"
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
    )


def over_budget(space: Space, found: Estimate) -> list[str]:
    """Return a sentence for each limit that does not hold, or that cannot be checked."""
    budget, broken = space.budget, []
    if budget.trials is not None and found.trials > budget.trials:
        broken.append(
            f"{found.trials:,} trials are left to run, and the budget is {budget.trials:,}"
        )
    if budget.gpu_hours is not None:
        if found.gpu_hours is None:
            broken.append("a budget of GPU hours needs `hours_per_trial`, or finished runs")
        elif found.gpu_hours > budget.gpu_hours:
            broken.append(
                f"they take {found.gpu_hours:,.1f} GPU hours, and the budget is"
                f" {budget.gpu_hours:,g}"
            )
    if budget.money is not None:
        if found.money is None:
            broken.append("a budget of money needs `price_per_gpu_hour` and the hours of a trial")
        elif found.money > budget.money:
            broken.append(
                f"they cost {found.money:,.2f} {found.currency}, and the budget is"
                f" {budget.money:,g}"
            )
    return broken
