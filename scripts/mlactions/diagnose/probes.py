"""What the probes' numbers show, each as a sign. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mlactions.diagnose.config import decay_signs, rate_signs
from mlactions.diagnose.model import Constant, Number, Sign
from mlactions.diagnose.words import listed, number
from mlactions.text import plural

PROBES: Mapping[str, str] = {
    "one-batch": "train on 32 items alone, which whatever learns at all learns by heart",
    "gradients": "one backward pass: the gradient of each layer, and what is frozen",
    "labels": "do inputs tell labels: nearest neighbours, and training on shuffled labels",
    "constant": "what a predictor that always says the same gets",
    "activations": "units of each ReLU and its kin that are 0 for every item",
    "groups": "the optimiser's parameter groups, and what they decay",
    "inputs": "the scale of what the model sees, and values that are no numbers",
    "overlap": "held-out items that are among the training items",
}
"""What each probe does, in the order they run."""

DEAD = 0.9
"""A layer with this share of dead units lets next to nothing through."""

SOME = 0.95
LEARNT = 0.5
"""A batch is learnt by heart when its loss fell below this share of where it began."""

SCALE = 10.0
SMALL = 0.01
SIGMAS = 4.0
MIN_SHARED = 0.01
VANISHING = 1e-6
MOST_LAYERS = 12

Answer = Mapping[str, Any]


def probe_signs(answers: Mapping[str, Answer]) -> Iterator[Sign]:
    """Yield what the probes that measured something show, and name those that could not."""
    failed: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if answer["outcome"] == "measured":
            yield from _SIGNS[name](answer)
        elif answer["outcome"] == "failed":
            failed.setdefault(str(answer["why"]), []).append(name)
    if failed:
        why, names = next(iter(failed.items()))
        told = f"{plural(sum(map(len, failed.values())), 'probe')} failed: {listed(names)}: {why}"
        yield Sign("probes-failed", "warn", told)


def told(name: str, answer: Answer) -> str:
    """Return a probe's numbers in a line."""
    if answer["outcome"] != "measured":
        return str(answer["why"])[:300]
    return _TOLD[name](answer)


def constant_of(answers: Mapping[str, Answer]) -> Constant | None:
    """Return the constant predictor's loss as it was probed; for classes only."""
    found = answers.get("constant")
    if not found or found["outcome"] != "measured" or found["kind"] != "classes":
        return None
    told = f"probed: {plural(found['classes'], 'class').replace('classs', 'classes')}"
    return Constant(found["loss"], found["accuracy"], told)


def value_of(item: Any) -> float:
    """Return a number, also one that JSON has no word for."""
    return float(item) if item is not None else math.nan


def _one_batch(answer: Answer) -> Iterator[Sign]:
    first, last = value_of(answer["first"]), value_of(answer["last"])
    steps, values = answer["steps"], {"first": _kept(first), "last": _kept(last)}
    if not math.isfinite(last):
        told = f"One batch trained alone: its loss is NaN or infinite at step {steps}."
        yield Sign("one-batch-broken", "fail", told, "", values)
    elif last > LEARNT * first and answer.get("falling") and last < SOME * first:
        told = (
            f"One batch alone is learnt slowly: its loss fell from {number(first)} to"
            f" {number(last)} in {steps} steps, and falls still."
        )
        yield Sign("one-batch-slow", "notice", told, "", values)
    elif last > LEARNT * first:
        told = (
            f"One batch trained alone for {steps} steps: its loss went from"
            f" {number(first)} to {number(last)} only, so this model learns nothing by heart."
        )
        yield Sign("one-batch-stuck", "warn", told, "", values)
    else:
        told = f"One batch alone is learnt by heart: {number(first)} to {number(last)}."
        yield Sign("one-batch-learnt", "notice", told, "", values)


def _kept(value: float) -> Number:
    return value if math.isfinite(value) else str(value)


