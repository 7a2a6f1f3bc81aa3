"""Reading back what `take` wrote: every later step judges the change again, and trusts nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.bundle import MANIFEST, Bundle, digest, open_bundle
from mlactions.errors import UserError
from mlactions.propose.model import WORD, Finding, Rules
from mlactions.propose.take import PATCH
from mlactions.settings import Status


@dataclass(frozen=True)
class Proposal:
    """A change whose gates all held: its result, its patch, and the content of each file."""

    result: Mapping[str, Any]
    patch: bytes
    contents: Mapping[str, bytes]
    sha256: str

    @property
    def rules(self) -> Rules:
        """The rules that it was judged by."""
        given = self.result["rules"]
        known: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in given.items()
        }
        return Rules(**known)


def open_proposal(folder: Path) -> Proposal:
    """Read a bundle of `take`; raises UserError for one that holds no change to go on with."""
    bundle = open_bundle(folder, word=WORD)
    result = bundle.json("result.json", schema="propose-result")
    if result["status"] != Status.PASS:
        raise UserError(
            "no change",
            f"there is none: {result['verdict']}",
            "Only a change that every gate lets through goes on.",
            file=str(folder),
        )
    patch = bundle.path(PATCH).read_bytes()
    contents = {f["path"]: _content(bundle, f) for f in result["files"] if f["content"]}
    if hashlib.sha256(patch).hexdigest() != result["patch_sha256"]:
        raise UserError(
            "broken bundle", "the patch is not the one of the result.", file=str(folder)
        )
    return Proposal(result, patch, contents, digest(folder / MANIFEST))


def _content(bundle: Bundle, file: Mapping[str, Any]) -> bytes:
    data = bundle.path(file["content"]).read_bytes()
    if blob_name(data, len(file["blob_after"])) != file["blob_after"]:
        message = f"the content of {file['path']} is not what its name says."
        raise UserError("broken bundle", message, file=str(bundle.folder))
    return data


def blob_name(data: bytes, length: int = 40) -> str:
    """Return git's name for a content: SHA-1, or SHA-256 where names have 64 digits."""
    head = b"blob %d\0" % len(data)
    sha1 = length == 40  # noqa: PLR2004  # the digits of a SHA-1
    made = hashlib.sha1(head + data, usedforsecurity=False) if sha1 else hashlib.sha256(head + data)
    return made.hexdigest()


def moved(path: str, commit: str) -> Finding:
    """Return the finding for a file that is not what the change was made of any more."""
    return Finding("base-moved", f"It differs at {commit[:12]} from what was changed.", path)
