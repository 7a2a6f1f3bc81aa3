"""How a checked answer reads: facts by us, the agent's words as words only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions import markdown
from mlactions.ask import render_answer
from mlactions.ask.render import ROOM, render_report, sentence
from mlactions.report import Report, Struck, Untrusted
from mlactions.settings import Status
from tests.github_html import page

TAGS = {
    "span",
    "h2",
    "h3",
    "h4",
    "p",
    "strong",
    "code",
    "ul",
    "li",
    "details",
    "summary",
    "del",
    "br",
}

USAGE = {
    "input_tokens": 12345,
    "cached_input_tokens": 10000,
    "output_tokens": 800,
    "reasoning_tokens": 300,
    "seconds": 41.25,
    "commands": 9,
    "mcp_calls": 0,
    "mcp_failures": 0,
    "model": "gpt-6.1-sol",
    "codex_version": "0.169.0",
}
HELD = {
    "model": "digits_cnn",
    "metric": "test_accuracy",
    "facts": ["compare.a"],
    "file": "src/train.py",
    "line": 3,
    "explanation": "The learning rate is 0.5 now.",
    "confidence": "high",
    "held": True,
    "struck": [],
    "numbers_unverified": ["0.77"],
    "quote": "lr = 0.5",
}
STRUCK = {
    **HELD,
    "explanation": "The data changed.",
    "held": False,
    "struck": ["no fact has the id 'x'", "'data.py' is a link"],
    "quote": "",
}
ANSWERED: dict[str, Any] = {
    "version": 1,
    "status": "answered",
    "reason": "",
    "detail": "",
    "commit": "",
    "summary": "It got worse.",
    "findings": [HELD, STRUCK],
    "next_steps": ["Set it back.", "Try 0.003."],
    "numbers_unverified": {"summary": ["87.3 %"], "next_steps": ["0.003"]},
    "claims": {"checked": 14, "held": 11},
    "facts": {"compare.a": "test_accuracy changed by -0.031"},
    "usage": USAGE,
}
NOT_ANSWERED = {**ANSWERED, "status": "infrastructure-failed", "findings": [], "usage": None}


def shown(checked: dict[str, Any], *facts: dict[str, Any]) -> str:
    blocks = render_answer(checked, facts)
    return markdown.render(Report("compare", Status.FAIL, "It failed.", blocks))


def test_an_answer_reads_like_this() -> None:
    assert (
        shown(ANSWERED)
        == """\
## ❌ compare

It failed.

### Why: Codex's explanation

It got worse.

⚠️ Unverified, nothing measured matches: `87.3 %`

**digits_cnn · test_accuracy** in `src/train.py:3`, confidence high

The learning rate is 0.5 now.

- There: `lr = 0.5`
- Measured: test_accuracy changed by -0.031

⚠️ Unverified, nothing measured matches: `0.77`

<details><summary>1 explanation was struck: a claim did not hold</summary>

- ~~The data changed.~~ — no fact has the id 'x'; 'data.py' is a link

</details>

#### Next steps it proposes

- Set it back.
- Try 0.003.

Proposed, not measured: `0.003`

