"""The report, built from `result.json` alone: causes, what they rest on, curves, what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.between import by_step
from mlactions.compare.messages import spans_of
from mlactions.diagnose.probes import PROBES, told
from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Link,
    Listing,
    Paragraph,
    Report,
    Strong,
    Table,
    Untrusted,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_ROWS = 100
MAX_VALUE = 80
MAX_LAYERS = 40

Document = Mapping[str, Any]

_STATUS = {"fail": Status.FAIL, "warn": Status.WARN, "notice": Status.SKIPPED}
_LEVELS = {"fail": "harm", "warn": "doubtful", "notice": "noted"}
_STRENGTHS = {
    "shown": Chip(Status.FAIL, "shown"),
    "likely": Chip(Status.WARN, "likely"),
    "possible": Chip(Status.SKIPPED, "possible"),
}
_KINDS = {"mlflow": "MLflow run", "log": "log", "train": "bundle of train"}


def render(result: Document) -> Report:
    """Build the report of a diagnosis."""
    return Report(
        title="Diagnosis of a training run",
        status=Status(result["status"]),
        verdict=spans_of(result["verdict"]),
        blocks=tuple(_blocks(result)),
    )


def _blocks(result: Document) -> Iterator[Block]:
    yield from _causes(result)
    yield from _signs(result)
    yield from _curves(result)
    yield from _against(result["against"])
    yield from _probes(result)
    yield from _settings(result["settings"])
    yield _origin(result)


def _causes(result: Document) -> Iterator[Block]:
    causes = result["causes"]
    if not causes:
        return
    yield Heading(2, "Causes, the best founded first")
    signs = {sign["code"]: sign["message"] for sign in result["signs"]}
    columns = (Column("By rule"), Column("Cause"), Column("It rests on"), Column("What to do"))
    founded = [cause for cause in causes if cause["strength"] != "possible"]
    possible = [cause for cause in causes if cause["strength"] == "possible"]
    if founded:
        yield Table(columns, tuple(_cause(cause, signs) for cause in founded))
    if possible:
        table = Table(columns, tuple(_cause(cause, signs) for cause in possible))
        summary = plural(len(possible), "more possible cause")
        yield Details(summary, (table,)) if founded else table


def _cause(cause: Document, signs: Mapping[str, str]) -> tuple[Inline, ...]:
    cited = [part for code in cause["evidence"] for part in (" ", *spans_of(signs[code]))][1:]
    remedy = spans_of(cause["remedy"])
    if cause["strength"] != "shown" and cause["check"]:
        check = (
            (" To be sure: the probe ", Code(cause["check"]), ".")
            if cause["check"] in PROBES
            else (f" To be sure: {cause['check'][:1].lower()}{cause['check'][1:]}",)
        )
        remedy = (*remedy, *check)
    return _STRENGTHS[cause["strength"]], Strong(cause["title"]), tuple(cited), remedy


def _signs(result: Document) -> Iterator[Block]:
    founded = [cause for cause in result["causes"] if cause["strength"] != "possible"]
    cited = {code for cause in founded or result["causes"] for code in cause["evidence"]}
    rest = [sign for sign in result["signs"] if sign["code"] not in cited]
    grave = [sign for sign in rest if sign["level"] != "notice"]
    if grave:
        yield Heading(2, "Also seen" if cited else "What was seen")
        yield _sign_table(grave)
    noted = [sign for sign in rest if sign["level"] == "notice"]
    if noted:
        verb = "was" if len(noted) == 1 else "were"
        summary = f"{plural(len(noted), 'more thing')} {verb} noted"
        yield Details(summary, (_sign_table(noted),))


def _sign_table(signs: Sequence[Document]) -> Table:
    rows = tuple(
        (Chip(_STATUS[sign["level"]], _LEVELS[sign["level"]]), spans_of(sign["message"]))
        for sign in signs[:MAX_ROWS]
    )
    return Table((Column("Weight"), Column("What was measured")), rows)


def _curves(result: Document) -> Iterator[Block]:
    by_name = {
        item["metric"]: item
        for item in result["series"]
        if any(value is not None for value in item["values"])
    }
    roles, constant = result["roles"], result["constant"]
    losses = [by_name[roles[r]] for r in ("loss", "held_out_loss") if roles[r] in by_name]
    scores = [by_name[roles[r]] for r in ("score", "held_out_score") if roles[r] in by_name]
    drawn = [item for item in (losses, scores) if any(len(one["steps"]) > 1 for one in item)]
    if drawn:
        yield Heading(2, "Curves")
    for items in drawn:
        level = constant["loss"] if constant and items is losses else None
        yield _chart(items, level, decades=items is losses)
    for role in ("rate", "gradient"):
        item = by_name.get(roles[role])
        if item and len(item["steps"]) > 1:
            yield _chart([item], None, decades=True)


def _chart(items: Sequence[Document], constant: float | None, *, decades: bool) -> Chart:
    """Draw metrics over the steps of all."""
    curves: list[tuple[str, dict[int, float | None]]] = [
        (item["metric"], dict(zip(item["steps"], item["values"], strict=True))) for item in items
    ]
    if constant is not None:
        steps = {step for _, values in curves for step in values}
        curves.append(("constant predictor", dict.fromkeys(steps, constant)))
    title = " and ".join(item["metric"] for item in items)
    return by_step(f"{title} by step", curves, decades=decades)


def _against(against: Document) -> Iterator[Block]:
    if against["why"]:
        yield Heading(2, "Against the last good run")
        yield Paragraph((f"There is none: {against['why']}".replace("`", ""), "."))
    if not against["run"]:
        return
    yield Heading(2, "Against the run that was good")
    known = (" ", Untrusted(f"({against['name']})")) if against["name"] else ()
    yield Paragraph(("It is held against ", Code(against["run"][:12]), *known, "."))
    changes = against["changes"]
    if not changes:
        yield Paragraph(("Nothing that was logged differs from ", Code(against["run"][:12]), "."))
        return
    columns = (Column("What"), Column("Here"), Column("There"), Column("Note", optional=True))
    rows = tuple(
        (
            (Code(change["name"]), "" if change["kind"] == "setting" else f" ({change['kind']})"),
            _value(change["here"]),
            _value(change["there"]),
            change["note"],
        )
        for change in changes[:MAX_ROWS]
    )
    yield Table(columns, rows)
    if len(changes) > MAX_ROWS:
        yield Paragraph(f"{len(changes) - MAX_ROWS:,} more are in result.json.")
    for change in changes:
        if change["details"]:
            files = tuple(Code(name) for name in change["details"])
            diff = (Listing(change["diff"], "diff"),) if change["diff"] else ()
            yield Details("Files that changed in between", (Items(files), *diff))


def _value(text: str) -> Inline:
    text = " ".join(text.split())
    if not text:
        return "–"
    return Code(text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…")


def _probes(result: Document) -> Iterator[Block]:
    done = result["probes"]
    asked = [cause["check"] for cause in result["causes"] if cause["check"] in PROBES]
    missing = [name for name in dict.fromkeys(asked) if name not in done]
    if missing and result["diagnosis"] == "unknown":
        yield Heading(2, "Probes that would tell")
        yield Items(tuple((Code(name), f": {PROBES[name]}") for name in missing))
    if done:
        columns = (Column("Probe"), Column("Ended"), Column("What it measured"))
        rows = tuple(
            (Code(name), answer["outcome"].replace("-", " "), Untrusted(told(name, answer)))
            for name, answer in done.items()
        )
        table = Table(columns, rows)
        yield Details(f"{plural(len(done), 'probe')} that ran", (table, *_layers(done)))


def _layers(done: Mapping[str, Document]) -> Iterator[Block]:
    """Show the gradient of each layer, the first and the last where there are many."""
    answer = done.get("gradients", {})
    layers = answer.get("layers", [])
    if not layers:
        return
    half = MAX_LAYERS // 2
    shown = layers if len(layers) <= MAX_LAYERS else [*layers[:half], *layers[-half:]]
    columns = (Column("Tensor"), Column("Gradient", "right"), Column("Weight", "right"))
    rows = tuple(
        (
            Code(layer["name"]),
            "not trained" if layer["gradient"] is None else _norm(layer["gradient"]),
            _norm(layer["weight"]),
        )
        for layer in shown
    )
    yield Table(columns, rows)
    if len(layers) > len(shown):
        yield Paragraph(f"{len(layers) - len(shown):,} more are in result.json.")


def _norm(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _settings(settings: Mapping[str, str]) -> Iterator[Block]:
    if settings:
        rows = tuple((Code(key), _value(value)) for key, value in settings.items())
        table = Table((Column("Setting"), Column("Value")), rows[:MAX_ROWS])
        yield Details(f"{plural(len(settings), 'setting')} of the run", (table,))


def _origin(result: Document) -> Paragraph:
    source = result["source"]
    name: Any = Link(source["name"], source["url"]) if source["url"] else Code(source["name"])
    ended = f", which ended as {source['status']}" if source["status"] else ""
    return Paragraph((f"Read from the {_KINDS[source['kind']]} ", name, f"{ended}."))
