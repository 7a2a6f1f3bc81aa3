"""What a terminal can show: colours, symbols, and how much of a report."""

from __future__ import annotations

from dataclasses import dataclass

from mlactions.escaping import printable
from mlactions.settings import Status
from mlactions.text import one_line


@dataclass(frozen=True)
class Glyphs:
    """The symbols of one character set."""

    icons: dict[Status, str]
    marks: dict[Status, str]
    rule: str
    gutter: str
    bullet: str
    dot: str
    folded: str
    unfolded: str
    ellipsis: str
    arrow: str
    bar: tuple[str, ...]
    spark: str
    zero: str
    limit: str
    whisker: str
    crossing: str
    ends: tuple[str, str]
    clipped: tuple[str, str]


UNICODE = Glyphs(
    icons={
        Status.PASS: "✓",
        Status.WARN: "!",
        Status.FAIL: "✗",
        Status.SKIPPED: "–",
        Status.REFUSED: "⊘",
    },
    # A shape per verdict, so that colour is never the only difference.
    marks={
        Status.PASS: "●",
        Status.WARN: "◆",
        Status.FAIL: "■",
        Status.SKIPPED: "○",
        Status.REFUSED: "○",
    },
    rule="─",
    gutter="│",
    bullet="•",
    dot="·",
    folded="▸",
    unfolded="▾",
    ellipsis="…",
    arrow="→",
    bar=("", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"),
    spark="▁▂▃▄▅▆▇█",
    zero="┊",
    limit="│",
    whisker="─",
    crossing="┼",
    ends=("├", "┤"),
    clipped=("◂", "▸"),
)

ASCII = Glyphs(
    icons={
        Status.PASS: "+",
        Status.WARN: "!",
        Status.FAIL: "x",
        Status.SKIPPED: "-",
        Status.REFUSED: "/",
    },
    marks={
        Status.PASS: "o",
        Status.WARN: "*",
        Status.FAIL: "X",
        Status.SKIPPED: ".",
        Status.REFUSED: ".",
    },
    rule="-",
    gutter="|",
    bullet="*",
    dot="|",
    folded=">",
    unfolded="v",
    ellipsis="...",
    arrow="->",
    bar=("", "#"),
    spark="_.-=*#",
    zero=":",
    limit="|",
    whisker="-",
    crossing="+",
    ends=("[", "]"),
    clipped=("<", ">"),
)

# Typography that our own sentences use; anything else outside ASCII is shown as an escape.
_PLAIN = {
    ord(sign): words
    for sign, words in {
        "−": "-",
        "–": "-",
        "—": "-",
        "…": "...",
        "→": "->",
        "×": "x",
        "±": "+/-",
        "∞": "inf",
        "≤": "<=",
        "≥": ">=",
        "Δ": "Delta",
        "µ": "u",
        "·": "*",
        "•": "*",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "✓": "+",
        "✗": "x",
        "\u00a0": " ",
    }.items()
}

COLOURS = {
    Status.PASS: "32",
    Status.WARN: "33",
    Status.FAIL: "31",
    Status.SKIPPED: "90",
    Status.REFUSED: "35",
}
"""One of the sixteen colours that every terminal theme defines, so dark and light both work."""

SERIES = ("34", "33", "36", "35", "32", "31")

BOLD, DIM, CODE, STRUCK = "1", "2", "36", "2;9"


@dataclass(frozen=True)
class Theme:
    """How to draw; `rows` caps tables, charts and listings, None shows everything."""

    color: bool
    unicode: bool
    verbose: bool
    rows: int | None

    @property
    def glyphs(self) -> Glyphs:
        """The symbols that the output's encoding has."""
        return UNICODE if self.unicode else ASCII

    def line(self, text: str) -> str:
        """Return data as one safe line in the output's character set."""
        return self._encodable(one_line(text))

    def lines(self, text: str) -> list[str]:
        """Return data as safe lines, tabs expanded."""
        return [self._encodable(line.expandtabs(4)) for line in printable(text).split("\n")]

    def paint(self, text: str, style: str) -> str:
        """Wrap text in a style (SGR parameters, ECMA-48); nothing where there is no colour."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.color and style and text else text

    def banner(self, status: Status) -> str:
        """Return the verdict's word: on its colour, or with its icon."""
        word = status.value.upper()
        if not self.color:
            return f"{self.glyphs.icons[status]} {word}"
        background = {"90": "100"}.get(COLOURS[status], f"4{COLOURS[status][1]}")
        foreground = "30" if status in {Status.PASS, Status.WARN} else "97"
        return self.paint(f" {word} ", f"1;{foreground};{background}")

    def _encodable(self, text: str) -> str:
        if self.unicode or text.isascii():
            return text
        return text.translate(_PLAIN).encode("ascii", "backslashreplace").decode("ascii")
