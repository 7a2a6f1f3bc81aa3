"""Rules about what is used: pins, inputs, secrets, and what a call must be granted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mlactions.doctor.interface import Interface, enough
from mlactions.doctor.model import OWN, Problem, Use, Workflow, mapping

_SHA = re.compile(r"[0-9a-f]{40}")
_KEY = re.compile(r"\bsk-[A-Za-z0-9_-]{16,}")
_SECRET = re.compile(r"\$\{\{\s*secrets\.([\w-]+)\s*\}\}")
_INSTALLED = re.compile(rf"git\+https://github\.com/{OWN}(?:\.git)?(?:@(?P<pin>[\w.-]+))?")
_EXAMPLE = re.compile(r"https?://[\w.-]*\bexample\.(org|com)\b")
_KEY_INPUT = "openai-api-key"


def pins(use: Use, own: str) -> Iterator[Problem]:
    """Yield what is wrong with a pin; `own` is the commit to be at, empty where not known."""
    if use.target.startswith(("./", "docker://", "$/")):
        return
    place = (use.workflow.path, use.line())
    if use.is_ours and use.pin == "0" * 40:
        message = f"`{use.name}` is pinned to the template's placeholder, which GitHub refuses."
        fix = f"Write the commit of a release{_at(own)}."
        yield Problem(*place, "pin-placeholder", "fail", message, fix)
    elif not _SHA.fullmatch(use.pin):
        message = f"`{use.name}` is at `{use.pin or 'nothing'}`, which can be moved."
        fix = f"Write the 40 digits of its commit{_at(own) if use.is_ours else ''}."
        yield Problem(*place, "pin-not-a-commit", "fail" if use.is_ours else "warn", message, fix)
    elif use.is_ours and own and use.pin != own:
        message = f"`{use.name}` is at {use.pin[:12]}, this version is {own[:12]}."
        fix = f"Read the changelog, then write `@{own}`."
        yield Problem(*place, "pin-behind", "warn", message, fix)


def _at(own: str) -> str:
    return f", such as `@{own}`" if own else ""


def mixed_pins(workflows: tuple[Workflow, ...]) -> Iterator[Problem]:
    """Yield uses of this library that differ from the commonest pin: their files may not fit."""
    ours = [
        use
        for workflow in workflows
        for use in workflow.used
        if use.is_ours and _SHA.fullmatch(use.pin)
    ]
    counts: dict[str, int] = {}
    for use in ours:
        counts[use.pin] = counts.get(use.pin, 0) + 1
    common = max(counts, key=lambda pin: (counts[pin], pin), default="")
    for use in ours:
        if use.pin != common:
            message = f"`{use.name}` is at {use.pin[:12]}, most others are at {common[:12]}."
            fix = "Pin all of them to one commit: they pass files to each other."
            yield Problem(use.workflow.path, use.line(), "pins-differ", "warn", message, fix)


def inputs(use: Use, interface: Interface | None) -> Iterator[Problem]:
    """Yield inputs that this version does not know, and those that are missing."""
    path = use.workflow.path
    if interface is None:
        message = f"This version has no `{use.own_path}`."
        fix = "See the actions' table in the README."
        yield Problem(path, use.line(), "unknown-action", "fail", message, fix)
        return
    for name in use.given:
        if name not in interface.inputs:
            message = f"`{use.name}` has no input `{name}`, so it is ignored or refused."
            fix = _closest(name, interface.inputs)
            yield Problem(path, use.line("with", name), "unknown-input", "fail", message, fix)
    unknown = [name for name in use.given if name not in interface.inputs]
    for name, must in interface.inputs.items():
        misspelt = get_close_matches(name, unknown, n=1)  # said above
        if must and name not in use.given and not misspelt:
            message = f"`{use.name}` needs the input `{name}`."
            fix = f"Add `{name}:` below `with:`."
            yield Problem(path, use.line(), "missing-input", "fail", message, fix)
    for name, value in use.given.items():
        if _EXAMPLE.search(str(value)):
            message = f"`{name}` is still the template's example: {value}."
            fix = "Write your own."
            yield Problem(path, use.line("with", name), "example-left", "fail", message, fix)


def _closest(name: str, known: Mapping[str, bool]) -> str:
    close = get_close_matches(name, list(known), n=1)
    listed = ", ".join(f"`{other}`" for other in sorted(known)[:8])
    return f"Did you mean `{close[0]}`?" if close else f"It takes {listed}, and more."


def secrets(use: Use, interface: Interface | None) -> Iterator[Problem]:
    """Yield secrets that are passed in a way that hands out too much, or nowhere."""
    path, given = use.workflow.path, use.data.get("secrets")
    if given == "inherit" and use.is_ours:
        message = "`secrets: inherit` hands over every secret of the repository."
        fix = f"Name the one that is needed: `{_KEY_INPUT}: ${{{{ secrets.OPENAI_API_KEY }}}}`."
        yield Problem(path, use.line("secrets"), "secrets-inherit", "fail", message, fix)
    if interface is None or not use.is_ours:
        return
    for name in mapping(given):
        if name not in interface.secrets:
            message = f"`{use.name}` takes no secret `{name}`: GitHub refuses the workflow."
            fix = _closest(name, interface.secrets) if interface.secrets else "Leave it out."
            yield Problem(path, use.line("secrets", name), "unknown-secret", "fail", message, fix)
    for name, value in {**use.given, **mapping(given)}.items():
        if name == _KEY_INPUT and not _SECRET.search(str(value)):
            message = f"`{name}` is not taken from a secret."
            fix = f"Write `{name}: ${{{{ secrets.OPENAI_API_KEY }}}}`."
            where = "secrets" if name in mapping(given) else "with"
            yield Problem(path, use.line(where, name), "key-not-secret", "fail", message, fix)


def installed(workflow: Workflow, own: str) -> Iterator[Problem]:
    """Yield commands that install this library at something else than this version's commit."""
    for number, line in enumerate(workflow.text.splitlines(), 1):
        found = _INSTALLED.search(line)
        if found is None or found["pin"] == own:
            continue
        pin = found["pin"] or "nothing"
        if not _SHA.fullmatch(pin) or pin == "0" * 40:
            message = f"This library is installed at `{pin}`: not a release, or one that can move."
            fix = f"Write the 40 digits of a release's commit{_at(own)}."
            yield Problem(workflow.path, number, "pin-not-a-commit", "fail", message, fix)
        elif own:
            message = f"This library is installed at {pin[:12]}, this version is {own[:12]}."
            fix = f"Read the changelog, then write `@{own}`."
            yield Problem(workflow.path, number, "pin-behind", "warn", message, fix)


