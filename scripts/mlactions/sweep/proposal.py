"""The search space that Codex proposes: read as a user's file is, and held to what is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import NoSourceError, Repository
from mlactions.bundle import Bundle, open_bundle
from mlactions.errors import UserError
from mlactions.escaping import printable
from mlactions.report import (
    Block,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Struck,
    Table,
    Untrusted,
)
from mlactions.schema import parse_yaml

NAME = "suggested-sweep.yaml"
SPACE = "space.yaml"
MAX_CHARACTERS = 64_000
MAX_REASONS = 60
MAX_CONFIGS = 2000


def check_proposal(
    value: Mapping[str, Any],
    *,
    facts: Mapping[str, Mapping[str, Any]],
    repository: Repository,
    bundle: Path,
) -> CheckedProposal:
    """Check a proposed space: it parses, names parameters that there are, keeps to the budget.

    What only Hydra in the user's Python can tell is told when the file is generated from; here no
    user code is run, so names are held to the config files as they are written.
    """
    opened = open_bundle(bundle, word="sweep")
    result = opened.json("result.json", schema="sweep-result")
    current = _current(opened)
    text = value["sweep"]
    struck, known = _space(text, result, repository)
    reasons = [_reason(item, facts, repository, known) for item in value["reasons"][:MAX_REASONS]]
    document = {
        "sweep": printable(text)[:MAX_CHARACTERS],
        "struck": struck,
        "diff": "" if struck else _diff(current, text),
        "parameters": list(known),
        "reasons": reasons,
    }
    held = sum(not item["struck"] for item in reasons) + (bool(text.strip()) and not struck)
    files = {NAME: text} if text.strip() and not struck else {}
    return CheckedProposal(document, len(reasons) + bool(text.strip()), held, files)


def _current(opened: Bundle) -> str:
    if all(entry.path != SPACE for entry in opened.entries):
        return ""
    return opened.path(SPACE).read_text(encoding="utf-8", errors="replace")


def _space(
    text: str, result: Mapping[str, Any], repository: Repository
) -> tuple[list[str], tuple[str, ...]]:
    """Return why a space is not offered, and the names of its parameters."""
    if not text.strip():
        return ["no search space was proposed"], ()
    if len(text) > MAX_CHARACTERS or printable(text) != text:
        return ["it is too long, or holds characters that hide or reorder text"], ()
    from mlactions.sweep.space import parse_space  # only an answer with a sweep needs it
    from mlactions.sweep.trials import size

    try:
        space = parse_space(text, file=NAME)
    except UserError as error:
        line = f"line {error.line}: " if error.line else ""
        told = " ".join(f"{line}{error.title}: {error.message} {error.hint}".split())
        return [told[:400]], ()
    names = tuple(item.key for item in space.parameters)
    struck = []
    if space.command or space.program:
        struck.append("it names a command; what is run is the user's to say")
    asked = [item for item in space.parameters if not item.prefix]
    unknown = [item.key for item in asked if not _known(item.name, result, repository)]
    struck += [f"the configs have no `{name}`" for name in unknown]
    trials = size(space) * max(len(space.seeds), 1)
    struck += _over(trials, space.budget.trials, result)
    return struck, names


def _over(trials: int, own: int | None, result: Mapping[str, Any]) -> Iterator[str]:
    """Yield which limits of the current file a proposal would break."""
    budget, found = result["space"]["budget"], result["estimate"]
    limit = budget["trials"]
    if limit is not None and trials > limit:
        yield f"it has up to {trials:,} trials, and the budget is {limit:,}"
    if limit is not None and own is not None and own > limit:
        yield f"it raises the budget from {limit:,} to {own:,} trials"
    hours = found["hours_per_trial"] if found else None
    if budget["gpu_hours"] is not None and hours is not None:
        taken = trials * hours * found["gpus"]
        if taken > budget["gpu_hours"]:
            limit = budget["gpu_hours"]
            yield f"it takes up to {taken:,.1f} GPU hours, and the budget is {limit:,g}"
        price = budget["price_per_gpu_hour"]
        if budget["money"] is not None and price is not None and taken * price > budget["money"]:
            yield f"it costs up to {taken * price:,.2f}, and the budget is {budget['money']:,g}"


def _known(name: str, result: Mapping[str, Any], repository: Repository) -> bool:
    """Tell whether the config files have a name: a group's folder, or a key in one of them."""
    current = (item["name"].lstrip("+") for item in result["space"]["parameters"])
    if name in {key.partition("@")[0] for key in current}:
        return True
    root = PurePosixPath(result["folder"]).parent.parent
    listed = _configs(repository, root)
    if any(path.parent == root / name for path in listed):
        return True
    return any(_has(_document(repository, path), path, root, name.split(".")) for path in listed)


