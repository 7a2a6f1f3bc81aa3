"""Our server against bare onnxruntime in a loop, and against TorchServe with the same model.

The digits CNN of the example with random weights: weights do not change how long it takes. Every
server has to answer the golden requests as PyTorch does, before and after it is pressed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure import ROOT, environment, folded, run_once, table
from mlactions.export.serving.golden import Golden, read_golden
from mlactions.export.serving.load import Load
from mlactions.export.serving.smoke import Plan, smoke
from mlactions.export.serving.start import (
    Launch,
    start_onnxruntime,
    start_torchserve,
    torchserve_missing,
)

EXAMPLE = ROOT / "examples/digits"
PYTHON = ROOT / ".tools/example/bin/python"
SERVING = ROOT / ".tools/serving/bin/python"
CLIENTS = (1, 8, 32)
BATCHES = (1, 7)
ROUNDS = 3
SECONDS = 2.0

LOOP = """
import os, sys, time
from pathlib import Path
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.path.insert(0, sys.argv[1])
import onnxruntime
from model_server.contract import read_contract
from model_server.protocol import read_request, write_response
contract = read_contract(Path(sys.argv[1]) / "model.json")
session = onnxruntime.InferenceSession(Path(sys.argv[1]) / "model/model.onnx")
body = Path(sys.argv[2]).read_bytes()
request = read_request(body, contract)
def bare():
    session.run(None, request.inputs)
def with_json():
    given = read_request(body, contract)
    write_response(given, contract, session.run(list(given.outputs), given.inputs))
for work in (bare, with_json):
    for _ in range(100):
        work()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < float(sys.argv[3]):
        work()
        count += 1
    print(count / (time.perf_counter() - started))
"""


@dataclass(frozen=True)
class Row:
    """A contestant with so many clients: requests a second and milliseconds of every round."""

    name: str
    clients: int
    rates: tuple[float, ...]
    p50: tuple[float, ...] = ()
    p95: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Median requests a second."""
        return statistics.median(self.rates)


def row(name: str, loads: list[Load]) -> Row:
    """Return the rounds of one level."""
    return Row(
        name,
        loads[0].concurrency,
        tuple(load.requests_per_second for load in loads),
        tuple(load.p50_ms or 0.0 for load in loads),
        tuple(load.p95_ms or 0.0 for load in loads),
    )


def export(folder: Path) -> Path:
    """Export the example's model and prove it; return the folder of the result."""
    command: list[str | Path] = [sys.executable, "-m", "mlactions", "export", "--out", folder]
    command += ["--model", "src.models.export:classifier", "--python", PYTHON]
    command += ["--example-inputs", "images: float32[batch,1,8,8]"]
    command += ["--target", "onnxruntime", "--target", "torchserve"]
    run_once(command, EXAMPLE, variables={"PYTHONPATH": str(ROOT / "scripts")})
    return folder / "result"


def loop(folder: Path, golden: Golden) -> tuple[float, float]:
    """Return runs a second of the bare session, and of one that reads and writes our JSON."""
    place = folder / "serving/onnxruntime"
    command = [sys.executable, "-c", LOOP, str(place), str(folder / golden.request), str(SECONDS)]
    printed = subprocess.run(command, capture_output=True, check=True, env=environment()).stdout
    bare, with_json = map(float, printed.split())
    return bare, with_json


def press(launch: Launch, folder: Path, golden: tuple[Golden, ...], scratch: Path) -> list[Load]:
    """Start a server, ask it, press it, stop it; a wrong answer ends the benchmark."""
    plan = Plan(concurrency=CLIENTS, requests=10**9, level_seconds=SECONDS)
    found = smoke(launch, folder, golden, plan, scratch / "log")
    if found.reason:
        sys.exit(f"{launch.target}: {found.message}\n" + "\n".join(found.log_tail))
    return list(found.load)


def measure(folder: Path, batch: int) -> list[Row]:
    """Let all take turns with requests of one batch size."""
    name, golden = read_golden(folder)
    # The first golden request is the one that a server is pressed with.
    ordered = tuple(sorted(golden, key=lambda item: item.batch != batch))
    launchers: Mapping[str, Callable[[Path], Launch]] = {
        "ours": lambda scratch: start_onnxruntime(folder / "serving/onnxruntime", name, scratch),
        "TorchServe": lambda scratch: start_torchserve(
            folder / "serving/torchserve", name, scratch, SERVING
        ),
    }
    loops: list[tuple[float, float]] = []
    levels: dict[tuple[str, int], list[Load]] = {}
    for _ in range(ROUNDS):
        loops.append(loop(folder, ordered[0]))
        for contestant, start in launchers.items():
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
                loads = press(start(Path(scratch)), folder, ordered, Path(scratch))
            for load in loads:
                levels.setdefault((contestant, load.concurrency), []).append(load)
    rows = [
        Row("onnxruntime in a loop", 0, tuple(bare for bare, _ in loops)),
        Row("the same, reading and writing JSON", 0, tuple(json for _, json in loops)),
    ]
    return rows + [row(contestant, loads) for (contestant, _), loads in levels.items()]


def report(found: Mapping[int, list[Row]]) -> str:
    """Return the Markdown of the measurements by batch size."""
    parts = []
    for batch, rows in found.items():
        bare = rows[0].rate
        peers = {one.clients: one.rate for one in rows if one.name == "TorchServe"}
        lines = [
            [
                one.name,
                str(one.clients or ""),
                f"{one.rate:,.0f}",
                f"{one.rate / bare:.2f}×",
                f"{one.rate / peers[one.clients]:.1f}×" if one.name == "ours" else "",
                f"{statistics.median(one.p50):.3g}" if one.p50 else "",
                f"{statistics.median(one.p95):.3g}" if one.p95 else "",
            ]
            for one in rows
        ]
        header = ["", "clients", "requests/s", "of the loop", "of TorchServe", "p50 ms", "p95 ms"]
        parts.append(f"Requests of batch {batch}:\n\n" + table(header, lines))
    return "\n".join(parts)


def main() -> None:
    """Print the section."""
    if reason := torchserve_missing(SERVING):
        sys.exit(f"TorchServe cannot be started: {reason}; `make bench` installs all but Java")
    with tempfile.TemporaryDirectory() as scratch:
        folder = export(Path(scratch) / "export")
        found = {batch: measure(folder, batch) for batch in BATCHES}
    print("## Serving an exported model\n")
    print(report(found))
    notes = (
        f"Medians of {ROUNDS} rounds of {SECONDS:.0f} s for each level, taken in turns. Clients "
        "and server share the machine's processors, so a server gets about half of what it would "
        "have alone; the loop has all of them. TorchServe 0.12.0 runs the same model in the same "
        "onnxruntime through our handler, with its default of one worker that we set, and its "
        "token. One request is one batch; neither server merges requests."
    )
    print(folded("How this was measured", notes))


if __name__ == "__main__":
    main()
