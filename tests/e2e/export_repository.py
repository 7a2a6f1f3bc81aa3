"""The example repository with a trained checkpoint, and the workflow that exports it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from dev.docs import OWN
from tests.e2e.bridge import ROOT

PIN = "0" * 40
EXAMPLE = ROOT / "examples" / "digits"
EXAMPLE_PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
CHECKPOINT = "models/model.pt"
CALLER = f"""
name: Model export
on: [push, pull_request]
permissions: {{}}
jobs:
  export:
    permissions:
      contents: read
      pull-requests: write
    uses: {OWN}/.github/workflows/export.yml@{PIN}
    with:
      model: src.models.export:classifier
      model-arguments: '{{"config": "smoke_test"}}'
      checkpoint: {CHECKPOINT}
      checkpoint-key: weights
      example-inputs: "images: float32[batch,1,8,8]"
      outputs: logits
      target: onnxruntime
      requests: "20"
      level-seconds: "2"
      install: ""
      codex-model: scripted-model
      responses-api-endpoint: ${{{{ vars.ENDPOINT }}}}
    secrets:
      openai-api-key: ${{{{ secrets.OPENAI_API_KEY }}}}
"""

FORWARD = "        logits: Tensor = self.head(self.features(images))\n"
BRANCH = f"""\
        if images.abs().max() > 4:
            images = images.clamp(-4, 4)
{FORWARD}"""
BROKEN_FILE = "src/models/cnn.py"


@cache
def example_files() -> Mapping[str, str]:
    """Return the example as Git tracks it, or would."""
    assert EXAMPLE_PYTHON.exists(), "run `make test`, which sets the example's environment up"
    command = ["git", "-C", str(EXAMPLE), "ls-files", "-z"]
    names = subprocess.check_output(command, text=True).split("\0")
    return {name: (EXAMPLE / name).read_text() for name in names if name}


@cache
def checkpoint() -> bytes:
    """Train the smallest model of the example, in seconds, and return its checkpoint."""
    with TemporaryDirectory() as folder:
        command = [str(EXAMPLE_PYTHON), "scripts/train.py", "--config-name", "smoke_test"]
        command += ["tracking.enabled=false", f"hydra.run.dir={folder}"]
        subprocess.run(command, cwd=EXAMPLE, check=True, capture_output=True)
        return (Path(folder) / "model.pt").read_bytes()


def repository(workflow: str = CALLER, folder: str = "") -> Mapping[str, str | bytes]:
    """Return the files of a repository that holds the example and its checkpoint in a folder."""
    files: dict[str, str | bytes] = {**example_files(), CHECKPOINT: checkpoint()}
    return {
        **{f"{folder}{name}": content for name, content in files.items()},
        ".github/workflows/export.yml": workflow,
    }


def caller(**inputs: str) -> str:
    """Return the calling workflow with more inputs; `_` in a name stands for `-`."""
    lines = [f"      {name.replace('_', '-')}: {value}\n" for name, value in inputs.items()]
    return CALLER.replace("    with:\n", f"    with:\n{''.join(lines)}")


def with_a_branch() -> Mapping[str, str]:
    """Return the change that makes the model decide by the values of its input."""
    text = example_files()[BROKEN_FILE]
    assert FORWARD in text
    return {BROKEN_FILE: text.replace(FORWARD, BRANCH)}


def line_of_the_branch() -> int:
    """Return where the branch is."""
    lines = with_a_branch()[BROKEN_FILE].splitlines()
    return 1 + next(i for i, line in enumerate(lines) if "images.abs().max()" in line)


def suggestion(*, applies: bool = True) -> str:
    """Return a diff that takes the branch out, or one made for another file."""
    number = line_of_the_branch() - 1
    context = '        """Return logits (B, num_classes) for normalised images (B, 1, 8, 8)."""'
    threshold = 4 if applies else 5
    return f"""\
--- a/{BROKEN_FILE}
+++ b/{BROKEN_FILE}
@@ -{number},4 +{number},3 @@
 {context}
-        if images.abs().max() > {threshold}:
-            images = images.clamp(-{threshold}, {threshold})
+        images = images.clamp(-{threshold}, {threshold})
 {FORWARD}"""
