"""The smoke test in the report: what was asked, how fast it was answered, how to ask yourself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from mlactions.export.serving.torchserve import ARCHIVED
from mlactions.export.words import brief
from mlactions.publish import Fact
from mlactions.report import (
    Block,
    Chart,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Series,
    Strong,
    Table,
    Untrusted,
)
from mlactions.settings import Status

SmokeDocument = Mapping[str, Any]

_MEBIBYTE = 1 << 20


def smoke_blocks(smokes: Sequence[SmokeDocument]) -> list[Block]:
    """Return the section of the report; nothing where no server was tried."""
    if not smokes:
        return []
    blocks: list[Block] = [Heading(2, "Servers"), _servers(smokes)]
    blocks += [_failure(smoke) for smoke in smokes if smoke["status"] == Status.FAIL]
    loaded = [smoke for smoke in smokes if smoke["load"]]
    if loaded:
        blocks += [_load(loaded), *_chart(loaded)]
    blocks += _notes(smokes)
    if loaded:
        blocks.append(_examples(loaded))
    return blocks


def _servers(smokes: Sequence[SmokeDocument]) -> Table:
    columns = (
        Column("Server"),
        Column("Result"),
        Column("Golden requests", "right"),
        Column("Largest error", "right"),
        Column("Tolerance", "right"),
        Column("Ready after", "right", optional=True),
        Column("Peak memory", "right", optional=True),
    )
    return Table(columns, tuple(_server(smoke) for smoke in smokes))


def _server(smoke: SmokeDocument) -> tuple[Inline, ...]:
    rows = [row for asked in smoke["golden"] for row in asked["rows"]]
    worst = max(rows, key=_share, default=None)
    ready, memory = smoke["ready_seconds"], smoke["peak_memory_bytes"]
    equal = sum(_passed(asked) for asked in smoke["golden"])
    return (
        Code(smoke["target"]),
        Chip(Status(smoke["status"]), smoke["reason"] or smoke["status"]),
        f"{equal} of {len(smoke['golden'])} equal" if smoke["golden"] else "",
        "" if worst is None else brief(_error(worst)),
        "" if worst is None else brief(worst["allowed"]),
        "" if ready is None else f"{ready:.1f} s",
        "" if memory is None else f"{memory / _MEBIBYTE:.0f} MiB",
    )


def _passed(asked: Mapping[str, Any]) -> bool:
    return not asked["message"] and all(row["status"] == Status.PASS for row in asked["rows"])


def _error(row: Mapping[str, Any]) -> float | None:
    """Return the error that the tolerance bounds."""
    found: float | None = row["scaled"] if row["mode"] == "scaled" else row["max_absolute"]
    return found


def _share(row: Mapping[str, Any]) -> float:
    """Return how much of its tolerance an output uses up; what has no error stands last."""
    error = _error(row)
    if error is None:
        return float("inf") if row["status"] == Status.FAIL else -1.0
    return error / row["allowed"] if row["allowed"] else error


def _failure(smoke: SmokeDocument) -> Block:
    content: list[Block] = [Paragraph(Untrusted(smoke["message"]))]
    if any(line.strip() for line in smoke["log_tail"]):
        content.append(Listing("\n".join(smoke["log_tail"])))
    return Details((Code(smoke["target"]), f": {smoke['reason']}"), tuple(content), open=True)


def _load(smokes: Sequence[SmokeDocument]) -> Table:
    columns = (
        Column("Server"),
        Column("Clients", "right"),
        Column("Latency p50", "right"),
        Column("p95", "right"),
        Column("Requests a second", "right"),
        Column("Requests", "right", optional=True),
    )
    rows = tuple(
        (
            Code(smoke["target"]),
            str(level["concurrency"]),
            _milliseconds(level["p50_ms"]),
            _milliseconds(level["p95_ms"]),
            f"{level['requests_per_second']:,.0f}",
            f"{level['requests']:,}" + (f", {level['failed']} failed" if level["failed"] else ""),
        )
        for smoke in smokes
        for level in smoke["load"]
    )
    return Table(columns, rows)


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"


def _chart(smokes: Sequence[SmokeDocument]) -> Iterator[Block]:
    """Draw throughput where there is something to compare."""
    levels = sorted({level["concurrency"] for smoke in smokes for level in smoke["load"]})
    if len(levels) < 2:  # noqa: PLR2004  # one bar says nothing
        return
    series = []
    for smoke in smokes:
        found = {level["concurrency"]: level["requests_per_second"] for level in smoke["load"]}
        series.append(Series(smoke["target"], tuple(found.get(level) for level in levels)))
    categories = tuple(f"{level} client{'s' if level > 1 else ''}" for level in levels)
    yield Chart("Requests a second", categories, tuple(series), "requests/s")


def _notes(smokes: Sequence[SmokeDocument]) -> Iterator[Block]:
    if any(smoke["load"] for smoke in smokes):
        yield Paragraph(
            "Each request is a batch of "
            f"{smokes[0]['golden'][0]['batch'] if smokes[0]['golden'] else 1}. The clients ran on "
            "the same machine as the server, so compare rows with each other, not with production."
        )
    for smoke in smokes:
        if smoke["status"] == Status.SKIPPED:
            why = smoke["message"].rstrip(".")
            yield Paragraph((Code(smoke["target"]), " was not tried: ", f"{why}."))
        if smoke["target"] == "torchserve":
            yield Paragraph(Strong(ARCHIVED))


def _examples(smokes: Sequence[SmokeDocument]) -> Block:
    """Show how to send a golden request, from the folder of the results."""
    lines = []
    for smoke in smokes:
        path = urlsplit(smoke["url"]).path
        port = 8000 if smoke["target"] == "triton" else 8080
        token = '--header "Authorization: Bearer $TOKEN" ' * (smoke["target"] == "torchserve")
        lines += [
            f"# {smoke['target']}; serving/{smoke['target']}/README.md says how to start it",
            f"curl http://127.0.0.1:{port}{path} {token}\\",
            f"  --header 'Content-Type: application/json' --data @{smoke['golden'][0]['request']}",
        ]
    return Details("Ask it yourself", (Listing("\n".join(lines), "sh"),))


def smoke_facts(smokes: Sequence[SmokeDocument]) -> Iterator[Fact]:
    """Return what was measured of each server, number by number."""
    for smoke in smokes:
        name = f"export.smoke.{smoke['target']}"
        verdict = f"{smoke['target']}: {smoke['status']}"
        if smoke["message"]:
            verdict += f" ({smoke['reason'] or 'skipped'}: {smoke['message']})"
        yield Fact(f"{name}.status", verdict, smoke["status"])
        if smoke["ready_seconds"] is not None:
            text = f"{smoke['target']} was ready after {smoke['ready_seconds']:.1f} s"
            yield Fact(f"{name}.ready", text, smoke["ready_seconds"], "s")
        yield from _golden_facts(name, smoke)
        yield from _load_facts(name, smoke)


def _golden_facts(name: str, smoke: SmokeDocument) -> Iterator[Fact]:
    for asked in smoke["golden"]:
        for row in asked["rows"]:
            error = _error(row)
            text = (
                f"{smoke['target']} answered {asked['id']}: output {row['output']} is "
                f"{brief(error)} off PyTorch's ({row['mode']}), allowed {brief(row['allowed'])}"
            )
            yield Fact(f"{name}.golden.{asked['id']}.{row['output']}", text, error)


def _load_facts(name: str, smoke: SmokeDocument) -> Iterator[Fact]:
    for level in smoke["load"]:
        clients = f"{smoke['target']} with {level['concurrency']} client(s)"
        place = f"{name}.load.{level['concurrency']}"
        rate = level["requests_per_second"]
        yield Fact(f"{place}.rate", f"{clients}: {rate:.0f} requests a second", rate, "1/s")
        for measure in ("p50_ms", "p95_ms"):
            if level[measure] is not None:
                text = f"{clients}: {measure[:3]} latency {_milliseconds(level[measure])}"
                yield Fact(f"{place}.{measure[:3]}", text, level[measure], "ms")
