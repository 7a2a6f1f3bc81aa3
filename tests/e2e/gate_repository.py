"""A small ML repository without torch, and the workflow that gates it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dev.docs import OWN
from tests.e2e.bridge import CACHE_MODE, ROOT

PIN = "0" * 40
BASELINE_FILE = "configs/baseline.yaml"

# Reads `accuracy: 0.98` from a config and adds a little noise that depends on the seed alone.
EVALUATE = """
import argparse, json, pathlib, random, time

parser = argparse.ArgumentParser()
parser.add_argument("--config", type=pathlib.Path)
parser.add_argument("--seed", type=int)
parser.add_argument("--output", type=pathlib.Path)
arguments = parser.parse_args()
value = arguments.config.read_text().split("accuracy:")[1].strip()
if value == "crash":
    raise SystemExit("RuntimeError: CUDA out of memory")
if value == "hang":
    time.sleep(600)
accuracy = float(value)
noise = random.Random(arguments.seed).uniform(-0.001, 0.001)
metrics = {"val_accuracy": round(accuracy + noise, 5)}
arguments.output.write_text(json.dumps({"metrics": metrics}))
"""
BASELINE = """
version: 1
models:
  small:
    metrics:
      val_accuracy: {values: [0.98, 0.981, 0.979], direction: higher, tolerance: {absolute: 0.005}}
  other:
    metrics:
      val_accuracy: {values: [0.95, 0.951, 0.949], direction: higher, tolerance: {absolute: 0.005}}
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
        BASELINE_FILE: BASELINE,
        "requirements.txt": "",
        ".github/workflows/gate.yml": workflow or caller(),
        **changes,
    }


def template(name: str) -> str:
    """Return a template as it stands, but for a key that act does not know."""
    return CACHE_MODE.sub("", (ROOT / "workflows" / f"{name}.yml").read_text())


def first_workflow() -> str:
    """Return the first workflow of the README, as it stands there."""
    readme = (ROOT / "README.md").read_text()
    return readme.partition("```yaml\n")[2].partition("```\n")[0]


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
