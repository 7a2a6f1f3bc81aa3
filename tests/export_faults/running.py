"""Verify a bundle of the fault set as the command does, and look at what came out."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.export.verify import run_verify
from mlactions.runner import Runner
from tests.export_faults.bundles import Written, write


@dataclass(frozen=True)
class Outcome:
    """What verify gave: exit code, result.json, what it said, and its folder."""

    code: int
    result: Mapping[str, Any]
    said: str
    folder: Path

    def reasons(self, level: str = "fail") -> list[str]:
        """Return the reasons of one level, the most telling first."""
        return [f["reason"] for f in self.result["findings"] if f["level"] == level]


def verify(folder: Path, written: Written, **given: Any) -> Outcome:
    """Write a bundle and verify it."""
    write(folder / "bundle", written)
    return verify_bundle(folder / "bundle", folder / "out", **given)


def verify_bundle(bundle: Path, out: Path, **given: Any) -> Outcome:
    """Verify a bundle that was written before."""
    stream = io.StringIO()
    environ = {"GITHUB_ACTIONS": "true", "PATH": os.environ["PATH"]}
    code = run_verify(Runner(environ, stream), bundle, out, given)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return Outcome(code, result, stream.getvalue(), out)