def _configs(repository: Repository, root: PurePosixPath) -> list[PurePosixPath]:
    """Return the config files of the tree, without those of generated sweeps."""
    top = repository.root.resolve()
    for base in (top / repository.prefix, top):
        folder = base / root
        if folder.is_dir() and folder.resolve().is_relative_to(top):
            names = (path.relative_to(folder) for path in sorted(folder.rglob("*.yaml")))
            kept = (root / name.as_posix() for name in names if name.parts[0] != "sweeps")
            return list(islice(kept, MAX_CONFIGS))
    return []


def _document(repository: Repository, path: PurePosixPath) -> Any:
    try:
        return parse_yaml(repository.read(path.as_posix()).text, name=str(path))
    except (NoSourceError, UserError):
        return None


def _has(document: Any, path: PurePosixPath, root: PurePosixPath, parts: Sequence[str]) -> bool:
    """Tell whether a file sets a key; one in a group's folder sets it below the group's name."""
    group = path.relative_to(root).parent.parts
    wanted = list(parts)
    if group and wanted[: len(group)] == list(group):
        wanted = wanted[len(group) :]
    for part in wanted:
        if not isinstance(document, Mapping) or part not in document:
            return False
        document = document[part]
    return bool(wanted)


def _reason(
    item: Mapping[str, Any],
    facts: Mapping[str, Any],
    repository: Repository,
    known: Sequence[str],
) -> dict[str, Any]:
    struck = []
    if item["parameter"].lstrip("+") not in known:
        struck.append("the proposed file has no such parameter")
    if item["fact"] and item["fact"] not in facts:
        struck.append("there is no such fact")
    if item["file"]:
        try:
            source = repository.read(item["file"])
            if not 0 <= item["line"] <= source.lines:
                struck.append(f"the file has {source.lines:,} lines")
        except NoSourceError as error:
            struck.append(f"the file {error}")
    names = ("parameter", "reason", "fact", "file")
    texts = {key: printable(str(item[key]))[:1000] for key in names}
    return {**texts, "line": item["line"], "struck": struck}


def _diff(current: str, text: str) -> str:
    lines = difflib.unified_diff(
        current.splitlines(), text.splitlines(), "current", "proposed", lineterm=""
    )
    return "\n".join(lines)


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show a proposed space: the file, the difference to the current one, and the reasons."""
    return tuple(_blocks(document))


def _blocks(document: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(2, "The proposed search space")
    if document["struck"]:
        told = "; ".join(document["struck"])
        yield Paragraph(("Not offered: ", Untrusted(told), "."))
        if document["sweep"].strip():
            yield Details("What was proposed", (Listing(document["sweep"], "yaml"),))
    else:
        yield Paragraph(("It is ", Code(NAME), ", read and checked as a file of yours is."))
        yield Listing(document["sweep"].rstrip(), "yaml")
        if document["diff"]:
            yield Details("The difference to the current one", (Listing(document["diff"], "diff"),))
    if document["reasons"]:
        columns = (Column("Parameter"), Column("Why"), Column("Rests on"))
        yield Table(columns, tuple(_row(item) for item in document["reasons"]))


def _row(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    place = f"{item['file']}:{item['line']}" if item["line"] else item["file"]
    rests = item["fact"] or place
    if item["struck"]:
        why: Inline = (Struck(item["reason"]), " (", "; ".join(item["struck"]), ")")
        return Code(item["parameter"]), why, "–"
    return Code(item["parameter"]), Untrusted(item["reason"]), Code(rests) if rests else "–"
