"""Telemetry and cost of a run, as its result holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlactions.train.model import Ended, Result, Spread, Telemetry

_HOUR = 3600.0
_JOULES = 3.6e6  # in a kilowatt-hour


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return asdict(spread) if spread else None


def telemetry(ended: Ended | None) -> dict[str, Any] | None:
    """Return the telemetry of a run as its result holds it."""
    if ended is None:
        return None
    found: Telemetry = ended.telemetry
    return {
        "samples": found.samples,
        "interval_seconds": found.interval,
        "cost_share": round(found.cost / max(ended.seconds, 1e-9), 6),
        "processor_percent": _spread(found.processor),
        "memory_bytes": _spread(found.memory),
        "gpus": [
            {
                "index": gpu.index,
                "name": gpu.name,
                "utilization_percent": _spread(gpu.utilization),
                "memory_bytes": _spread(gpu.memory),
                "power_watts": _spread(gpu.power),
            }
            for gpu in found.gpus
        ],
        "chart": {
            "seconds": list(found.seconds),
            "series": [{"name": name, "values": list(values)} for name, values in found.lines],
        },
    }


def cost(result: Result) -> Mapping[str, Any]:
    """Return what the run cost.

    GPU hours are those of the GPUs that the command could see, used or not: they were taken.
    """
    ended, gpus = result.ended, len(result.surroundings.visible)
    seconds = ended.seconds if ended else 0.0
    hours = gpus * result.settings.nnodes * seconds / _HOUR
    price = result.settings.price
    powers = [gpu.power.mean for gpu in ended.telemetry.gpus if gpu.power] if ended else []
    return {
        "gpus": gpus * result.settings.nnodes,
        "gpu_hours": round(hours, 6),
        "price_per_gpu_hour": price,
        "amount": None if price is None else round(hours * price, 4),
        "energy_kwh": round(sum(powers) * seconds / _JOULES, 6) if powers else None,
    }
