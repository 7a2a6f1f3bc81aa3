"""Generating sweeps, asking MLflow what is finished, and TPE, each against what it is built on."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.measure import ROOT, Measurement, run_once, table
from mlactions import mlflow_tags
from mlactions.mlflow_store import open_store
from mlactions.sweep.lookup import Reuse, look_up
from mlactions.sweep.space import parse_space
from mlactions.sweep.tpe import Observed, propose
from tests.analyze_support import START, Logged, identifier, write
from tests.mlflow_support import Gatekeeper, Mlflow, running

OURS = [sys.executable, "-m", "mlactions", "sweep", "--no-compose", "--config-name", "train"]
ROUNDS = 3
FILES, ROWS = 100_000, 1_000_000
HASHES, RUNS, ASKED = 10_000, 20_000, 200
TRIALS, SEEDS = 120, 5
GRID = """\
name: big
program: train.py
parameters:
  optimizer.lr: range(0, 100)
  optimizer.decay: range(0, 100)
  model.width: {{values: [{widths}]}}
  model.kind: {{values: [a, b]}}
  trainer.clip: {{values: [0.1, 0.2, 0.5, 1.0, 2.0]}}
"""
WRITE = """\
import sys
from pathlib import Path
text = Path(sys.argv[1]).read_text()
folder = Path("plain")
folder.mkdir()
for number in range(int(sys.argv[2])):
    with open(f"plain/{number:06d}-00000000.yaml", "w") as stream:
        stream.write(text)
"""
EXPAND_HYDRA = """\
import sys
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
parsed = OverridesParser.create().parse_overrides(sys.argv[2:])
batches = BasicSweeper.split_arguments(parsed, None)
assert sum(map(len, batches)) == int(sys.argv[1])
"""
EXPAND_OURS = """\
import sys
from pathlib import Path
from mlactions.sweep.space import parse_space
from mlactions.sweep.trials import Bases, make_trials
space = parse_space(Path("configs/sweep.yaml").read_text(), file="sweep.yaml")
assert sum(1 for _ in make_trials(space, Bases())) == int(sys.argv[1])
"""


def project(folder: Path, trials: int) -> None:
    """Lay out a project whose grid has so many trials."""
    widths = trials // 100_000
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "train.yaml").write_text("seed: 0\n")
    text = GRID.format(widths=", ".join(str(8 * (place + 1)) for place in range(widths)))
    (folder / "configs" / "sweep.yaml").write_text(text)


def written(folder: Path) -> tuple[list[Measurement], list[Measurement]]:
    """Time generating FILES trials, and only writing as many files of that size, in turns."""
    ours, plain = [], []
    for number in range(ROUNDS):
        place = folder / f"files-{number}"
        project(place, FILES)
        variables = {"PYTHONPATH": str(ROOT / "scripts")}
        ours.append(run_once([*OURS, "--out", "out"], place, variables=variables))
        sample = next((place / "configs" / "sweeps" / "big").glob("*.yaml"))
        (place / "write.py").write_text(WRITE)
        command = [sys.executable, "write.py", str(sample), str(FILES)]
        plain.append(run_once(command, place))
    return ours, plain


def listed(folder: Path) -> Measurement:
    """Time ROWS trials in the manifest, without files."""
    place = folder / "manifest"
    project(place, ROWS)
    variables = {"PYTHONPATH": str(ROOT / "scripts")}
    return run_once([*OURS, "--no-files", "--out", "out"], place, variables=variables)


def expanded(folder: Path) -> tuple[Measurement, Measurement]:
    """Time expanding the grid of FILES trials, by us and by Hydra's own sweeper; nothing else."""
    place = folder / "expand"
    project(place, FILES)
    (place / "ours.py").write_text(EXPAND_OURS)
    (place / "hydra_own.py").write_text(EXPAND_HYDRA)
    words = [
        "optimizer.lr=range(0,100)",
        "optimizer.decay=range(0,100)",
        "model.width=8",
        "model.kind=a,b",
        "trainer.clip=0.1,0.2,0.5,1.0,2.0",
    ]
    variables = {"PYTHONPATH": str(ROOT / "scripts")}
    ours = run_once([sys.executable, "ours.py", str(FILES)], place, variables=variables)
    return ours, run_once([sys.executable, "hydra_own.py", str(FILES), *words], place)


def logged() -> Iterator[Logged]:
    """Yield RUNS runs: two of each configuration, one of them failed."""
    for number in range(RUNS):
        tags = {
            mlflow_tags.SWEEP: "big",
            mlflow_tags.CONFIG_HASH: f"sha256:{number % HASHES:064x}",
            mlflow_tags.SEED: "",
            mlflow_tags.COMMIT: "c" * 40,
            mlflow_tags.DATA: "",
        }
        params = {f"p{at}": str(number * at) for at in range(10)}
        status = "FINISHED" if number < HASHES else "FAILED"
        yield Logged(
            identifier(9, number),
            params,
            {"loss": [0.5]},
            tags=tags,
            status=status,
            start=START + number,
        )


