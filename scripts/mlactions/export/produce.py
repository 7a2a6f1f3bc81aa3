"""From the exporter's raw file to the model in the bundle: quantised, optimised, rewritten."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mlactions.bundle import write_json
from mlactions.errors import UserError
from mlactions.evaluate.logfile import tail
from mlactions.evaluate.process import Ended
from mlactions.export.exported import DATA, MODEL, Exported, Failure
from mlactions.export.memory import memory_limit
from mlactions.export.outcome import classify, failed
from mlactions.export.rewrite import LARGE_BYTES, PREFIX, UnsupportedTypeError, rewrite
from mlactions.export.settings import Settings

Run = Callable[[list[str], Mapping[str, str], str], Ended]
"""Runs a command in an environment, its output into a log of the bundle."""

RESHAPING_LOG = "logs/onnxruntime.log"
_RESHAPING = Path(__file__).resolve().parent / "reshaping.py"


def produce(known: Exported, settings: Settings, scratch: Path, out: Path, run: Run) -> Exported:
    """Return the export with its model in place; it is renamed there when all of it is written."""
    raw = scratch / "raw" / "model.onnx"
    if settings.quantize != "none" or settings.optimize != "none":
        reshaped = scratch / "reshaped" / "model.onnx"
        failure = _reshape(
            raw, reshaped, known=known, settings=settings, log=out / RESHAPING_LOG, run=run
        )
        if failure is not None:
            return failed(known, failure, scratch, out)
        raw = reshaped
    target = scratch / MODEL
    try:
        outputs = rewrite(
            raw,
            target,
            metadata_of(known),
            always_external=settings.external_data == "always",
        )
    except UnsupportedTypeError as error:
        return failed(known, Failure("export-failed", f"{error}."), scratch, out)
    for name in ("cases", "task", "model"):
        if (scratch / name).is_dir():
            (scratch / name).rename(out / name)
    files = tuple(name for name in (MODEL, DATA) if (out / name).is_file())
    return replace(known, outputs=outputs, files=files)


def metadata_of(known: Exported) -> dict[str, str]:
    """Return what goes into the model file; what is not known is left out."""
    values = {name: value for name, value in vars(known.metadata).items() if name != "mlactions"}
    values |= {"dirty": str(known.metadata.dirty).lower(), "version": known.metadata.mlactions}
    if known.checkpoint is not None:
        values["checkpoint"] = f"sha256:{known.checkpoint.sha256}"
    if known.model is not None:
        values["factory"] = known.model.factory
    return {f"{PREFIX}{name}": value for name, value in values.items() if value}


def _reshape(
    raw: Path,
    reshaped: Path,
    *,
    known: Exported,
    settings: Settings,
    log: Path,
    run: Run,
) -> Failure | None:
    """Let onnxruntime quantise and optimise the graph, in a process that may crash."""
    reshaped.parent.mkdir(parents=True, exist_ok=True)
    size = known.model.parameter_bytes if known.model else 0
    request = {
        "source": str(raw),
        "target": str(reshaped),
        "quantize": settings.quantize,
        "optimize": settings.optimize,
        "external": size >= LARGE_BYTES,
    }
    file = reshaped.with_name("request.json")
    write_json(file, request)
    arguments = [sys.executable, "-I", str(_RESHAPING), str(file)]
    ended = run(arguments, {"ORT_DISABLE_TELEMETRY": "1"}, RESHAPING_LOG)
    if ended.by == "itself" and ended.code == 0 and reshaped.is_file():
        return None
    lines = tuple(line for line in tail(log) if line)
    if any("No module named 'onnx" in line for line in lines):
        raise UserError(
            "missing package",
            "onnxruntime is not installed for mlactions itself.",
            "Run it through scripts/run, or install codex-ml-actions[export].",
        )
    stage = f"quantize: {settings.quantize}, optimize: {settings.optimize}"
    kind, message = classify(
        ended, lines, stage, settings.timeout, who="onnxruntime", memory=memory_limit()
    )
    if settings.optimize != "none" and kind == "crashed":
        message += " Choose a lower level of `optimize`, or none: servers optimize by themselves."
    return Failure(kind, message, log_tail=lines)
