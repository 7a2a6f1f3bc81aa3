"""Run a model in onnxruntime and measure what it gives. Runs in a worker only: it may crash."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mlactions.export import parity
from mlactions.export.arrays import Array, Arrays, ArraysError
from mlactions.export.user.variation import Samples

Tell = Callable[[Mapping[str, Any]], None]

WARM_UPS, WARM_SECONDS = 10, 0.2
FEWEST, MOST, ENOUGH_SECONDS = 3, 100, 2.0
_TYPES = {"tensor(float16)": np.float16, "tensor(float)": np.float32}


def answer(request: Mapping[str, Any], tell: Tell) -> None:
    """Open a session on one provider, then compare, predict or time."""
    available = list(onnxruntime.get_available_providers())
    tell({"event": "runtime", "version": onnxruntime.__version__, "available": available})
    try:
        session = _session(request)
    except Exception as error:  # noqa: BLE001  # the runtime raises many kinds
        tell({"event": "session", "ok": False, "error": _said(error)})
        return
    used = session.get_providers()
    tell({"event": "session", "ok": True, "providers": used})
    if used[:1] == [request["provider"]]:
        try:
            _MODES[request["mode"]](session, request, tell)
        except ArraysError as error:
            tell({"event": "broken", "error": str(error)})


def _session(request: Mapping[str, Any]) -> onnxruntime.InferenceSession:
    """Open a session as the serving files do: every optimisation, threads as they come."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.get("threads", 0)
    session = onnxruntime.InferenceSession(
        request["model"], options, providers=[request["provider"]]
    )
    session.disable_fallback()
    return session


def _compare(session: onnxruntime.InferenceSession, request: Mapping[str, Any], tell: Tell) -> None:
    for case in request["cases"]:
        tell({"event": "begin", "id": case["id"]})
        inputs, references = Arrays(Path(case["inputs"])), Arrays(Path(case["reference"]))
        try:
            values = _run(session, inputs)
        except ArraysError:
            raise
        except Exception as error:  # noqa: BLE001  # the runtime raises many kinds
            tell({"event": "case", "id": case["id"], "ok": False, "error": _said(error)})
            continue
        try:
            rows = [asdict(row) for row in _measured(request["outputs"], references, values)]
        except MemoryError:
            why = "there is not memory enough to compare its outputs"
            tell({"event": "case", "id": case["id"], "ok": False, "error": why})
            continue
        samples = Samples(list(request["inputs"].items()))
        samples.add(inputs)
        seen = {name: sorted(found) for name, found in samples.seen.items()}
        tell({"event": "case", "id": case["id"], "ok": True, "rows": rows, "samples": seen})


def _measured(
    outputs: list[str], references: Arrays, values: Mapping[str, Array]
) -> Iterator[parity.Measures]:
    for name in outputs:
        if name in references and name in values:
            reference, value = references[name], values[name]
            measured = parity.measure(name, reference, value)
            off = measured.relative_l2 is None or measured.relative_l2 > parity.GROSS
            if off or not measured.comparable:
                measured = replace(measured, hint=parity.hint(name, references, value))
            yield measured


def _run(session: onnxruntime.InferenceSession, inputs: Mapping[str, Array]) -> dict[str, Array]:
    fed = {}
    for wanted in session.get_inputs():
        if wanted.name in inputs:
            array = inputs[wanted.name]
            wish = _TYPES.get(wanted.type)
            half = wish is not None and array.dtype in (np.float16, np.float32)
            fed[wanted.name] = array.astype(wish, copy=False) if half else array
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, fed)
    return dict(zip(names, map(np.asarray, values), strict=True))


def _predict(session: onnxruntime.InferenceSession, request: Mapping[str, Any], tell: Tell) -> None:
    """Write what both sides predict for every sample, as files that `compare` pairs."""
    from mlactions.export import task

    inputs, references = Arrays(Path(request["inputs"])), Arrays(Path(request["reference"]))

    def values() -> Iterator[tuple[int, Mapping[str, Array]]]:
        arrays = {name: inputs[name] for name in inputs if name != task.LABEL}
        for start in range(0, request["samples"], request["batch"]):
            stop = min(start + request["batch"], request["samples"])
            batch = {name: np.ascontiguousarray(a[start:stop]) for name, a in arrays.items()}
            yield start, _run(session, batch)

    try:
        metric, classes, alike = task.write_predictions(
            Path(request["folder"]), inputs, references, values(), request["outputs"]
        )
    except ArraysError:
        raise
    except Exception as error:  # noqa: BLE001  # the runtime raises many kinds
        tell({"event": "predicted", "ok": False, "error": _said(error)})
        return
    found = {"metric": metric, "classes": classes, "alike": alike}
    tell({"event": "predicted", "ok": True, **found})


def _time(session: onnxruntime.InferenceSession, request: Mapping[str, Any], tell: Tell) -> None:
    for case in request["cases"]:
        inputs = {name: np.array(array) for name, array in Arrays(Path(case["inputs"])).items()}
        _seconds(session, inputs, (1, WARM_UPS), WARM_SECONDS)
        seconds = _seconds(session, inputs, (FEWEST, MOST), ENOUGH_SECONDS)
        fastest = min(seconds)
        tell({"event": "timed", "batch": case["batch"], "seconds": fastest, "runs": len(seconds)})


def _seconds(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, Array],
    runs: tuple[int, int],
    enough: float,
) -> list[float]:
    """Return the seconds of runs: the most of them, or the fewest where they take long."""
    found: list[float] = []
    fewest, most = runs
    while len(found) < fewest or (sum(found) < enough and len(found) < most):
        started = time.perf_counter()
        _run(session, inputs)
        found.append(time.perf_counter() - started)
    return found


_MODES = {"compare": _compare, "predict": _predict, "time": _time}


_AROUND = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "
    r"|Non-zero status code returned while running "
    r"|\S+\.(?:cc|h|cpp):\d+ "
    r"|(?:void )?\S*onnxruntime::\S+\([^)]*\)(?: const)?(?: \[[^\]]*\])? "
)
"""What the runtime puts around its messages: codes, and the places of its own sources."""
_NODE = re.compile(r"(\w+) node\. Name:'([^']*)' Status Message: ")


def _said(error: Exception) -> str:
    text = _AROUND.sub("", " ".join(str(error).split()))
    text = _NODE.sub(r"\1 `\2`: ", text)
    return (text or type(error).__name__)[:1000]
