"""From signs to causes: a table of rules, each citing the signs that it rests on. Pure.

`shown`: a measurement that is the cause itself. `likely`: a setting or measurement that brings this
about, and the damage. `possible`: the damage, which has other causes too. What no rule explains
stays unexplained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlactions.diagnose.model import STRENGTHS, Cause, Level, Sign, Strength

Combination = tuple[str, ...]
"""Codes that must all be there; those behind a `!` must not."""

ILL = (
    "non-finite", "diverged", "never-moved", "at-constant", "held-out-at-constant", "oscillation",
    "late-start", "learned-little", "slow", "flat", "spike",
)  # fmt: skip
"""Signs of damage, which a setting alone is not."""

LITTLE = ("learned-little", "slow", "flat")

GRAVE = ("non-finite", "diverged", "never-moved", "at-constant")


@dataclass(frozen=True)
class Rule:
    """A cause, and the combinations of signs that show it, or make it likely or possible."""

    code: str
    level: Level
    title: str
    remedy: str
    shown: tuple[Combination, ...] = ()
    likely: tuple[Combination, ...] = ()
    possible: tuple[Combination, ...] = ()
    check: str = ""


def _each(code: str, damages: Sequence[str] = ILL) -> tuple[Combination, ...]:
    return tuple((code, damage) for damage in damages)


RULES: tuple[Rule, ...] = (
    Rule(
        "out-of-memory", "fail", "Memory ran out",
        "Take a smaller batch, accumulate gradients, or use mixed precision.",
        shown=(("memory",),),
    ),
    Rule(
        "non-finite-inputs", "fail", "The inputs hold NaN or infinite values",
        "Find them before training: a division by a deviation of 0, missing values, a log of 0.",
        shown=(("inputs-broken",),),
        possible=(("non-finite", "!inputs-finite"),),
        check="inputs",
    ),
    Rule(
        "dead-activations", "fail", "A layer's units are dead",
        "Look at its initialisation and bias, and at the learning rate that may have killed it.",
        shown=(("units-dead", "!inputs-broken"),),
        possible=(("never-moved", "!units-alive"), ("at-constant", "!units-alive")),
        check="activations",
    ),
    Rule(
        "labels-do-not-fit", "fail", "The labels do not belong to the inputs",
        "Check that inputs and labels are read, sorted and shuffled together.",
        shown=(("labels-unrelated", "!inputs-broken"),),
        possible=(("held-out-at-constant", "!labels-related"), ("at-constant", "!labels-related")),
        check="labels",
    ),
    Rule(
        "data-leak", "fail", "Held-out items are trained on",
        "Split before anything else, by item and by group, and never train on what you judge with.",
        shown=(("data-shared",),),
        check="overlap",
    ),
    Rule(
        "frozen-parameters", "fail", "The last layer is not trained",
        "Set `requires_grad` of the head, and give all its parameters to the optimiser.",
        # Fine-tuning freezes a head on purpose: it is the cause of damage, and no damage itself.
        shown=(
            *_each("head-frozen", ("never-moved", "at-constant", "one-batch-stuck")),
            *(("head-frozen", damage, "!base-frozen") for damage in LITTLE),
        ),
        possible=(("never-moved", "!head-trained"), *_each("head-frozen", LITTLE)),
        check="gradients",
    ),
    Rule(
        "warm-up-longer-than-run", "fail", "The warm-up outlasts the run",
        "Shorten it to a few per cent of the steps, and count both in the same unit.",
        shown=(("warm-up-beyond-run",),),
        likely=(
            ("warm-up-long", "learned-little"),
            ("rate-rising-to-end", "rate-below-configured"),
        ),
    ),
    Rule(
        "scheduler-unit", "fail", "The scheduler is stepped in the wrong unit",
        "Call `scheduler.step()` in the unit of its lengths: once an epoch, or with each batch.",
        shown=(("schedule-unit",),),
        possible=(("rate-gone-early", "learned-little"), ("rate-gone-early", "never-moved")),
    ),
    Rule(
        "learning-rate-too-high", "fail", "The learning rate is too high",
        "Divide it by ten until the loss falls steadily; a warm-up and clipping help.",
        likely=(
            *_each("rate-high"), *_each("probed-rate-high"),
            *_each("rate-upper", ("non-finite", "diverged", "oscillation", "flat", "spike")),
        ),
        possible=(
            ("diverged",), ("oscillation",), ("gradient-explodes", "non-finite"),
            ("non-finite", "!inputs-broken", "!one-batch-broken"), ("rate-high",), ("spike",),
            ("flat",),
        ),
        check="Train the same for a few hundred steps with a tenth of the learning rate.",
    ),
    Rule(
        "weight-decay-too-high", "fail", "Weight decay is too high",
        "Usual are 0.01 to 0.1 with AdamW and 1e-4 with SGD.",
        likely=(
            ("decay-high",), ("probed-decay-high",),
        ),
    ),
    Rule(
        "learning-rate-too-low", "warn", "The learning rate is too low",
        "Multiply it by ten until the loss stops falling steadily.",
        likely=(
            *_each("rate-low", ("never-moved", "learned-little", "at-constant")), ("rate-zero",),
        ),
        possible=(("rate-low",), ("rate-below-configured",)),
        check="Train the same for a few hundred steps with ten times the learning rate.",
    ),
    Rule(
        "trains-slowly", "warn", "It trains slowly: the rate is low, or the run is short",
        "Train for longer, or with three to ten times the learning rate.",
        likely=(
            ("slow", "!rate-low"),
            # Probes found nothing, so what is left is too small a step.
            *(
                (damage, "one-batch-learnt", "labels-related", "gradients-flow", "!units-dead")
                for damage in ("never-moved", "at-constant")
            ),
        ),
    ),
    Rule(
        "inputs-not-normalised", "warn", "The inputs are not normalised",
        "Subtract the training data's mean and divide by its deviation, in evaluation too.",
        shown=(("inputs-scale",),),
        check="inputs",
    ),
    Rule(
        "inputs-without-content", "fail", "All inputs are the same",
        "Check how the data is read and normalised.",
        shown=(("inputs-constant",),),
        check="inputs",
    ),
    Rule(
        "no-gradient", "fail", "No gradient reaches the weights",
        "Look for `detach`, `no_grad`, an integer operation or a saturated activation on the way.",
        shown=(("gradient-zero",), ("layers-without-gradient", "one-batch-stuck", "!units-dead")),
        likely=(("layers-without-gradient", "!units-dead"),),
        possible=(("never-moved", "!gradients-flow"),),
        check="gradients",
    ),
    Rule(
        "schedule-ends-early", "warn", "The learning rate is gone long before the run ends",
        "Make the schedule as long as the run.",
        shown=(("rate-gone-early", "!schedule-unit"),),
    ),
    Rule(
        "model-cannot-learn", "fail", "The model cannot learn one batch by heart",
        "Test it part by part on that batch: loss, labels' shape, layers, what is trained.",
        shown=(("one-batch-stuck", "!units-dead", "!head-frozen", "!labels-unrelated"),),
        check="one-batch",
    ),
    Rule(
        "over-fitting", "warn", "The model over-fits",
        "Stop earlier, regularise, augment, or train on more data.",
        shown=(("over-fitting", "!held-out-at-constant"),),
    ),
    Rule(
        "gradients-vanish", "warn", "Gradients vanish on their way to the first layers",
        "Use residual connections, normalisation, or another initialisation.",
        likely=_each("gradients-vanish", (*GRAVE, "late-start")),
        check="gradients",
    ),
    Rule(
        "warm-up-long", "warn", "Most of the run is warm-up",
        "Shorten it to a few per cent of the steps.",
        shown=(("warm-up-long", "!learned-little"),),
    ),
)  # fmt: skip

# What a probe that found nothing wrong rules out: the negative signs of the table above.
CLEARED = {
    "inputs": ("inputs-broken", "inputs-finite"),
    "activations": ("units-dead", "units-alive"),
    "gradients": ("head-frozen", "head-trained"),
}


def causes_of(signs: Iterable[Sign], measured: Iterable[str] = ()) -> tuple[Cause, ...]:
    """Return what the rules make of signs, the best founded first; `measured` names the probes."""
    codes = {sign.code for sign in signs}
    probed = set(measured)
    codes |= {
        cleared
        for probe, (found, cleared) in CLEARED.items()
        if probe in probed and found not in codes
    }
    if "gradients" in probed and "layers-without-gradient" not in codes:
        codes.add("gradients-flow")
    causes = [cause for rule in RULES if (cause := _cause(rule, codes)) is not None]
    ranked = sorted(causes, key=lambda cause: STRENGTHS.index(cause.strength))
    return tuple(ranked)


def _cause(rule: Rule, codes: set[str]) -> Cause | None:
    strengths: tuple[tuple[Strength, tuple[Combination, ...]], ...] = (
        ("shown", rule.shown),
        ("likely", rule.likely),
        ("possible", rule.possible),
    )
    for strength, combinations in strengths:
        holding = [c for c in combinations if _holds(c, codes)]
        if holding:
            cited = dict.fromkeys(code for c in holding for code in c if not code.startswith("!"))
            level: Level = rule.level if strength != "possible" else "notice"
            return Cause(
                rule.code, level, strength, rule.title, tuple(cited), rule.remedy, rule.check
            )
    return None


def _holds(combination: Combination, codes: set[str]) -> bool:
    return all(
        code.removeprefix("!") not in codes if code.startswith("!") else code in codes
        for code in combination
    )