def keys_in_text(workflow: Workflow) -> Iterator[Problem]:
    """Yield lines that hold something like a key; the key itself is not repeated."""
    for number, line in enumerate(workflow.text.splitlines(), 1):
        if _KEY.search(line):
            message = "This line holds what looks like a key, for everybody to read."
            fix = "Revoke it, and store the new one as a secret."
            yield Problem(workflow.path, number, "key-in-file", "fail", message, fix)


def wide_keys(workflow: Workflow) -> Iterator[Problem]:
    """Yield keys that stand in the environment of a workflow or of a whole job."""
    places: list[tuple[tuple[str, ...], Any]] = [(("env",), workflow.data.get("env"))]
    places += [(("jobs", name, "env"), job.get("env")) for name, job in workflow.jobs.items()]
    for keys, environment in places:
        for name, value in mapping(environment).items():
            if "OPENAI_API_KEY" in str(value):
                message = f"`{name}` gives the key to every step, your own code among them."
                fix = f"Give it to the one step that asks: `{_KEY_INPUT}`."
                yield workflow.problem("key-too-wide", "fail", (*keys, name), message, fix)


def grants(use: Use, interface: Interface | None) -> Iterator[Problem]:
    """Yield what a call of a reusable workflow is granted too little or too much of."""
    if interface is None or not use.calls_workflow:
        return
    workflow = use.workflow
    own = use.data.get("permissions")
    granted = own if own is not None else workflow.data.get("permissions")
    keys = (*use.keys, "permissions") if own is not None else ("permissions",)
    if not isinstance(granted, dict):
        return  # `permissions` says what it is
    for name, level in interface.permissions.items():
        if not enough(str(granted.get(name, "none")), level):
            message = f"`{use.name}` needs `{name}: {level}`; GitHub refuses a call with less."
            fix = f"Add `{name}: {level}` to the job's `permissions`."
            yield workflow.problem("permission-missing", "fail", use.keys, message, fix)
    for name, level in granted.items():
        if level == "write" and interface.permissions.get(name) != "write":
            message = f"`{name}: write` is more than `{use.name}` asks for."
            enough_of_it = interface.permissions.get(name)
            fix = f"Write `{name}: {enough_of_it}`." if enough_of_it else "Take it out."
            yield workflow.problem("permission-too-wide", "warn", (*keys, name), message, fix)


def named_secrets(workflow: Workflow) -> tuple[str, ...]:
    """Return the names of the secrets that a workflow asks for."""
    return tuple(sorted(set(_SECRET.findall(workflow.text))))
