"""The report, built from `result.json` alone: what went wrong, the figures, the rest folded."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.compare.messages import spans_of
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
from mlactions.train.amounts import duration, size

Row = Mapping[str, Any]

_TITLES = {"ready": "Preflight of a training", "not-ready": "Preflight of a training"}
_STATUS = {
    "pass": Status.PASS,
    "warn": Status.WARN,
    "fail": Status.FAIL,
    "skipped": Status.SKIPPED,
}
_ENDED = {
    "itself": "ended by itself",
    "soft-limit": "asked to end by the soft limit",
    "signal": "asked to end by a signal",
    "stalled": "ended because it stalled",
}
_CLASSES = {
    "gpu-out-of-memory": "GPU out of memory",
    "host-out-of-memory": "host out of memory",
    "nan-loss": "NaN loss",
    "nccl": "communication between processes (NCCL or gloo)",
    "data-missing": "data missing",
    "import-error": "import error",
    "config-changed": "another configuration",
    "stalled": "stalled",
    "pre-empted": "pre-empted",
    "time-limit": "soft time limit",
    "disk-full": "disk full",
    "cancelled": "cancelled",
    "unknown": "unknown",
}


def render(result: Mapping[str, Any]) -> Report:
    """Build the report of a training, or of its preflight alone."""
    return Report(
        title=_TITLES.get(result["state"], "Training"),
        status=Status(result["status"]),
        verdict=spans_of(result["verdict"]),
        blocks=tuple(_blocks(result)),
    )


def _blocks(result: Row) -> Iterator[Block]:
    yield from _failure(result)
    yield from _figures(result)
    yield from _gpus(result["telemetry"])
    yield from _charts(result)
    yield from _preflight(result)
    yield from _logs(result)
    if result["notes"]:
        yield Details("Notes", (Items(tuple(result["notes"])),))
    yield _origin(result)


def _failure(result: Row) -> Iterator[Block]:
    failure = result["failure"]
    if failure is None:
        return
    evidence = failure["evidence"]
    told: list[Span] = [Strong(_CLASSES[failure["class"]]), ": "]
    if failure["line"]:
        told += [Code(evidence), f" (train.log:{failure['line']})"]
    else:
        told.append(Untrusted(evidence))
    if failure["file"]:
        told += [", in ", Code(f"{failure['file']}:{failure['file_line']}")]
    yield Paragraph(tuple(told))
    if not result["attempt"]["requeue"]:
        yield Items(tuple(spans_of(text) for text in failure["advice"]))


def _figures(result: Row) -> Iterator[Block]:
    run = result["run"]
    if run is None:
        return
    rows = [("Time", duration(run["seconds"]))]
    rows += _reached(result["progress"], result["checkpoint"])
    if run["peak_memory_bytes"] is not None:
        rows.append(("Memory of all its processes, at most", size(run["peak_memory_bytes"])))
    rows += _money(result["cost"])
    yield Table((Column("What"), Column("Value", "right")), tuple(rows))


def _reached(progress: Row, checkpoints: Row) -> Iterator[tuple[str, str]]:
    if progress["step"] is not None:
        yield "Step", f"{progress['step']:,}"
    if progress["loss"] is not None:
        loss = progress["loss"]
        yield "Loss", loss if isinstance(loss, str) else f"{loss:.6g}"
    for name in ("resumed", "latest", "best"):
        found = checkpoints[name]
        if found is not None:
            title = "Resumed from" if name == "resumed" else f"{name.capitalize()} checkpoint"
            yield title, _checkpoint(found)


def _checkpoint(found: Row) -> str:
    metric = found["metric"]
    if metric is None or metric["value"] is None:
        return f"step {found['step']:,}"
    return f"step {found['step']:,}, {metric['name']} {metric['value']:.6g}"


def _money(cost: Row) -> Iterator[tuple[str, str]]:
    if not cost["gpus"]:
        return
    yield "GPU hours", f"{cost['gpu_hours']:.3f} ({plural(cost['gpus'], 'GPU')})"
    if cost["energy_kwh"] is not None:
        yield "Energy of the GPUs", f"{cost['energy_kwh']:.3g} kWh"
    if cost["amount"] is not None:
        price = cost["price_per_gpu_hour"]
        yield "Price", f"{cost['amount']:.2f} (at {price:g} per GPU hour)"


def _gpus(telemetry: Row | None) -> Iterator[Block]:
    if telemetry is None or not telemetry["gpus"]:
        return
    columns = (
        Column("GPU"),
        Column("Utilisation, mean", "right"),
        Column("Memory, at most", "right"),
        Column("Power, mean", "right"),
    )
    rows = tuple(
        (
            f"{gpu['index']}: {gpu['name']}",
            _mean(gpu["utilization_percent"], "%"),
            "–" if gpu["memory_bytes"] is None else size(gpu["memory_bytes"]["max"]),
            _mean(gpu["power_watts"], "W"),
        )
        for gpu in telemetry["gpus"]
    )
    yield Table(columns, rows)


def _mean(spread: Row | None, unit: str) -> str:
    return "–" if spread is None else f"{spread['mean']:.0f} {unit}"


def _charts(result: Row) -> Iterator[Block]:
    history = [one for one in result["progress"]["history"] if isinstance(one["loss"], int | float)]
    if len(history) > 1:
        shown = history[:: max(1, -(-len(history) // 40))]
        labels = tuple(_label(one) for one in shown)
        series = (_series("loss", [one["loss"] for one in shown]),)
        yield Chart("Progress by step", labels, series, "loss", "line")
    telemetry = result["telemetry"]
    if telemetry is None or len(telemetry["chart"]["seconds"]) < 3:  # noqa: PLR2004  # no line
        return
    chart = telemetry["chart"]
    lines = tuple(_series(one["name"], one["values"]) for one in chart["series"])
    title, unit = ("GPU utilisation", "%") if telemetry["gpus"] else ("Processor", "% of one core")
    yield Chart(title, tuple(map(_clock, chart["seconds"])), lines, unit, "line")


def _label(point: Row) -> str:
    return _clock(point["seconds"]) if point["step"] is None else str(point["step"])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _series(name: str, values: Sequence[float | None]) -> Series:
    return Series(name, tuple(values))


def _preflight(result: Row) -> Iterator[Block]:
    checks = result["preflight"]
    if not checks:
        return
    order = ("fail", "warn", "pass", "skipped")
    rows = sorted(checks, key=lambda check: order.index(check["status"]))
    advised = any(check["advice"] for check in rows)
    columns = (Column("Check"), Column("Found"), *((Column("What to do"),) if advised else ()))
    cells = tuple(_check(check, advised=advised) for check in rows)
    wrong = [check for check in rows if check["status"] in {"fail", "warn"}]
    if result["run"] is None or wrong:
        yield Heading(2, "Preflight")
        shown = cells if result["run"] is None else cells[: len(wrong)]
        yield Table(columns, shown)
        if len(shown) == len(cells):
            return
    held = sum(check["status"] == "pass" for check in rows)
    title = f"Preflight: {plural(held, 'check')} passed" if not wrong else "The whole preflight"
    yield Details(title, (Table(columns, cells),))


def _check(check: Row, *, advised: bool) -> tuple[Inline, ...]:
    cells: tuple[Inline, ...] = (
        (Chip(_STATUS[check["status"]], check["name"])),
        Untrusted(check["found"]),
    )
    return (*cells, spans_of(check["advice"] or "–")) if advised else cells


def _logs(result: Row) -> Iterator[Block]:
    run = result["run"]
    if run is None:
        return
    if run["stacks"]:
        title = "Where it hung (innermost frame first)"
        yield Details(title, (Listing("\n".join(run["stacks"])),), open=True)
    if run["log_tail"]:
        opened = result["state"] == "failed" and not run["stacks"]
        yield Details("End of the log", (Listing("\n".join(run["log_tail"])),), open=opened)


def _origin(result: Row) -> Block:
    command, machine, attempt = result["command"], result["machine"], result["attempt"]
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "no GPU"
    torch = machine["torch"]
    items: list[Inline] = []
    if command["arguments"]:
        items.append(("Command: ", Code(shlex.join(command["arguments"]))))
    items.append(f"Machine: {machine['processor'] or 'unknown processor'}, {gpus}")
    if torch is not None:
        cuda = f" for CUDA {torch['cuda']}" if torch["cuda"] else " for the CPU"
        items.append(f"Python {machine['python']}, torch {torch['version']}{cuda}")
    if result["run"] is not None:
        items.append(f"Attempt {attempt['number']} of {attempt['maximum']}")
        items.append(("Checkpoints: ", Code(result["checkpoint"]["folder"])))
        items.append(_ended(result["run"]))
    telemetry = result["telemetry"]
    if telemetry is not None:
        share = 100 * telemetry["cost_share"]
        told = f"Telemetry: {plural(telemetry['samples'], 'sample')}, which took {share:.2f} %"
        items.append(f"{told} of one processor core")
    return Details("Where this comes from", (Items(tuple(items)),))


def _ended(run: Row) -> str:
    how = f"signal {run['signal']}" if run["signal"] else f"exit code {run['exit_code']}"
    return f"Started {run['started']}, {_ENDED[run['ended_by']]}, with {how}"
