"""Wrong exports: what `export`, torch, optimum-onnx and onnx's checker make of them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import ROOT, environment, folded, table
from mlactions.export.exported import MODEL, Case
from mlactions.export.reading import open_export
from tests.export_faults.bundles import Written, write
from tests.export_faults.faults import FAULTS, sound

PYTHON = ROOT / ".tools" / "bench-export" / "bin" / "python"
REQUIREMENTS = ROOT / "bench" / "export-requirements.txt"
TIMEOUT_SECONDS = 600
PEERS = {"torch": "torch `verify=True`", "optimum": "optimum-onnx", "checker": "onnx.checker"}


@dataclass(frozen=True)
class Judged:
    """What ours says of a bundle (a reason, or nothing), and the verdicts of the peers."""

    ours: str
    peers: Mapping[str, str]


def judge_all(bundles: Mapping[str, Written], folder: Path) -> dict[str, Judged]:
    """Write every bundle, verify it as a user does, and let the peers judge the same files."""
    for number, written in enumerate(bundles.values()):
        write(folder / f"{number}", written)
    asked = [_asked(name, folder / f"{n}") for n, name in enumerate(bundles)]
    found = _peers(asked)
    return {
        name: Judged(_ours(folder / f"{number}"), found[name])
        for number, name in enumerate(bundles)
    }


def _ours(bundle: Path) -> str:
    """Return the first reason to fail, empty for a pass."""
    out = bundle.parent / f"{bundle.name}-out"
    command = [str(ROOT / "scripts" / "run"), "export", "verify", str(bundle), "--out", str(out)]
    ended = subprocess.run(
        command,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert ended.returncode in {0, 1}, ended.stderr[-2000:]
    findings = json.loads((out / "result.json").read_text())["findings"]
    reasons = [finding["reason"] for finding in findings if finding["level"] == "fail"]
    assert bool(reasons) == (ended.returncode == 1)
    return reasons[0] if reasons else ""


def _asked(name: str, bundle: Path) -> dict[str, Any]:
    """Return what the peers get: the file, the example it was exported with, another input."""
    _, exported = open_export(bundle)
    axes = {
        spec.name: [length for length in spec.shape if isinstance(length, str)]
        for spec in (*exported.inputs, *exported.outputs)
    }
    example, other = (_pair(exported.cases, bundle, seed) for seed in (0, 1))
    return {
        "name": name,
        "model": str(bundle / MODEL),
        "half": exported.precision == "fp16",
        "outputs": [spec.name for spec in exported.outputs],
        "axes": axes,
        "example": example,
        "other": other,
    }


def _pair(cases: Sequence[Case], bundle: Path, seed: int) -> tuple[str, str]:
    case = next(c for c in cases if c.batch == 2 and c.seed == seed and c.kind == "gated")
    return str(bundle / case.inputs), str(bundle / case.reference)


def _peers(asked: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    found = subprocess.run(
        [PYTHON, ROOT / "bench" / "export_peers.py"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=TIMEOUT_SECONDS,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    judged = json.loads(found.stdout)
    return {name: {peer: kind for peer, (kind, _) in said.items()} for name, said in judged.items()}


def version(peer: str) -> str:
    """Return the version of a peer that is installed."""
    lines = REQUIREMENTS.read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{peer}=="))


def _rows(judged: Mapping[str, Judged]) -> Iterator[list[str]]:
    for name, one in judged.items():
        yield [name, f"`{one.ours}`" if one.ours else "missed", *(one.peers[p] for p in PEERS)]


def _caught(judged: Mapping[str, Judged], peer: str = "") -> int:
    kinds = [one.peers[peer] == "caught" if peer else bool(one.ours) for one in judged.values()]
    return sum(kinds)


INTRODUCTION = f"""\
The same [files](../tests/export_faults) for `export verify`, for the check behind
`torch.onnx.export(verify=True)` (torch {version("torch")}), for `validate_model_outputs` of
optimum-onnx {version("optimum-onnx")} and for `onnx.checker.check_model(full_check=True)`
(onnx {version("onnx")}). Caught means refused for any reason. The set is ours and its tests demand
that we catch all of it: read the peers' columns. Each had its best chance:

- [A script](../bench/export_peers.py) hands torch's and optimum's check the true outputs of the
  right model, torch's for the inputs of the export, optimum's for others of the same batch size.
- What they catch is a warning: torch prints one from a difference of 5e-3 on, optimum's command
  line prints one and exits 0. Ours exits 1 and hands out no model.
"""


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faults = judge_all({fault.name: fault.make() for fault in FAULTS}, folder / "faults")
        controls = judge_all(sound(), folder / "sound")
    counts = ", ".join(f"{title} {_caught(faults, peer)}" for peer, title in PEERS.items())
    refused = ", ".join(f"{title} {_caught(controls, peer)}" for peer, title in PEERS.items())
    print("## Wrong ONNX exports\n")
    print(f"**Of {len(faults)} wrong exports caught: ours {_caught(faults)}, {counts}.**\n")
    print(INTRODUCTION)
    print(f"Right exports refused, of {len(controls)}: ours {_caught(controls)}, {refused}.\n")
    header = ["wrong export", "ours", *PEERS.values()]
    print(
        folded(
            f"All {len(faults)} wrong exports", table(header, list(_rows(faults)), numbers=False)
        )
    )


if __name__ == "__main__":
    main()