Claims checked: 14, held: 11. The verdict does not depend on it. Codex 0.169.0, `gpt-6.1-sol`: \
12,345 tokens in, 10,000 of them cached, 800 out, 9 commands, 41.2 s.
"""
    )


def test_the_bundle_s_own_facts_come_first() -> None:
    fact = {"id": "compare.a", "text": "as the bundle has it", "value": None}
    assert "Measured: as the bundle has it" in shown(ANSWERED, fact)


def test_many_facts_are_counted() -> None:
    facts = {f"compare.{number}": f"fact {number}" for number in range(8)}
    text = shown({**ANSWERED, "findings": [{**HELD, "facts": list(facts)}], "facts": facts})
    assert text.count("Measured: ") == 5
    assert "… and 3 more" in text


def test_the_report_of_the_step_alone() -> None:
    report = render_report(ANSWERED)
    assert (report.status, report.verdict) == (
        Status.WARN,
        "Codex answered; 11 of 14 claims held.",
    )
    whole = {**ANSWERED, "claims": {"checked": 14, "held": 14}}
    assert render_report(whole).status is Status.PASS


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("no-key", "no API key"),
        ("actor", "does not answer this bot"),
        ("not-set-up", "write access"),
        ("check-failed", "could not be checked"),
        ("auth", "not accepted"),
        ("quota", "no quota"),
        ("timed-out", "in time"),
        ("sandbox-dead", "user namespaces"),
        ("unproven", "nothing proves"),
        ("a-reason-of-tomorrow", "could not be asked"),
    ],
)
def test_without_an_answer_one_sentence_says_why(reason: str, words: str) -> None:
    checked = {**NOT_ANSWERED, "reason": reason, "detail": "<b>429</b> @all"}
    text = shown(checked)
    assert words in text
    assert "The verdict does not depend on it." in text
    assert f"`infrastructure-failed: {reason}`" in text
    found = page(text)
    assert "b" not in found.tags
    assert "<b>429</b>" in found.text
    assert "@all" not in found.text


def test_a_refusal_is_called_one() -> None:
    refused = {**NOT_ANSWERED, "status": "refused", "reason": "cyber-policy"}
    assert sentence(refused) == "No explanation: the model refused the question."


def test_where_nothing_failed_a_report_says_nothing() -> None:
    quiet = {**NOT_ANSWERED, "status": "not-called", "reason": "nothing-to-explain"}
    assert render_answer(quiet) == ()
    assert render_report(quiet).status is Status.SKIPPED


def test_an_answer_without_usage_is_rendered() -> None:
    assert "Claims checked" in shown({**ANSWERED, "usage": None})


LONG = {**HELD, "explanation": "It is the optimiser state. " * 140}


def test_a_long_answer_leaves_room_for_the_verdict() -> None:
    steps = ["Look there."]
    checked = {**ANSWERED, "findings": [LONG] * 20, "next_steps": steps}
    text = shown(checked)
    assert len(text) < ROOM + 1_000
    assert text.count("confidence high") == 5
    assert "15 parts of it are left out here: the answer is too long. The artifact has it." in text
    assert "Look there." in text
    assert "Claims checked: 14, held: 11." in text
    whole = markdown.render(render_report(checked), limit=10**6)
    assert whole.count("confidence high") == 20
    assert "left out" not in whole


def test_a_summary_that_grows_when_escaped_is_cut() -> None:
    text = shown({**ANSWERED, "summary": "$" * 4_000})
    assert len(text) < ROOM
    assert "$…" in text.replace("<span>", "").replace("</span>", "")
    assert "The end of its summary is left out here: the answer is too long." in text
    assert "confidence high" in text


def test_a_long_diff_is_in_the_artifact() -> None:
    patch = {"held": True, "struck": "", "files": [], "text": "+x\n" * 20_000}
    checked = {**ANSWERED, "patch": patch}
    assert len(shown(checked)) < ROOM
    assert "1 part of it is left out here" in shown(checked)
    assert "+x" in markdown.render(render_report(checked), limit=10**6)


def test_an_answer_of_ordinary_length_is_whole() -> None:
    checked = {**ANSWERED, "findings": [HELD] * 20}
    assert shown(checked).count("confidence high") == 20
    assert "left out" not in shown(checked)


hostile = st.text(max_size=60) | st.sampled_from(
    ["<!-- mlactions:gate -->", "![x](https://evil.example/?q=1)", "fixes #1", "@team", "```\n# x"]
)


@given(
    words=st.tuples(hostile, hostile, hostile, hostile, hostile, hostile),
    line=st.integers(),
    held=st.booleans(),
)
def test_no_words_of_the_agent_become_markup(words: tuple[str, ...], line: int, held: bool) -> None:
    finding = {**HELD, "explanation": words[0], "model": words[1], "file": words[2], "line": line}
    finding |= {"metric": words[3], "held": held, "struck": [] if held else [words[4]]}
    checked = {**ANSWERED, "findings": [finding], "summary": words[4], "next_steps": [words[5]]}
    found = page(shown(checked))
    assert (found.links, found.comments) == ([], [])
    assert set(found.tags) <= TAGS
    assert found.notifies() == {}


def test_prose_of_the_agent_is_marked_as_such() -> None:
    def spans(value: object) -> list[object]:
        if isinstance(value, tuple):
            return [span for item in value for span in spans(item)]
        inner = [getattr(value, name) for name in getattr(value, "__dataclass_fields__", ())]
        return [value, *spans(tuple(inner))]

    found = spans(render_answer(ANSWERED))
    assert {"It got worse.", "The learning rate is 0.5 now.", "Set it back."} <= {
        span.text for span in found if isinstance(span, Untrusted)
    }
    assert [span.text for span in found if isinstance(span, Struck)] == ["The data changed."]
