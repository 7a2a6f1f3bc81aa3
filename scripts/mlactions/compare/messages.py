"""Messages name things in backticks; reports show those as code."""

from __future__ import annotations

import re

from mlactions.report import Code, Span


def spans_of(message: str) -> tuple[Span, ...]:
    """Turn the parts of a message that stand in backticks into code."""
    parts = re.split(r"`([^`]*)`", message)
    return tuple(Code(part) if n % 2 else part for n, part in enumerate(parts) if part)
