"""What an answer proposes for one word: a form of that word's own, which that word checks too.

A word takes part with a property `proposal` in `actions/<word>/answer.schema.json` and a module
`mlactions.<word>.proposal`, which imports nothing heavy at its top, with two functions:

    def check_proposal(value: Any, *, facts: Mapping[str, Mapping[str, Any]],
                       repository: Repository, bundle: Path) -> CheckedProposal
    def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]

The first runs no user code and believes nothing; the second shows what the first let through. One
that looks claims up elsewhere takes `environ`, too: the caller's variables, with its credentials.
A word whose answers name things by identifiers, such as runs, has a third function, which returns
those that are known:

    def find_identifiers(identifiers: Sequence[str], *, bundle: Path,
                         environ: Mapping[str, str]) -> Collection[str]
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from mlactions.ask.form import proposer
from mlactions.ask.identifiers import Find
from mlactions.ask.repository import Repository
from mlactions.bundle import MANIFEST
from mlactions.errors import UserError
from mlactions.report import Block
from mlactions.schema import load_json

MAX_DOCUMENT_BYTES = 512 * 1024
MAX_FILES = 20
MAX_FILE_CHARACTERS = 512 * 1024

OWN_FILES = frozenset({"checked-answer.json", "suggested.patch", "report.md"})
"""What the folder of a checked answer holds besides its manifest and what a word proposes."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class CheckedProposal:
    """A proposal after its word has checked it.

    `document` is JSON that says of each part whether it held and, if not, why it was struck.
    `checked` and `held` count its claims. `files` are texts by plain name, such as a sweep file
    that can be run: they are written beside the checked answer, and nothing is done with them.
    """

    document: Mapping[str, Any]
    checked: int = 0
    held: int = 0
    files: Mapping[str, str] = field(default_factory=dict)


def check(
    word: str,
    value: Any,
    *,
    facts: Mapping[str, Mapping[str, Any]],
    repository: Repository,
    bundle: Path,
    environ: Mapping[str, str] | None = None,
) -> CheckedProposal:
    """Let a word check what was proposed for it.

    `facts` are those that were asked about, by id; `bundle` is the word's own result, as it was
    handed over; `environ` is the caller's, for a word that takes it. Raises ValueError for what
    does not fit into the bundle of an answer.
    """
    checker = _module(word).check_proposal
    given = {"environ": environ or {}} if "environ" in signature(checker).parameters else {}
    found: CheckedProposal = checker(
        value, facts=facts, repository=repository, bundle=bundle, **given
    )
    _hold(found)
    return found


def finder(word: str, *, bundle: Path, environ: Mapping[str, str] | None = None) -> Find | None:
    """Return how a word looks identifiers up; None for a word that has none."""
    found = getattr(_module(word), "find_identifiers", None)
    return found and partial(found, bundle=bundle, environ=environ or {})


def _module(word: str) -> ModuleType:
    if proposer([word]) != word:
        raise ValueError(f"answers about {word!r} propose nothing")
    return importlib.import_module(f"mlactions.{word}.proposal")


def _hold(proposal: CheckedProposal) -> None:
    """Refuse what would be no checked answer: the word that wrote it has a bug."""
    if not 0 <= proposal.held <= proposal.checked:
        raise ValueError(f"{proposal.held} of {proposal.checked} claims held")
    text = json.dumps(proposal.document, ensure_ascii=False, allow_nan=False)
    if len(text.encode()) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"its document has more than {MAX_DOCUMENT_BYTES:,} bytes")
    if len(proposal.files) > MAX_FILES:
        raise ValueError(f"it has more than {MAX_FILES} files")
    for name, content in proposal.files.items():
        if not _plain(name):
            raise ValueError(f"it calls a file {name!r}")
        if len(content) > MAX_FILE_CHARACTERS:
            raise ValueError(f"{name} has more than {MAX_FILE_CHARACTERS:,} characters")


def _plain(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in {*OWN_FILES, MANIFEST}


def as_document(word: str, proposal: CheckedProposal) -> dict[str, Any]:
    """Return the part of checked-answer.json that a proposal fills."""
    return {
        "word": word,
        "claims": {"checked": proposal.checked, "held": proposal.held},
        "files": sorted(proposal.files),
        "document": dict(proposal.document),
    }


def render(entry: Mapping[str, Any] | None) -> tuple[Block, ...]:
    """Return what a word shows of its proposal; nothing where there is none."""
    if entry is None:
        return ()
    blocks: tuple[Block, ...] = _module(entry["word"]).render_proposal(entry["document"])
    return blocks


def answer_files(folder: Path) -> frozenset[str]:
    """Return the names of what an earlier answer left in a folder, its own proposals included."""
    path = folder / "checked-answer.json"
    try:
        listed = load_json(path)["proposal"]["files"]
        return OWN_FILES | {name for name in listed if _plain(name)}
    except (KeyError, TypeError, UserError):
        return OWN_FILES
