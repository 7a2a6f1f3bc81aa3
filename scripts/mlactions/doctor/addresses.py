"""Rules about addresses: passwords that everybody reads, servers out of reach. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlactions.codex_home.request import holds_password
from mlactions.doctor.model import Problem, Use, Workflow
from mlactions.errors import UserError
from mlactions.init.address import PASSWORD_IN_URL, is_loopback

_TRACKING = "tracking-uri"


def passwords(workflow: Workflow) -> Iterator[Problem]:
    """Yield lines with an address that holds a password; it is not repeated."""
    lines = enumerate(workflow.text.splitlines(), 1)
    found = {number for number, line in lines if PASSWORD_IN_URL.search(line)}
    found |= {use.line("with", _TRACKING) for use in _tracking(workflow) if _is_secret(use)}
    for number in sorted(found):
        message = "This line has an address with a password or a token, for everybody to read."
        fix = "Change that password, take it out, and store the new one as a secret."
        yield Problem(workflow.path, number, "password-in-file", "fail", message, fix)


def out_of_reach(workflow: Workflow) -> Iterator[Problem]:
    """Yield servers that only the machine of whoever wrote the line reaches."""
    for use in _tracking(workflow):
        if is_loopback(str(use.given[_TRACKING])):
            message = f"`{_TRACKING}` names the runner itself: no MLflow is there."
            fix = "Name a server that runners reach."
            line = use.line("with", _TRACKING)
            yield Problem(workflow.path, line, "loopback-address", "warn", message, fix)


def _tracking(workflow: Workflow) -> list[Use]:
    ours = (use for use in workflow.used if use.is_ours)
    return [use for use in ours if "${{" not in str(use.given.get(_TRACKING, "${{"))]


def _is_secret(use: Use) -> bool:
    try:
        return holds_password(str(use.given[_TRACKING]))
    except UserError:
        return False  # no address at all
