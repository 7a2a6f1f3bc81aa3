"""Copy this file beside your training code: it records each step for the audit's double run.

    from mlactions_record import record
    record(step, model.state_dict(), {"loss": loss.item()})

Without MLACTIONS_STEPS in the environment it does nothing. It needs the standard library only;
tensors are read through their own methods.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def record(
    step: int, tensors: Mapping[str, Any], metrics: Mapping[str, float] | None = None
) -> None:
    """Append one line: the step, the SHA-256 of each tensor, and metrics as exact floats."""
    path = os.environ.get("MLACTIONS_STEPS")
    if not path or os.environ.get("RANK", "0") != "0":
        return
    line = {
        "step": step,
        "tensors": {name: digest(value) for name, value in tensors.items()},
        "metrics": {name: float(value).hex() for name, value in (metrics or {}).items()},
    }
    with Path(path).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def digest(value: Any) -> str:
    """Return the SHA-256 of a tensor's or array's type, shape and bytes; of the text of others."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().contiguous()
        about = f"{value.dtype} {tuple(value.shape)}"
        data = bytes(value.untyped_storage())
        if len(data) != value.numel() * value.element_size():
            data = bytes(value.clone().untyped_storage())
    elif hasattr(value, "tobytes"):
        about, data = f"{value.dtype} {value.shape}", value.tobytes()
    else:
        about, data = type(value).__name__, repr(value).encode()
    return hashlib.sha256(about.encode() + b"\0" + data).hexdigest()