def _gradients(answer: Answer) -> Iterator[Sign]:
    yield from _frozen(answer)
    trained = [x for x in answer["layers"] if x["trainable"] and x["gradient"] is not None]
    norms = {x["name"]: value_of(x["gradient"]) for x in trained}
    later = {x["name"] for x in trained if "after" in x}
    finite = [value for value in norms.values() if math.isfinite(value)]
    zero = [name for name, value in norms.items() if value == 0]
    weights_zero = [name for name in zero if name.endswith("weight")]
    if weights_zero and len(finite) == len(norms):
        told = f"No gradient reaches {listed(weights_zero)}."
        yield Sign("layers-without-gradient", "warn", told, "", {"layers": len(weights_zero)})
    # A bias before a normalisation has a gradient of next to 0 by construction.
    first = {name: value for name, value in norms.items() if name not in later}
    weights = [v for name, v in first.items() if name.endswith("weight")] or list(first.values())
    positive = [value for value in weights if math.isfinite(value) and value > 0]
    if positive and min(positive) < VANISHING * max(positive) and not zero:
        told = f"Gradients differ by layer from {min(positive):.2g} to {max(positive):.2g}."
        yield Sign("gradients-vanish", "warn", told, "", {"low": min(positive)})


def _frozen(answer: Answer) -> Iterator[Sign]:
    """Say what is not trained: that the last layer is may be meant, so it is no fault by itself."""
    last, frozen = answer["last"][-2:], answer["frozen"]
    if _is_still(last):
        share = answer["frozen_parameters"] / max(answer["parameters"], 1)
        forgotten = last[-1]["trainable"]
        why = "is not in the optimiser" if forgotten else "is frozen"
        told = (
            f"The last layer, {listed([x['name'] for x in last])}, {why}: is that meant?"
            f" {share:.0%} of all parameters are not trained."
        )
        values: dict[str, Number] = {"frozen": frozen, "share": round(share, 4)}
        yield Sign("head-frozen", "warn" if forgotten else "notice", told, "", values)
        if _is_still(answer.get("first", ())):
            told = "The first layer is not trained either, as where adapters are."
            yield Sign("base-frozen", "notice", told)
    elif frozen:
        told = f"{plural(frozen, 'tensor')} of {answer['count']:,} are not trained."
        yield Sign("some-frozen", "notice", told, "", {"frozen": frozen})


def _is_still(layers: Sequence[Mapping[str, Any]]) -> bool:
    return bool(layers) and not any(x["trainable"] and x["optimised"] for x in layers)


def _labels(answer: Answer) -> Iterator[Sign]:
    items, chance = answer["items"], max(answer["chance"], answer["majority"])
    spread = math.sqrt(max(chance * (1 - chance), 1e-9) / items)
    best = max(answer["true"], answer["neighbours"])
    values: dict[str, Number] = {
        name: answer[name] for name in ("true", "shuffled", "neighbours", "chance", "items")
    }
    if best <= chance + SIGMAS * spread:
        told = (
            f"Inputs tell nothing of their labels: on {items} held-back training items the nearest"
            f" neighbour is right for {answer['neighbours']:.1%}, the trained model for"
            f" {answer['true']:.1%}, and guessing for {chance:.1%}."
        )
        yield Sign("labels-unrelated", "fail", told, "", values)
    else:
        told = (
            f"Inputs tell their labels: {best:.1%} of {items} held-back items are right, with"
            f" shuffled labels {answer['shuffled']:.1%}."
        )
        yield Sign("labels-related", "notice", told, "", values)


def _constant(answer: Answer) -> Iterator[Sign]:
    score = f", accuracy {answer['accuracy']:.1%}" if answer["kind"] == "classes" else ""
    told = f"A constant predictor gets a loss of {number(answer['loss'])}{score}."
    yield Sign("constant-known", "notice", told, "", {"loss": answer["loss"]})


def _activations(answer: Answer) -> Iterator[Sign]:
    dead = [x for x in answer["layers"] if x["units"] and x["dead"] / x["units"] >= DEAD]
    if dead:
        worst = max(dead, key=lambda item: item["dead"] / item["units"])
        told = (
            f"{worst['dead']} of {worst['units']} units of `{worst['name']}` are 0 for every item"
            f"{f', and so in {len(dead) - 1} more' if len(dead) > 1 else ''}: nothing gets through."
        )
        values: dict[str, Number] = {"dead": worst["dead"], "units": worst["units"]}
        yield Sign("units-dead", "fail", told, worst["name"], values)


def _groups(answer: Answer) -> Iterator[Sign]:
    optimizer = answer["optimizer"].lower()
    groups: Sequence[Answer] = answer["groups"]
    spared = sorted({name for group in groups for name in group["decayed_norms_and_biases"]})
    if spared:
        told = f"Weight decay also pulls at {plural(len(spared), 'norm and bias tensor')}."
        yield Sign("decay-on-norms", "notice", told, "", {"tensors": len(spared)})
    highest = max((group["weight_decay"] for group in groups), default=0.0)
    called = f"The weight decay of {answer['optimizer']}"
    yield from _renamed(decay_signs(highest, optimizer, called), "probed-")
    rate = max((group["lr"] for group in groups), default=0.0)
    found = rate_signs(rate, optimizer, f"The first learning rate of {answer['optimizer']}")
    yield from _renamed((sign for sign in found if sign.code == "rate-high"), "probed-")


