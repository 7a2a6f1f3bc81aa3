"""The audit itself: what it could not read, and comments that silence it."""

from __future__ import annotations

from mlactions.audit.model import Rule

FAMILY = "audit"
_HERE = "https://github.com/codex-ml-actions/codex-ml-actions/tree/main/actions/audit"

NOT_AUDITED = Rule(
    "not-audited",
    FAMILY,
    "warning",
    "A file or cell was not audited",
    "Nothing is known about it, so it does not count as clean.",
    "Mend it, or leave it out by name with `exclude`.",
    _HERE,
)
NOT_JUDGED = Rule(
    "training-not-judged",
    FAMILY,
    "note",
    "A program trains with a library whose training is not judged",
    "The rules about seeds and deterministic kernels of programs know PyTorch; that they found"
    " nothing here says nothing.",
    "Seed it as the library documents, and run it twice: `--double-run` compares any command.",
    _HERE,
)
NO_REASON = Rule(
    "suppression-without-reason",
    FAMILY,
    "warning",
    "A finding is silenced without a reason",
    "In a year nobody knows whether it was a decision or a shortcut. Without a reason it silences"
    " nothing.",
    "Write why behind the bracket: `# audit: ignore[rule-id] reason`.",
    _HERE,
)
UNKNOWN = Rule(
    "suppression-unknown-rule",
    FAMILY,
    "warning",
    "A comment silences a rule that does not exist",
    "It silences nothing; most often the id is misspelt.",
    "Take the id from the report.",
    _HERE,
)
UNUSED = Rule(
    "suppression-unused",
    FAMILY,
    "note",
    "A comment silences nothing",
    "The code was mended, or the comment stands at the wrong line.",
    "Remove it.",
    _HERE,
)
RULES = (NOT_AUDITED, NOT_JUDGED, NO_REASON, UNKNOWN, UNUSED)
