"""A small ML repository without torch, and the workflow that gates it: what the gate's tests run on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dev.docs import OWN
from tests.e2e.bridge import ROOT

PIN = "0" * 40
TEMPLATE = ROOT / "workflows" / "gate.yml"

# Reads `accuracy: 0.98` from a config and adds a little noise that depends on the seed alone.
EVALUATE = '''
import argparse, json, pathlib, random

parser = argparse.ArgumentParser()
parser.add_argument("--config", type=pathlib.Path)
parser.add_argument("--seed", type=int)
parser.add_argument("--output", type=pathlib.Path)
arguments = parser.parse_args()
accuracy = float(arguments.config.read_text().split("accuracy:")[1])
noise = random.Random(arguments.seed).uniform(-0.001, 0.001)
metrics = {"val_accuracy": round(accuracy + noise, 5)}
arguments.output.write_text(json.dumps({"metrics": metrics}))
'''
BASELINE = """
version: 1
models:
  small:
    metrics:
      val_accuracy: {values: [0.98, 0.9805, 0.9795], direction: higher, tolerance: {absolute: 0.005}}
  other:
    metrics:
      val_accuracy: {values: [0.95, 0.9505, 0.9495], direction: higher, tolerance: {absolute: 0.005}}
"""
CALLER = """
name: Model gate
on: [push, pull_request]
permissions: {{}}
jobs:
  gate:
    permissions:
      contents: read
      pull-requests: write
    uses: {own}/.github/workflows/gate.yml@{pin}
    with:
      command: python scripts/evaluate.py --config {{config}} --seed {{seed}} --output {{output}}
      configs: configs/*.yaml
      baseline: baseline.yaml
      seeds: 0,1,2
      install: ""
{more}
    secrets:
      openai-api-key: ${{{{ secrets.OPENAI_API_KEY }}}}
"""


def caller(**inputs: str) -> str:
    """Return the calling workflow with more inputs; `_` in a name stands for `-`."""
    lines = [f"      {name.replace('_', '-')}: {value}" for name, value in inputs.items()]
    return CALLER.format(own=OWN, pin=PIN, more="\n".join(lines))


def repository(workflow: str = "", **changes: str) -> Mapping[str, str]:
    """Return the files of the repository; `changes` are more, by path."""
    return {
        "scripts/evaluate.py": EVALUATE,
        "configs/small.yaml": "accuracy: 0.98\n",
        "configs/other.yaml": "accuracy: 0.95\n",
        "baseline.yaml": BASELINE,
        ".github/workflows/gate.yml": workflow or caller(),
        **changes,
    }


def python_folder(folder: Path, python: Path) -> Path:
    """Return a folder whose `python` is an environment that needs nothing installed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        script = folder / name
        script.write_text(
            f'#!/bin/sh\nif [ "$1 $2 $3" = "-m pip install" ]; then shift 3;\n'
            f'exec uv pip install --offline --python "{python}" "$@"; fi\nexec "{python}" "$@"\n'
        )
        script.chmod(0o755)
    return folder
