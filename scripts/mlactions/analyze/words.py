"""The verdict and the findings in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mlactions.analyze.model import (
    FEWEST_CONFIGURATIONS,
    WEAK_CONFIGURATIONS,
    WEAK_PER_PARAMETER,
    Agreement,
    Configuration,
    Finding,
    Pair,
    Parameter,
    Settings,
)
from mlactions.compare.statistics import welch_p_value
from mlactions.text import plural

MOST_NAMED = 4
MOST_TOGETHER = 8
SHORT_ID = 8
"""Characters of a run id that tell it from the others, as Git does with commits."""

FAILED_SHARE = 0.2
_NAME = 80
_AGREE = 0.5


def code(name: str) -> str:
    """Return a name between backticks: on one line, without backticks of its own."""
    text = " ".join(name.replace("`", "'").split()) or "(empty)"
    return f"`{text if len(text) <= _NAME else text[: _NAME - 1] + '…'}`"


def number(value: float) -> str:
    """Return a metric's value with up to four significant digits beyond the leading ones."""
    text = f"{value:.4g}"
    return text if "e" in text or abs(value) < 1000 else f"{value:,.1f}"  # noqa: PLR2004  # 4 digits


def joined(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Return names as people list them, cut where there are many."""
    shown = [code(name) for name in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def verdict(
    settings: Settings,
    counts: Mapping[str, int],
    best: Configuration | None,
    parameters: Sequence[Parameter],
    unmet: Sequence[str],
) -> str:
    """Return the result in one sentence."""
    if unmet:
        return f"{'; '.join(unmet)}."
    if best is None:
        return _nothing(settings, counts)
    runs = plural(counts["used"], "finished run")
    value = f"best {code(settings.metric)} {number(best.mean)}"
    if len(best.runs) > 1:
        names = joined([run[:SHORT_ID] for run in best.runs])
        value += f" over {repeats(best.seeds, len(best.runs), best.unit)} ({names})"
    else:
        value += f" in run {code(best.runs[0][:SHORT_ID])}"
    if settings.filter:
        return f"{plural(counts['used'], 'run')} match the filter; {value}."
    return f"{runs}, {value}. {_influences(parameters)}"


def repeats(seeds: int | None, runs: int, unit: str) -> str:
    """Return what a configuration was repeated with: `3 seeds`, or runs whose seeds are unknown."""
    if seeds is None:
        return f"{plural(runs, 'run')} of unknown seeds" if runs > 1 else "1 run"
    return plural(seeds, unit) if seeds == runs else f"{plural(seeds, unit)}, {runs} runs"


def actual(name: str, value: float | None) -> str:
    """Return what stands instead of a requirement: its name, and the value there is, if any."""
    if value is None:
        return "no run has ended" if name == "failed-share" else "no run has a value"
    if name == "best":
        return f"the best is {number(value)}"
    if name == "failed-share":
        return f"{100 * value:.3g} % failed"
    return f"{plural(int(value), 'run')} {name}"


def _nothing(settings: Settings, counts: Mapping[str, int]) -> str:
    if not counts["all"]:
        if settings.filter or settings.sweep:
            return "No run matches: there is nothing to analyse."
        return "The experiment holds no runs: there is nothing to analyse."
    if counts["failed"] == counts["all"]:
        return f"All {plural(counts['all'], 'run')} failed: there is nothing to analyse."
    if counts["running"] == counts["all"]:
        return f"All {plural(counts['all'], 'run')} are still running: come back later."
    return (
        f"None of {plural(counts['all'], 'run')} finished with a finite {code(settings.metric)}:"
        " there is nothing to analyse."
    )


def _influences(parameters: Sequence[Parameter]) -> str:
    if not parameters:
        return "No parameter varies."
    if all(item.verdict == "untested" for item in parameters):
        return "What matters cannot be told yet."
    parts = []
    matter = [item.name for item in parameters if item.verdict == "matters"]
    if matter:
        parts.append(f"{joined(matter)} {'matters' if len(matter) == 1 else 'matter'}")
    follow = [item for item in parameters if item.verdict == "follows"]
    if follow:
        parts.append(
            f"{joined([item.name for item in follow])}"
            f" {'adds' if len(follow) == 1 else 'add'} nothing beyond"
            f" {joined(sorted({name for item in follow for name in item.partners}))}"
        )
    parts += [f"{joined(group)} cannot be told apart" for group in inseparable(parameters)]
    quiet = [item.name for item in parameters if item.verdict == "not-shown"]
    if not parts:
        return "No parameter is shown to matter."
    if quiet:
        parts.append(f"no effect is shown of {joined(quiet)}")
    text = "; ".join(parts)
    return f"{text}."


def inseparable(parameters: Sequence[Parameter]) -> list[list[str]]:
    """Return the groups of parameters whose effects cannot be told apart."""
    groups: list[set[str]] = []
    for item in parameters:
        if item.verdict != "confounded":
            continue
        mine = {item.name, *item.partners}
        touching = [group for group in groups if group & mine]
        groups = [group for group in groups if not group & mine]
        groups.append(mine.union(*touching))
    return [sorted(group) for group in groups]


def sample_findings(
    settings: Settings, configurations: int, parameters: Sequence[Parameter]
) -> Iterator[Finding]:
    """Warn where there is too little to learn from."""
    if settings.selects_by_metric:
        yield Finding(
            "selected-by-metric",
            "notice",
            "The filter selects runs by a metric, so what matters is not told from what is left.",
        )
    elif configurations < FEWEST_CONFIGURATIONS:
        yield Finding(
            "too-few",
            "warn",
            f"{plural(configurations, 'configuration')} cannot show what matters: it takes"
            f" {FEWEST_CONFIGURATIONS} at least.",
        )
    elif configurations < max(WEAK_CONFIGURATIONS, WEAK_PER_PARAMETER * len(parameters)):
        yield Finding(
            "small-sample",
            "warn",
            f"{plural(configurations, 'configuration')} for"
            f" {plural(len(parameters), 'parameter')}: take importances as a hint,"
            f" {max(WEAK_CONFIGURATIONS, WEAK_PER_PARAMETER * len(parameters))} would tell more.",
        )


def pair_findings(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Warn of parameters that were never changed one by one."""
    for names in together([(pair.first, pair.second) for pair in pairs if pair.kind == "always"]):
        rest = "the other" if len(names) == 2 else "the others"  # noqa: PLR2004  # a pair
        yield Finding(
            "confounded",
            "warn",
            f"{joined(names, MOST_TOGETHER)} always change together: their effects cannot be told"
            f" apart. Change one and keep {rest}.",
        )
    nearly = [pair for pair in pairs if pair.kind == "nearly"]
    shown = [
        f"{code(pair.first)} and {code(pair.second)} ({pair.strength:.2f})"
        for pair in nearly[:MOST_NAMED]
    ]
    if nearly:
        more = f"; and {plural(len(nearly) - len(shown), 'pair')} more"
        yield Finding(
            "nearly-confounded",
            "warn",
            f"Nearly always changed together, with their association: {'; '.join(shown)}"
            f"{more * (len(nearly) > len(shown))}.",
        )


def together(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the groups that pairs form, in the order in which they begin."""
    groups: list[set[str]] = []
    for pair in pairs:
        touching = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if not group & set(pair)]
        groups.append(set(pair).union(*touching))
    return sorted(sorted(group) for group in groups)


def agreement_finding(agreement: Agreement | None) -> Iterator[Finding]:
    """Warn where the two importances disagree."""
    if agreement is None or agreement.tau is None:
        return
    if agreement.same_first or agreement.tau >= _AGREE:
        return
    yield Finding(
        "methods-disagree",
        "notice",
        "The two importances name different parameters first (Kendall's tau"
        f" {agreement.tau:.2f}): PED-ANOVA looks at the best tenth, the ranks at all runs.",
    )


def best_finding(best: Sequence[Configuration], settings: Settings) -> Iterator[Finding]:
    """Say how sure the first place is."""
    if not best or len(best) < 2:  # noqa: PLR2004  # a winner needs a loser
        return
    first, second = best[0], best[1]
    if len(first.values) == 1:
        yield Finding(
            "one-seed",
            "notice",
            "The best configuration ran with one seed. The best of many looks better than it is:"
            " repeat it before you rely on it.",
        )
        return
    smaller, larger = (second, first) if settings.direction == "higher" else (first, second)
    p_value = welch_p_value(larger.values, smaller.values)
    if p_value is not None and p_value > 0.05:  # noqa: PLR2004  # one in twenty
        yield Finding(
            "tie",
            "notice",
            "The first and the second configuration cannot be told apart by their seeds"
            f" (p = {p_value:.2g}).",
        )