def looked_up(server: Mlflow) -> dict[str, float]:
    """Time one look-up of all hashes, and the loop that asks for each on its own."""
    write(server.database, server.experiment("big"), logged())
    with Gatekeeper(server) as counting, open_store(counting.url, {}) as store:
        look_up(store, "big", Reuse("c" * 40))
        requests = len(counting.requests)
    with open_store(server.uri, {}) as store:
        began = time.perf_counter()
        known = look_up(store, "big", Reuse("c" * 40))
        batched = time.perf_counter() - began
        assert len(known.attempts) == HASHES
        identity = store.experiment("big").id
        began = time.perf_counter()
        for number in range(ASKED):
            condition = f"tags.`{mlflow_tags.CONFIG_HASH}` = 'sha256:{number:064x}'"
            assert len(list(store.runs([identity], filter=condition))) == RUNS // HASHES
        naive = (time.perf_counter() - began) / ASKED * HASHES
    return {"requests": requests, "seconds": batched, "naive": naive}


def sphere(x: float, y: float) -> float:
    """Return the sphere function, moved; its minimum is 0."""
    return (x - 1) ** 2 + (y + 2) ** 2


def branin(x: float, y: float) -> float:
    """Return Branin's function over its usual rectangle; its minimum is 0.397887."""
    x, y = 1.5 * x + 2.5, 1.5 * y + 7.5
    first = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return first + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def ackley(x: float, y: float) -> float:
    """Return Ackley's function; its minimum is 0."""
    root = math.sqrt((x * x + y * y) / 2)
    waves = (math.cos(2 * math.pi * x) + math.cos(2 * math.pi * y)) / 2
    return -20 * math.exp(-0.2 * root) - math.exp(waves) + 20 + math.e


FUNCTIONS: Mapping[str, Callable[[float, float], float]] = {
    "sphere": sphere,
    "Branin": branin,
    "Ackley": ackley,
}


def by_us(function: Callable[[float, float], float], seed: int) -> float:
    """Return the best value after TRIALS trials, each proposed from the runs before it."""
    text = f"method: tpe\nrun_cap: {TRIALS}\nsampler_seed: {1000 * seed}\nmetric: {{name: f}}\n"
    space = parse_space(
        text + "parameters:\n  x: {min: -5.0, max: 5.0}\n  y: {min: -5.0, max: 5.0}\n", file="f"
    )
    seen: list[Observed] = []
    for _ in range(TRIALS):
        values = next(propose(space, seen))
        seen.append(Observed(values, function(values["x"], values["y"])))
    return min(item.mean for item in seen if item.mean is not None)


def by_optuna(function: Callable[[float, float], float], seed: int) -> float:
    """Return what Optuna alone finds in one process."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))

    def objective(trial: Any) -> float:
        return function(trial.suggest_float("x", -5, 5), trial.suggest_float("y", -5, 5))

    study.optimize(objective, n_trials=TRIALS)
    return float(study.best_value)


def searched() -> list[list[str]]:
    """Return a row per function: medians of the best values over seeds, and of their ranges."""
    rows = []
    for name, function in FUNCTIONS.items():
        ours = [by_us(function, seed) for seed in range(SEEDS)]
        theirs = [by_optuna(function, seed) for seed in range(SEEDS)]
        worst = max(function(x, y) for x in range(-5, 6) for y in range(-5, 6))
        apart = abs(statistics.median(ours) - statistics.median(theirs)) / worst
        cells = (f"{statistics.median(values):.4g}" for values in (ours, theirs))
        rows.append([name, *cells, f"{100 * apart:.2f} %"])
    return rows


def seconds(found: list[Measurement]) -> float:
    """Return the median of the wall seconds."""
    return statistics.median(item.seconds for item in found)


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, plain = written(folder)
        rows = listed(folder)
        expand, hydra = expanded(folder)
        (folder / "mlflow").mkdir()
        with running(folder / "mlflow") as server:
            found = looked_up(server)
    print("## Sweeps\n")
    ratio = seconds(ours) / seconds(plain)
    print(
        f"**{FILES:,} trials with their files in {seconds(ours):.1f} s, {ratio:.1f}× what writing"
        f" the files takes; {ROWS:,} in the manifest in {rows.seconds:.1f} s with"
        f" {rows.peak_bytes / 2**20:,.0f} MiB; {HASHES:,} hashes found among {RUNS:,} runs in"
        f" {found['requests']:.0f} requests and {found['seconds']:.1f} s.**\n"
    )
    cells = [
        [f"{FILES:,} trials, with files", f"{seconds(ours):.1f} s", f"{ratio:.1f}×"],
        [f"only writing {FILES:,} such files", f"{seconds(plain):.1f} s", "1"],
        [f"{ROWS:,} trials, manifest only", f"{rows.seconds:.1f} s", ""],
        [f"expanding {FILES:,} trials, each hashed", f"{expand.seconds:.1f} s", ""],
        ["Hydra's basic sweeper expanding them", f"{hydra.seconds:.1f} s", ""],
        [f"look-up of {HASHES:,} hashes", f"{found['seconds']:.1f} s", ""],
        [f"a request each (from {ASKED} of them)", f"{found['naive']:.0f} s", ""],
    ]
    print(table(["", "seconds", "against writing"], cells))
    print(
        f"Median of {ROUNDS} rounds in turns for the first two, whole processes. TPE, best of"
        f" {TRIALS} trials, median of {SEEDS} seeds; the difference is in percent of the"
        " function's range:\n"
    )
    print(table(["function", "`sweep next`", "Optuna alone", "apart"], searched()))


if __name__ == "__main__":
    main()
