"""The report of an export, from its result.json alone: verdict, what failed, parity, the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.compare.messages import spans_of
from mlactions.compare.words import number, signed
from mlactions.export import tables
from mlactions.export.remedies import REMEDIES
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
    Listing,
    Paragraph,
    Report,
    Series,
    Span,
    Strong,
    Table,
    Untrusted,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_ITEMS = 50
SHOWN_OPERATORS = 12
MEBI = 1 << 20

Document = Mapping[str, Any]


def render(result: Document) -> Report:
    """Return the report of an export."""
    return Report(
        title="ONNX export",
        status=Status(result["status"]),
        verdict=spans_of(result["verdict"]),
        blocks=tuple(_blocks(result)),
    )


def _blocks(result: Document) -> Iterator[Block]:
    yield from _about(result)
    yield from _failure(result["failure"])
    yield from _findings(result["findings"])
    yield from tables.parity(result)
    yield from _task(result["task"])
    yield from _latency(result)
    if result["smoke"]:
        from mlactions.export.serving.report import smoke_blocks

        yield from smoke_blocks(result["smoke"])
    yield from _file(result)
    yield from _serving(result["serving"])
    yield from _checks(result["checks"])
    yield from tables.edges(result)
    yield from _notes(result)
    yield from tables.legend(result)


def _about(result: Document) -> Iterator[Block]:
    """Say in one line what was exported."""
    model, graph = result["model"], result["graph"]
    parts: list[Span] = []
    if model:
        parts += [Code(model["class"]), f", {size_of(model['parameters'], 'parameters')}, "]
    kind = result["precision"] if result["quantize"] == "none" else "int8"
    parts.append(f"{kind}, opset {graph['opset'] if graph else result['opset']}")
    if result["files"]:
        parts.append(f", {mebibytes(sum(file['bytes'] for file in result['files']))}")
    parts += [f", checked with onnxruntime {result['runtime']}"] if result["runtime"] else []
    used = ", ".join(one["name"] for one in result["providers"] if one["state"] == "used")
    parts += [" on ", Code(used)] if used else []
    parts.append(".")
    for file in result["files"][:1]:
        parts += [" The file is ", Code(file["path"]), " in the result's folder."]
    yield Paragraph(tuple(parts))


def size_of(count: int, noun: str) -> str:
    """Return a count as people say it: `85.2 M parameters`."""
    for scale, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= scale:
            return f"{count / scale:.3g} {letter} {noun}"
    return f"{count:,} {noun}"


def mebibytes(size: int) -> str:
    """Return a size with three digits and its unit."""
    if size < 1024:  # noqa: PLR2004  # one KiB
        return f"{size} bytes"
    if size < MEBI:
        return f"{size / 1024:.3g} KiB"
    return f"{size / MEBI:.3g} MiB" if size < 1000 * MEBI else f"{size / MEBI / 1024:.3g} GiB"


def _failure(failure: Document | None) -> Iterator[Block]:
    if failure is None:
        return
    yield Heading(2, "Where the export fails")
    place = f"{failure['file']}:{failure['line']}" if failure["line"] else failure["file"]
    where: tuple[Span, ...] = (" in ", Code(place)) if place else ()
    module: tuple[Span, ...] = (", module ", Code(failure["module"])) if failure["module"] else ()
    told = (Strong(failure["kind"]), *where, *module, ": ", Untrusted(failure["message"]))
    yield Paragraph(told)
    if failure["source"]:
        width = len(str(failure["source"][-1][0]))
        lines = [
            f"{'>' if line == failure['line'] else ' '} {line:>{width}}  {text}"
            for line, text in failure["source"]
        ]
        yield Listing("\n".join(lines))
    if failure["log_tail"]:
        yield Details("The end of the log", (Listing("\n".join(failure["log_tail"])),))


def _findings(findings: Sequence[Document]) -> Iterator[Block]:
    for level, title in (("fail", "What failed"), ("warn", "Warnings"), ("notice", "Notices")):
        items = [item for item in findings if item["level"] == level]
        if level == "fail" and [item["reason"] for item in items] == ["export-failed"]:
            continue
        if not items:
            continue
        shown = tuple(_item(item, items[:place]) for place, item in enumerate(items))
        blocks: tuple[Block, ...] = (Items(shown[:MAX_ITEMS]),)
        if level == "fail":
            yield Heading(2, title)
            yield from blocks
        else:
            yield Details(f"{title} ({len(items):,})", blocks, open=level == "warn")


def _item(item: Document, before: Sequence[Document]) -> Inline:
    """Return a finding; what to do about its reason is said once."""
    told = any(other["reason"] == item["reason"] for other in before)
    remedy = "" if told else REMEDIES.get(item["reason"], "")
    advice: tuple[Span, ...] = (" → ", *spans_of(remedy)) if remedy else ()
    return (Strong(item["reason"]), ": ", *spans_of(item["message"]), *advice)


def _task(task: Document | None) -> Iterator[Block]:
    if task is None:
        return
    yield Heading(2, "Task metric, the same samples")
    if task["change"] is None:
        yield Paragraph((Chip(Status(task["status"]), "not measured"), " ", task["message"]))
        return
    digits = 5
    row: tuple[Inline, ...] = (
        Chip(Status(task["status"]), _task_label(task)),
        Code(task["metric"]),
        number(task["baseline"], digits),
        number(task["candidate"], digits),
        signed(task["change"], digits),
        number(task["allowed"], digits),
        _interval(task, digits),
        f"{task['flips']:,} of {task['samples']:,}",
    )
    names = ("torch", "ONNX", "Change", "Allowed loss", "Interval", "Samples that differ")
    columns = (Column("Verdict"), Column("Metric"), *(Column(name, "right") for name in names))
    yield Table(columns, (row,))


def _task_label(task: Document) -> str:
    return "holds" if task["status"] == "pass" else str(task["label"]).replace("-", " ")


def _interval(task: Document, digits: int) -> str:
    if task["low"] is None or task["high"] is None:
        return "–"
    return f"{signed(task['low'], digits)} … {signed(task['high'], digits)}"


def _latency(result: Document) -> Iterator[Block]:
    rows = result["latency"]
    if not rows:
        return
    yield Heading(2, "Latency")
    faster = [row for row in rows if row["ratio"] >= 1]
    yield Paragraph(
        f"onnxruntime is faster than torch eager at {len(faster)} of"
        f" {plural(len(rows), 'batch size')}. Shown are the fastest passes; machine, threads and"
        " inputs are the same."
    )
    several = len({row["provider"] for row in rows}) > 1
    names = ("Batch", "torch eager", "onnxruntime", "torch / onnxruntime")
    columns = tuple(Column(name, "right") for name in names)
    cells: list[tuple[Inline, ...]] = []
    for row in rows:
        ratio = f"{row['ratio']:.2f}×"
        times = (milliseconds(row["eager_ms"]), milliseconds(row["runtime_ms"]))
        line: tuple[Inline, ...] = (f"{row['batch']:,}", *times, ratio)
        cells.append((Code(row["provider"]), *line) if several else line)
    yield Table((Column("Provider"), *columns) if several else columns, tuple(cells))
    if not several and len(rows) > 1:
        per_sample = [
            tuple(float(f"{row[name] / row['batch']:.3g}") for row in rows)
            for name in ("eager_ms", "runtime_ms")
        ]
        both = (Series("torch eager", per_sample[0]), Series("onnxruntime", per_sample[1]))
        batches = tuple(str(row["batch"]) for row in rows)
        yield Chart("Milliseconds per sample, by batch size", batches, both, "ms")


def milliseconds(value: float) -> str:
    """Return a time with three digits."""
    return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"  # noqa: PLR2004  # 3 digits


def _file(result: Document) -> Iterator[Block]:
    graph = result["graph"]
    if graph is None:
        return
    rows: list[tuple[Inline, ...]] = [
        (side, Code(value["name"]), Code(value["dtype"]), Code(_shape(value["shape"])))
        for side, values in (("input", graph["inputs"]), ("output", graph["outputs"]))
        for value in values
    ]
    columns = (Column(""), Column("Name"), Column("Type"), Column("Shape"))
    about = (
        f"{plural(graph['nodes'], 'node')}, {plural(graph['initializers'], 'tensor')} of"
        f" {mebibytes(graph['initializer_bytes'])}, opset {graph['opset']}, IR {graph['ir']}"
        f"{', made by ' + graph['producer'] if graph['producer'] else ''}."
    )
    blocks: list[Block] = [Paragraph(about), Table(columns, tuple(rows)), *_operators(graph)]
    if result["files"]:
        lines = [f"{file['sha256']}  {file['path']}" for file in result["files"]]
        blocks += [Paragraph(("Also in ", Code("SHA256SUMS"), ":")), Listing("\n".join(lines))]
    if graph["metadata"]:
        pairs = sorted(graph["metadata"].items())
        blocks.append(
            Table((Column("Metadata"), Column("")), tuple((Code(k), Code(v)) for k, v in pairs))
        )
    summary = f"The file: {plural(graph['nodes'], 'node')} of {len(graph['operators'])} operators"
    yield Details(summary, tuple(blocks))


def _shape(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if length is None else str(length) for length in shape)}]"


def _operators(graph: Document) -> Iterator[Block]:
    listed = [
        (f"{op['domain']}::" if op["domain"] else "") + f"{op['name']} × {op['count']:,}"
        for op in graph["operators"]
    ]
    spans: list[Span] = ["Operators: "]
    for text in listed:
        spans += [Code(text), " "]
    yield Paragraph(tuple(spans[:-1]))


def _serving(serving: Sequence[Document]) -> Iterator[Block]:
    if serving:
        items = tuple((Strong(one["target"]), ": ", *_codes(one["files"])) for one in serving)
        yield Details("Serving files", (Items(items),))


def _codes(names: Sequence[str]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for name in names:
        spans += [Code(name), " "]
    return tuple(spans[:-1])


def _checks(checks: Sequence[Document]) -> Iterator[Block]:
    if not checks:
        return
    bad = [check for check in checks if check["status"] != "pass"]
    good = [check for check in checks if check["status"] == "pass"]
    rows: tuple[tuple[Inline, ...], ...] = tuple(
        (Chip(Status(check["status"]), check["status"]), check["name"], spans_of(check["message"]))
        for check in [*bad, *good]
    )
    columns = (Column("Verdict"), Column("Check"), Column("Found"))
    summary = f"Checks of the file: {len(good)} of {len(checks)} pass"
    yield Details(summary, (Table(columns, rows),))


def _notes(result: Document) -> Iterator[Block]:
    items: list[Inline] = [(f"{name}: ", Code(text)) for name, text in result["provenance"].items()]
    items += [Untrusted(note) for note in result["notes"]]
    for one in result["providers"]:
        peak = one["peak_memory_bytes"]
        used = f", peak memory {mebibytes(peak)}" if peak else ""
        detail = f": {one['detail']}" if one["detail"] else ""
        items.append((Code(one["name"]), f" {one['state']}{used}{detail}"))
    if result["latency_note"]:
        items.append(f"No latency: {result['latency_note']}.")
    if items:
        yield Details("Under what conditions", (Items(tuple(items)),))
