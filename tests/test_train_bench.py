"""The benchmark of train says plainly what a machine could not measure."""

from __future__ import annotations

from typing import Any

from bench.train import why_no_gpu


def look(gpus: list[str], torch: dict[str, bool] | None) -> dict[str, Any]:
    found = {"name": "gpu", "found": "no GPU (there is no NVIDIA driver)"}
    return {"machine": {"gpus": gpus, "torch": torch}, "preflight": [found]}


def test_rows_that_need_a_gpu_say_why_there_is_none() -> None:
    assert why_no_gpu(look([], None)) == "no GPU (there is no NVIDIA driver)"
    assert why_no_gpu(look(["H100"], {"available": False})) == "the example's torch is for the CPU"
    assert why_no_gpu(look(["H100"], None)) == "the example's torch is for the CPU"
    assert why_no_gpu(look(["H100"], {"available": True})) == ""
