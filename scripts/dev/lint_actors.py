"""Which of the four roles an action, a step or a job has; the rules about them read it here."""

from __future__ import annotations

import re

from dev.lint_model import Job, Step

CODEX = "openai/codex-action"
ASK = ("actions/ask", "actions/propose", CODEX)
# The two actions that call Codex, and what it may do there.
CALLERS = {
    "actions/ask/action.yml": "read-only",
    "actions/propose/action.yml": "workspace-write",
}
MEASURE = (
    "actions/audit/measure",
    "actions/diagnose/probe",
    "actions/evaluate",
    *(f"actions/export{part}" for part in ("", "/measure", "/retry")),
    "actions/propose/check",
    "actions/train",
)
DECIDE = (
    "actions/analyze",
    "actions/audit",
    "actions/compare",
    "actions/diagnose",
    "actions/discover",
    "actions/drift",
    "actions/export/verify",
    "actions/note",
)
# The action at the root evaluates and compares: `$/`, or `owner/codex-ml-actions` in a template.
ROOT = re.compile(r"\$/?|\./?|[\w.-]+/codex-ml-actions")
RUNS_USER_CODE = re.compile(
    r'/scripts/run" (audit measure|evaluate|diagnose probe|propose check|train'
    r"|export(?! (verify|smoke)))\b"
)
BEFORE_ASK = ("actions/checkout", "actions/download-artifact", "astral-sh/setup-uv")
BESIDE_WRITER = (
    "actions/download-artifact",
    "actions/attest",
    "actions/comment",
    "actions/propose/publish",
)
# Jobs that write by a script of ours, which runs nothing that they fetched.
WRITER_SCRIPTS = {
    ("workflows/baseline-update.yml", "propose"),
    ("workflows/note-close.yml", "propose"),
    ("workflows/export.yml", "upload"),
    ("workflows/init.yml", "propose"),
    ("workflows/sweep.yml", "again"),
    ("workflows/train.yml", "requeue"),
    (".github/workflows/release.yml", "publish"),
}
# The job that adds workflows, which no job's own token may.
OWN_TOKEN = ("workflows/init.yml", "propose")
# Who reads MLflow gets what opens it, and nothing else.
READS_MLFLOW = (
    "actions/analyze",
    "actions/diagnose",
    "actions/drift",
    "actions/sweep",
    "actions/sweep/next",
    "actions/sweep/status",
)
READS_HUB = ("actions/discover",)


def asks(job: Job) -> bool:
    """Tell whether a job calls Codex."""
    return any(step.runs_action(*ASK) for step in job.steps)


def measures(job: Job) -> bool:
    """Tell whether a job runs the user's code."""
    return any(runs_user_code(step) for step in job.steps)


def runs_user_code(step: Step) -> bool:
    """Tell whether a step runs the user's code."""
    calls = step.runs_action(*MEASURE) or ROOT.fullmatch(step.uses)
    return bool(calls or RUNS_USER_CODE.search(step.script))


def decides(step: Step) -> bool:
    """Tell whether a step gives a verdict."""
    return bool(step.runs_action(*DECIDE) or ROOT.fullmatch(step.uses))


def writes(job: Job) -> list[str]:
    """Return the permissions to write that a job has."""
    return [name for name, level in job.permissions.items() if level == "write"]