def _renamed(signs: Iterator[Sign], prefix: str) -> Iterator[Sign]:
    for sign in signs:
        yield Sign(prefix + sign.code, sign.level, sign.message, sign.metric, sign.values)


def _inputs(answer: Answer) -> Iterator[Sign]:
    if answer["broken"] > 0:
        told = f"{answer['broken']:.2%} of the input values are NaN or infinite."
        yield Sign("inputs-broken", "fail", told, "", {"share": answer["broken"]})
    if answer["std"] is None:
        return
    mean, std = answer["mean"], answer["std"]
    about: dict[str, Number] = {name: answer[name] for name in ("mean", "std", "low", "high")}
    told = (
        f"Inputs go from {number(answer['low'])} to {number(answer['high'])}, with mean"
        f" {number(mean)} and standard deviation {number(std)}."
    )
    off = abs(mean) > SCALE or std > SCALE or 0 < std < SMALL
    if off and answer.get("normalised_by"):
        told = f"{told} The model normalises them itself: {answer['normalised_by']} comes first."
        yield Sign("inputs-scaled-inside", "notice", told, "", about)
    elif off:
        yield Sign("inputs-scale", "warn", told, "", about)
    elif std == 0:
        yield Sign("inputs-constant", "fail", "All input values are the same.", "", about)


def _overlap(answer: Answer) -> Iterator[Sign]:
    shared, held = answer["shared"], answer["held_out"]
    if held and shared / held >= MIN_SHARED:
        told = (
            f"{shared:,} of {held:,} held-out items ({shared / held:.0%}) are training items too."
        )
        values: dict[str, Number] = {"shared": shared, "held_out": held}
        yield Sign("data-shared", "fail", told, "", values)
    elif shared:
        told = f"{shared:,} of {held:,} held-out items are training items too."
        yield Sign("some-data-shared", "notice", told, "", {"shared": shared})


_SIGNS: Mapping[str, Callable[[Answer], Iterator[Sign]]] = {
    "one-batch": _one_batch,
    "gradients": _gradients,
    "labels": _labels,
    "constant": _constant,
    "activations": _activations,
    "groups": _groups,
    "inputs": _inputs,
    "overlap": _overlap,
}


def _told_gradients(answer: Answer) -> str:
    known = [value_of(x["gradient"]) for x in answer["layers"] if x["gradient"] is not None]
    finite = [value for value in known if math.isfinite(value)]
    span = f"norms from {min(finite):.3g} to {max(finite):.3g}" if finite else "no finite norm"
    return f"{span} over {answer['count']:,} tensors, {answer['frozen']:,} of them not trained"


def _told_activations(answer: Answer) -> str:
    layers = [f"{x['name']} {x['dead']} of {x['units']}" for x in answer["layers"][:MOST_LAYERS]]
    return f"dead units: {', '.join(layers)}"


def _told_groups(answer: Answer) -> str:
    groups = [
        f"{x['parameters']:,} parameters with lr {number(x['lr'])} and weight decay"
        f" {number(x['weight_decay'])}"
        for x in answer["groups"][:MOST_LAYERS]
    ]
    return f"{answer['optimizer']}: {'; '.join(groups)}"


def _told_labels(answer: Answer) -> str:
    return (
        f"nearest neighbour right for {answer['neighbours']:.1%}, a short training for"
        f" {answer['true']:.1%}, one on shuffled labels for {answer['shuffled']:.1%}"
    )


_TOLD: Mapping[str, Callable[[Answer], str]] = {
    "one-batch": lambda x: (
        f"loss {number(value_of(x['first']))} to {number(value_of(x['last']))}"
        f" in {x['steps']} steps"
    ),
    "gradients": _told_gradients,
    "labels": _told_labels,
    "constant": lambda x: f"loss {number(x['loss'])}",
    "activations": _told_activations,
    "groups": _told_groups,
    "inputs": lambda x: (
        f"mean {number(x['mean'])}, deviation {number(x['std'])}, {x['broken']:.2%} no numbers"
    ),
    "overlap": lambda x: f"{x['shared']:,} of {x['held_out']:,} held-out items",
}
