"""How fast the runtime is against torch eager: the fastest passes of a batch, and their ratio.

Whatever else runs on a machine can only slow a pass down, a hundredfold where it holds a thread
up: the fastest of many says most of the program (https://docs.python.org/3/library/timeit.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlactions.export.exported import Case, Exported
from mlactions.export.result import Latency
from mlactions.export.session import Workers


def measure(
    workers: Workers, exported: Exported, providers: Sequence[str], processor: str
) -> tuple[tuple[Latency, ...], str]:
    """Time the model on the batches that torch was timed on; also return why there is nothing.

    The runtime gets the number of threads torch had. Two machines cannot be compared.
    """
    eager = exported.timing.eager
    if not eager:
        return (), "torch was not timed"
    was = exported.provenance.hardware
    if not was.startswith(f"cpu:{processor};"):
        return (), f"torch was timed on another machine ({was or 'unknown'}; here {processor})"
    chosen = [case for batch in eager if (case := _case(exported.cases, int(batch)))]
    found: list[Latency] = []
    for provider in providers:
        found += _timed(workers, provider, chosen, exported.provenance.threads, eager)
    return tuple(found), "" if found else "the runtime could not be timed"


def _case(cases: Sequence[Case], batch: int) -> Case | None:
    """Return the case torch was timed on: the first gated one of this batch."""
    return next((c for c in cases if c.kind == "gated" and c.batch == batch), None)


def _timed(
    workers: Workers,
    provider: str,
    cases: Sequence[Case],
    threads: int,
    eager: Mapping[str, Sequence[float]],
) -> Iterator[Latency]:
    asked = [{"batch": case.batch, "inputs": str(workers.bundle / case.inputs)} for case in cases]
    answer = workers.ask("time", provider=provider, cases=asked, threads=threads)
    for line in answer.lines:
        seconds = eager[str(line["batch"])] if line["event"] == "timed" else ()
        if seconds and line["seconds"] > 0:
            before, after = min(seconds), float(line["seconds"])
            yield Latency(provider, line["batch"], 1e3 * before, 1e3 * after, before / after)
