"""Simulated seeds: false alarms and detection of our rule against plain thresholds.

Seeds are normal draws. Each trial draws a new baseline too, so the noise of both sides counts.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.measure import folded, share, table
from mlactions.compare.decide import Policy, decide
from mlactions.compare.model import Label, Rule

TOLERANCE = 0.01
ACCURACY = 0.9
BASELINE_SEEDS = 5
NOISE = (0.25, 0.5, 1.0)
CHANGES = (0.0, 0.5, 1.0, 2.0)
SEEDS = (1, 3, 5)
TRIALS = 4000

RULE = Rule("model", "accuracy", "higher", absolute=TOLERANCE, has_tolerance=True)
REGRESSION: tuple[Label, ...] = ("proven", "observed")


@dataclass(frozen=True)
class Cell:
    """What became of all trials of one setting; noise and change are in tolerances."""

    noise: float
    seeds: int
    change: float
    trials: int
    labels: Counter[Label]
    one_seed: int
    means: int

    def rate(self, *labels: Label) -> float:
        """Return the share of trials that got one of these labels from our rule."""
        return sum(self.labels[label] for label in labels) / self.trials


def simulate(noise: float, seeds: int, change: float, trials: int = TRIALS) -> Cell:
    """Draw both sides `trials` times and let all three rules decide on the same numbers."""
    source = random.Random(f"{noise}/{seeds}/{change}")
    labels: Counter[Label] = Counter()
    one_seed = means = 0
    for _ in range(trials):
        base = _draw(BASELINE_SEEDS, ACCURACY, noise, source)
        head = _draw(seeds, ACCURACY - change * TOLERANCE, noise, source)
        evidence = decide(RULE, base, head, Policy())
        assert evidence is not None
        labels[evidence.label] += 1
        one_seed += base[0] - head[0] > TOLERANCE
        means += statistics.fmean(base) - statistics.fmean(head) > TOLERANCE
    return Cell(noise, seeds, change, trials, labels, one_seed, means)


def _draw(count: int, mean: float, noise: float, source: random.Random) -> list[float]:
    """Return what a metrics file would hold: values with six decimals."""
    return [round(source.gauss(mean, noise * TOLERANCE), 6) for _ in range(count)]


@dataclass(frozen=True)
class Strategy:
    """A way to make a check red, and how often it did."""

    name: str
    red: Callable[[Cell], float]


STRATEGIES = (
    Strategy("one seed a side", lambda cell: cell.one_seed / cell.trials),
    Strategy("means = ours by default", lambda cell: cell.means / cell.trials),
    Strategy("ours, `on-inconclusive: warn`", lambda cell: cell.rate(*REGRESSION)),
)
NOTHING, LOSS = 0.0, 2.0


def red_table(cells: Sequence[Cell]) -> str:
    """Return how often each strategy is red: when nothing changed, and at a true loss."""
    found = {(cell.noise, cell.seeds, cell.change): cell for cell in cells}
    rows = [
        [
            f"{noise:g}",
            f"{seeds}",
            *(
                f"{share(s.red(found[noise, seeds, NOTHING]))}"
                f" / {share(s.red(found[noise, seeds, LOSS]))}"
                for s in STRATEGIES
            ),
        ]
        for noise, seeds in dict.fromkeys((cell.noise, cell.seeds) for cell in cells)
    ]
    return table(["noise ÷ tolerance", "candidate seeds", *(s.name for s in STRATEGIES)], rows)


Wrong = Callable[[Cell], float]
CLAIMS: tuple[tuple[str, float, Wrong], ...] = (
    ("`fail`, nothing changed", 0.0, lambda cell: cell.rate(*REGRESSION)),
    ("*proven*, change = tolerance", 1.0, lambda cell: cell.rate("proven")),
    ("*non-inferior*, change = tolerance", 1.0, lambda cell: cell.rate("non-inferior")),
)
"""Each label that says "shown", and the true change at which saying it is wrong."""


def worst_rates(cells: Sequence[Cell]) -> list[list[str]]:
    """Return the largest rate of each wrong label, per number of candidate seeds."""

    def worst(change: float, seeds: int, wrong: Wrong) -> str:
        rate = max(wrong(cell) for cell in cells if (cell.change, cell.seeds) == (change, seeds))
        return f"{rate * 100:.1f} %"

    return [[name, *(worst(change, n, wrong) for n in SEEDS)] for name, change, wrong in CLAIMS]


def label_table(cells: Sequence[Cell]) -> str:
    """Return the share of every label in every setting."""
    shown: tuple[Label, ...] = (*REGRESSION, "inconclusive", "not-proven", "non-inferior")
    header = ["noise", "change", "seeds", "one seed red", "means red", *shown]
    rows = [
        [
            f"{cell.noise:g}",
            f"{cell.change:g}",
            f"{cell.seeds}",
            *(share(strategy.red(cell)) for strategy in STRATEGIES[:2]),
            *(share(cell.rate(label)) for label in shown),
        ]
        for cell in sorted(cells, key=lambda cell: (cell.noise, cell.change, cell.seeds))
    ]
    return table(header, rows)


INTRODUCTION = f"""\
{TRIALS:,} simulated comparisons a cell: {BASELINE_SEEDS} baseline seeds against 1, 3 or 5 of
the candidate, normal noise, its standard deviation as a multiple of the tolerance. Each cell says
how often the check was red when **nothing changed** (false alarms) / when the model **lost twice
the tolerance** (detections).
"""
AFTER = """\
By default our check is red exactly where a threshold on the means is: `inconclusive` fails too.
What it adds is to say which red the seeds support; the rest it calls inconclusive, with the number
of seeds that would settle it, and `on-inconclusive: warn` lets it pass. What the labels claim may
be wrong in 5 % of runs; the largest rates over all noises:
"""


def headline(cells: Sequence[Cell]) -> str:
    """Return the hardest row in words."""
    noise, seeds = NOISE[-1], SEEDS[-1]
    hard = {cell.change: cell for cell in cells if (cell.noise, cell.seeds) == (noise, seeds)}
    alarms = [share(strategy.red(hard[NOTHING])) for strategy in STRATEGIES]
    found = [share(strategy.red(hard[LOSS])) for strategy in STRATEGIES]
    return (
        f"**Where noise is as large as the tolerance, {seeds} seeds instead of one take false"
        f" alarms from {alarms[0]} to {alarms[1]} and detection from {found[0]} to {found[1]};"
        f" counting only what the seeds support, {alarms[2]} and {found[2]}.**"
    )


def main() -> None:
    """Print the section."""
    cells = [simulate(n, s, c) for n in NOISE for s in SEEDS for c in CHANGES]
    print("## Seeds: false alarms and detection\n")
    print(headline(cells) + "\n")
    print(INTRODUCTION)
    print(red_table(cells))
    print(AFTER)
    numbers = [f"{n} seed{'s' if n > 1 else ''}" for n in SEEDS]
    print(table(["said wrongly", *numbers], worst_rates(cells)))
    print(folded("Every noise, change and number of seeds", label_table(cells)))


if __name__ == "__main__":
    main()
