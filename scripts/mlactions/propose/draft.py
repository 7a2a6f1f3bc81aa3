"""The text of the draft pull request and of its commit. Pure; all words of an agent are escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlactions.escaping import neutral, one_line, shortened
from mlactions.markdown import LIMIT, link, render
from mlactions.propose.check_result import evidence
from mlactions.propose.render import change
from mlactions.report import Block, Code, Heading, Paragraph, Report
from mlactions.settings import Status

MAX_TITLE = 120
_TRAILER = "Mlactions-Propose"
_NOTE = (
    "> [!CAUTION]\n> Codex wrote this change. Programs checked it; what they did not check is"
    " listed below. Read it as you would a stranger's."
)


def mark_of(key: str) -> str:
    """Return the line by which a pull request of ours is known again."""
    return f"<!-- mlactions:propose:{key} -->"


def title_of(proposal: Mapping[str, Any]) -> str:
    """Return the title: one line that notifies nobody, closes nothing and skips no build."""
    text = neutral(one_line(proposal["title"])).translate(str.maketrans("[]", "()"))
    return shortened(text, MAX_TITLE)


def message_of(proposal: Mapping[str, Any]) -> str:
    """Return the commit's message; its trailer says that the branch is ours."""
    task = f"Codex did the task `{proposal['task']}`; see the pull request for what was checked."
    return f"{title_of(proposal)}\n\n{task}\n\n{_TRAILER}: {proposal['key']}\n"


def is_ours(message: str, key: str) -> bool:
    """Say whether a commit is one that we made for this key."""
    return re.search(rf"^{_TRAILER}: {re.escape(key)}$", message.rstrip(), re.MULTILINE) is not None


def body_of(
    proposal: Mapping[str, Any], checked: Mapping[str, Any], *, tip: str, run_url: str
) -> str:
    """Return the text of the pull request, as long as GitHub lets it be."""
    blocks: list[Block] = [*change(proposal), Heading(2, "Evidence"), *evidence(checked)]
    if tip != checked["commit"]:
        where = ("It was run at ", Code(checked["commit"][:12]), "; since then ")
        blocks.append(Paragraph((*where, "the branch has moved, in other files only.")))
    verdict = f"{proposal['verdict']} {checked['verdict']}"
    report = Report(f"Task: {proposal['task']}", Status.PASS, verdict, tuple(blocks))
    head = f"{mark_of(proposal['key'])}\n{_NOTE}\n\n"
    origin = f"\n<sub>{link('run', run_url)}</sub>\n" if run_url else ""
    return head + render(report, limit=LIMIT - len(head) - len(origin)) + origin
