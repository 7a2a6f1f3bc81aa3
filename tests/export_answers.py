"""A failed export as `verify` leaves it, and answers about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlactions.bundle import write_json
from mlactions.export.exported import (
    Exported,
    Failure,
    Metadata,
    Model,
    Module,
    Provenance,
    SourceLine,
    Timing,
)
from tests.ask_cases import Project, git, make_bundle, write

FAILED = "export.failure.class"
FACTS = [
    {
        "id": FAILED,
        "text": "the export of model:factory failed: data-dependent-control-flow",
        "value": "data-dependent-control-flow",
        "file": "src/model.py",
        "line": 5,
    },
]
MODEL = """\
import torch


def forward(x):
    if x.sum() > 0:
        return x * 2
    return x
"""
GOOD = """\
--- a/src/model.py
+++ b/src/model.py
@@ -4,4 +4,2 @@ import torch
 def forward(x):
-    if x.sum() > 0:
-        return x * 2
-    return x
+    return torch.where(x.sum() > 0, x * 2, x)
"""


def answer(patch: str) -> dict[str, Any]:
    """Return an answer that blames the branch and suggests a diff."""
    finding = {
        "model": "",
        "metric": "",
        "facts": [FAILED],
        "file": "src/model.py",
        "line": 5,
        "explanation": "The branch depends on the values of x.",
        "confidence": "high",
    }
    steps = ["Export again with the change."]
    return {
        "summary": "A branch on a tensor's values stops the exporter.",
        "findings": [finding],
        "next_steps": steps,
        "patch": patch,
    }


def failed_export() -> Exported:
    """Return what the measuring part found: a branch that the exporter cannot follow."""
    failure = Failure(
        "data-dependent-control-flow",
        "Could not guard on data-dependent expression",
        "src/model.py",
        5,
        "block",
        (SourceLine(5, "    if x.sum() > 0:"),),
        ("CANARY-TAIL 41.5",),
        "logs/exporter.md",
    )
    tree = (Module("block", "Block", 10, "src/model.py", 4),)
    return Exported(
        status="failed",
        failure=failure,
        model=Model("model:factory", "Net", 10, 40, (), tree),
        checkpoint=None,
        inputs=(),
        outputs=(),
        axes=(),
        opset=20,
        precision="fp32",
        optimize="none",
        quantize="none",
        files=(),
        cases=(),
        timing=Timing(),
        task=None,
        metadata=Metadata(),
        provenance=Provenance(),
    )


def make_failed_export(folder: Path) -> Project:
    """Make a repository whose model cannot be exported, and the result of the export."""
    repository = folder / "repository"
    write(repository / "src/model.py", MODEL)
    git(folder, "init", "-q", "-b", "main", str(repository))
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "First")
    head = git(repository, "rev-parse", "HEAD")
    bundle = folder / "export"
    write_json(bundle / "export.json", failed_export().document())
    write(bundle / "logs/exporter.md", "# CANARY-REPORT\n")
    make_bundle(bundle, head, word="export", facts=FACTS)
    return Project(repository, bundle, "", head, folder / "question")
