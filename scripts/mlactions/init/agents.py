"""The text of AGENTS.md, each sentence with the lines that show it, and advice for Codex. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlactions.escaping import code
from mlactions.init.model import Asked, Evidence, Findings

_RULES = {
    "seed": "Seed every new source of randomness here too.",
    "mixed precision": "New steps of the training belong inside the same context.",
    "logging": "Log new metrics and parameters the same way.",
    "checkpoints": "Keep what is saved loadable: old checkpoints must still open.",
    "data loading": "No `generator` and no `worker_init_fn` is given there.",
}
_SEEDED_LOADERS = "Give new loaders theirs too."
_TITLES = {
    "seed": "Seeds",
    "mixed precision": "Mixed precision",
    "logging": "Logging",
    "checkpoints": "Checkpoints",
    "data loading": "Data loading",
}
ADVICE = """\
# ~/.codex/config.toml, or .codex/config.toml of a repository that you trust
approval_policy = "on-request"
sandbox_mode = "workspace-write"

[sandbox_workspace_write]
network_access = false   # data and weights are fetched before, by name and revision
"""


def agents_text(found: Findings, asked: Asked, *, has_baseline: bool) -> str:
    """Return AGENTS.md: commands, conventions and limits, as found in the code."""
    judged = "- `configs/baseline.yaml` judges metrics: never change it to make a check pass."
    lines = [
        "# Working on this repository",
        "",
        "Found in the code by `mlactions init`; correct what is wrong, and keep what is true.",
        "",
        *_commands(found, asked),
        *_conventions(found),
        "## Limits",
        "",
        *([judged] if has_baseline else []),
        "- Do not commit checkpoints, data or results of runs.",
    ]
    return "\n".join(lines) + "\n"


def _commands(found: Findings, asked: Asked) -> Iterator[str]:
    rows = []
    if asked.install:
        rows.append(("install", asked.install, found.packages.source or "as given"))
    if found.packages.tools:
        rows.append(("install the checks", *found.packages.tools))
    for script in found.scripts[:6]:
        command = f"{found.packages.run} {script.arguments}"
        if script.role == "evaluate" and asked.command:
            command = asked.command
        rows.append((script.role, command, f"{script.path}:{script.line}"))
    start = found.packages.run.removesuffix("python")
    rows += [("check", _started(start, command), source) for command, source in found.checks]
    yield from ("## Commands", "")
    if not rows:
        yield from ("None were found: write down how to install, train, evaluate and test.", "")
        return
    yield from ("| for | command | from |", "|---|---|---|")
    for purpose, command, source in rows:
        yield f"| {purpose} | {code(command).replace('|', chr(92) + '|')} | {code(source)} |"
    yield ""


def _started(start: str, command: str) -> str:
    """Return a check as it is run in the environment; make sees to that itself."""
    return command if command.startswith("make ") else f"{start}{command}"


def _conventions(found: Findings) -> Iterator[str]:
    yield from ("## Conventions", "")
    for name, evidence in sorted(found.frameworks.items()):
        yield f"- {name[:1].upper()}{name[1:]} is used: {_place(evidence)}."
    for topic, places in found.conventions.items():
        shown = ", ".join(f"{code(place.what)} ({_place(place)})" for place in places)
        seeded = topic == "data loading" and any("(" in place.what for place in places)
        yield f"- **{_TITLES[topic]}**: {shown}. {_SEEDED_LOADERS if seeded else _RULES[topic]}"
    missing = [
        topic for topic in ("seed", "logging", "checkpoints") if topic not in found.conventions
    ]
    if missing and found.scripts:
        yield f"- No call was found for: {', '.join(missing)}. Say here how it is done."
    if not found.frameworks and not found.conventions:
        yield "None were found in the code."
    yield ""


def _place(evidence: Evidence) -> str:
    return code(str(evidence))
