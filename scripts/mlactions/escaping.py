"""What keeps data from becoming markup in GitHub Markdown and in the filters GitHub runs after it.

Markdown's own syntax is escaped with backslashes, only where it would mean something, because
people also read reports as plain text. Mentions, issue references, bare URLs and emoji names are
found by GitHub in the finished text, where a backslash is gone; a word joiner (U+2060, no width)
breaks those. Text is freed of such characters first, so that none can undo another.
"""

from __future__ import annotations

import re

JOINER = "\u2060"
"""A character without width that ends what GitHub takes for a name, a number or a URL."""

MAX_PROSE = 4_000
MAX_CODE = 1_000
MAX_LINE = 2_000

_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"
)
# Unicode's "default ignorable" and control characters; an emoji keeps its one variation selector.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<![\u203c-\u2bff\u3030\u303d\U0001f000-\U0001faff])\ufe0f"
)
_UNSPEAKABLE = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")

_NOTIFYING = re.compile(
    r"""(?P<before>
        @ (?=[\w-]|$)                           # a person, a team, a mail address
      | \# (?=\d|$) | (?<![a-z\d]) GH- (?=\d)   # an issue or pull request, keyword or not
      | : (?=//)                                # a URL of any scheme
      | www (?=\.)                              # a URL without one
      | : (?=[\w+-]{1,60}:) (?!(?!100:|1234:)\d+:)     # an emoji's name, not a time of day
      | <! (?=--)                               # a comment, such as the mark of a sticky comment
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_SPECIAL = re.compile(
    r"""
        [`*\[~\#]
      | \\ (?=[!-/:-@\[-`{-~]|$)                # a backslash that would escape what follows
      | _ (?![^\W_]) | (?<![^\W_]) _            # inside a word an underscore is only that
      | < (?=[A-Za-z/!?]|$)
      | & (?=[\#A-Za-z]|$)
    """,
    re.VERBOSE,
)
_BLOCK_START = re.compile(r"^(?:(\d{1,9})(?=[.)](?:\s|$))|(?=>|=|[-+](?:\s|[-\s]*$)))")
_PROSE_LINK = re.compile(r"!?\[([^\[\]]*)\]\(([^()]*)\)")
_PROSE_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_BACKTICKS = re.compile(r"`+")


def printable(text: str) -> str:
    """Drop what hides or reorders text: colour codes, controls, zero-width, bidirectional, tags.

    Lines and tabs stay, every line end becomes a line feed; half a surrogate pair, which no file
    can hold, becomes U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_END.sub("\n", _TERMINAL.sub("", text))
    return _UNSPEAKABLE.sub("\ufffd", _INVISIBLE.sub("", text))


def one_line(text: str) -> str:
    """Return printable text whose runs of white space are one space."""
    return " ".join(printable(text).split())


def neutral(text: str) -> str:
    """Return text that notifies nobody, closes nothing, links nowhere and opens no comment."""
    return _NOTIFYING.sub(rf"\g<before>{JOINER}", printable(text))


def escape(text: str) -> str:
    """Escape one line of text so that it reads as written wherever it stands inside a line.

    A table cell also needs its pipes escaped (`cell`), the start of a block `block_start`.
    """
    line = _SPECIAL.sub(r"\\\g<0>", neutral(one_line(text)))
    # The way GitHub documents to write a dollar sign that begins no formula.
    return line.replace("$", "<span>$</span>")


def block_start(line: str) -> str:
    """Keep an escaped line from starting a list, a quotation, a rule or a heading's underline."""
    return _BLOCK_START.sub(r"\1\\", line, count=1)


def cell(line: str) -> str:
    """Make a rendered line fit for a table cell: a row is split at pipes before all else."""
    return line.replace("|", "\\|")


def code(text: str) -> str:
    """Return inline code; the fence is longer than any run of backticks inside."""
    line = one_line(shortened(text, MAX_CODE)).replace("<!--", f"<!{JOINER}--") or " "
    fence = "`" * (_longest(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def listing(text: str, language: str = "") -> str:
    """Return a fenced block: lines as they are, the very long ones shortened."""
    lines = printable(text).rstrip().replace("<!--", f"<!{JOINER}--").split("\n")
    body = "\n".join(shortened(line, MAX_LINE) for line in lines)
    fence = "`" * max(3, _longest(body) + 1)
    return f"{fence}{_language(language)}\n{body}\n{fence}"


def untrusted(text: str) -> str:
    """Return agent prose or log text without links and images: their words, then their target."""
    return _PROSE_LINK.sub(_words, shortened(printable(text), MAX_PROSE))


def prose(text: str) -> str:
    """Return agent prose or log text as one escaped line; only its inline code stays code."""
    parts = _PROSE_CODE.split(untrusted(text))
    return "".join(code(part) if odd % 2 else spaced(part) for odd, part in enumerate(parts))


def spaced(text: str) -> str:
    """Escape a piece of a line; where it began or ended with space, one space stays."""
    lead, trail = text[:1].isspace(), text[-1:].isspace() and not text.isspace()
    return f"{' ' * lead}{escape(text)}{' ' * trail}"


def shortened(text: str, limit: int) -> str:
    """Return at most `limit` characters, and how many more there were."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … ({len(text) - limit:,} more characters)"


def _words(match: re.Match[str]) -> str:
    words, target = match[1].strip(), match[2].strip()
    return words or target if target in ("", words) or not words else f"{words} ({target})"


def _language(name: str) -> str:
    """Drop a language that GitHub would draw instead of show."""
    drawn = {"mermaid", "math", "geojson", "topojson", "stl", "suggestion"}
    return name if re.fullmatch(r"[\w+-]{1,30}", name) and name.lower() not in drawn else ""


def _longest(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
