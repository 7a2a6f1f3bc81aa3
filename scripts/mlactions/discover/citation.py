"""BibTeX for a repository: what its card gives, or an entry with address and revision. Pure."""

from __future__ import annotations

import re

from mlactions.discover.model import HOME, Citation, Entry
from mlactions.escaping import printable

MAX_CITATION = 4_000
_FENCE = re.compile(r"```[ \t]*(?:bibtex|bib|latex|text)?[ \t]*\n([^`]*)```", re.IGNORECASE)
_START = re.compile(
    r"@(?:article|book|conference|inproceedings|misc|phdthesis|software|techreport)"
    r"\s*\{\s*[^\s,{}@\"\\%]{1,100}\s*,",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"\\([A-Za-z@]+|[\s\S]?)")
_HARMLESS = (  # accents and letters, then characters and spaces, emphasis, links, mathematics
    "\" ' ` ^ ~ = . c v u H k r b d t o O l L i j ss ae AE oe OE aa AA th TH dh DH dj DJ "
    "_ & % $ # - / , ; : ! ( ) [ ] \\ "
    "emph textit textbf texttt textrm textsc textsuperscript textsubscript textendash textemdash "
    "url LaTeX TeX BibTeX ldots dots alpha beta gamma delta epsilon lambda mu pi sigma tau omega "
    "times cdot ell infty mathbf mathcal mathrm mathit text rm bf it em"
)
_ALLOWED = frozenset(_HARMLESS.split()) | {" ", "\n"}
_LINK = re.compile(r"\\url(?![A-Za-z@])")
_WEB = re.compile(r"\s*\{\s*https?://")
_NOT_IN_KEY = re.compile(r"[^a-z0-9]+")


def cite(entry: Entry, card: str, *, endpoint: str = HOME) -> Citation:
    """Return the citation of the card, or one that names address and revision."""
    found = find_bibtex(entry.citation) or find_bibtex(card)
    if found:
        return Citation(found, "card")
    return Citation(_generated(entry, endpoint), "generated")


def find_bibtex(text: str) -> str:
    """Return the first whole BibTeX entry of a text, the fenced ones first; empty without one."""
    for part in (*_FENCE.findall(text), text):
        match = _START.search(part)
        whole = _balanced(part[match.start() :]) if match else ""
        if whole and _is_text(whole):
            return printable(whole)
    return ""


def _is_text(bibtex: str) -> bool:
    """Return whether TeX only sets what an entry says: it knows commands that read and run files.

    `^^5c` is a backslash to TeX, `#` puts a command together of texts that are none, and a link
    may be one that runs a program.
    """
    if "^^" in bibtex or "#" in _CONTROL.sub("", bibtex):
        return False
    names = (match[1] for match in _CONTROL.finditer(bibtex))
    links = all(_WEB.match(bibtex, match.end()) for match in _LINK.finditer(bibtex))
    return links and all(name in _ALLOWED for name in names)


def _balanced(text: str) -> str:
    """Return the text up to the brace that closes its first one; empty if none does in time."""
    depth = 0
    for position, character in enumerate(text[:MAX_CITATION]):
        depth += (character == "{") - (character == "}")
        if character == "}" and depth == 0:
            return text[: position + 1]
    return ""


def _generated(entry: Entry, endpoint: str) -> str:
    owner, _, name = entry.id.rpartition("/")
    key = _NOT_IN_KEY.sub("-", f"{entry.id}-{entry.revision[:8]}".lower()).strip("-")
    lines = [
        f"@misc{{{key},",
        f"  title        = {{{_tex(name)}}},",
        f"  author       = {{{{{_tex(owner or name)}}}}},",
        *([f"  year         = {{{entry.modified[:4]}}},"] if entry.modified[:4].isdigit() else []),
        f"  howpublished = {{\\url{{{address(entry, endpoint)}}}}},",
        f"  note         = {{Hugging Face Hub, revision {entry.revision}}}",
        "}",
    ]
    return "\n".join(lines)


def address(entry: Entry, endpoint: str = HOME) -> str:
    """Return where people read about a repository."""
    return f"{endpoint}/{'datasets/' if entry.kind == 'dataset' else ''}{entry.id}"


def _tex(text: str) -> str:
    return text.replace("_", "\\_")
