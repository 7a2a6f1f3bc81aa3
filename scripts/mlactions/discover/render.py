"""The report, built from `result.json` alone: who holds, how to use them, who was dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlactions.compare.messages import spans_of
from mlactions.discover.counts import show_bytes, show_count
from mlactions.discover.formats import loading
from mlactions.discover.model import NOUNS
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Link,
    Listing,
    Paragraph,
    Report,
    Span,
    Strong,
    Table,
    Untrusted,
)
from mlactions.settings import Status
from mlactions.text import plural

MAX_CANDIDATES = 25
MAX_DROPPED = 100

Item = Mapping[str, Any]

_CARE = "with care"


def render(result: Mapping[str, Any]) -> Report:
    """Build the report of a search."""
    noun = NOUNS[result["kind"]]
    return Report(
        title=f"{noun.capitalize()}s on the Hugging Face Hub",
        status=Status(result["status"]),
        verdict=(result["verdict"],),
        blocks=tuple(_blocks(result)),
    )


def _blocks(result: Mapping[str, Any]) -> Iterator[Block]:
    yield Paragraph(("Wanted: ", Untrusted(result["task"]), *_wanted(result)))
    if result["error"] is not None:
        asked = ("The Hub that was asked: ", Code(result["hub"]), ". ")
        yield Paragraph((*asked, Strong("What to do:"), " ", result["error"]["hint"]))
    candidates = result["candidates"][:MAX_CANDIDATES]
    if candidates:
        yield comparison(result["kind"], candidates)
        yield Paragraph(
            "Metrics are what the authors report: nobody measured them here."
            if any(item["metrics"] for item in candidates)
            else "Every one was looked up at the revision shown; load it by that revision."
        )
        yield Heading(2, "Use one")
        yield from uses(candidates)
    if result["dropped"]:
        yield from _dropped(result["dropped"], result["kind"], opened=not candidates)
    yield _searches(result)


def _wanted(result: Mapping[str, Any]) -> Iterator[Span]:
    """Say the constraints as one reads them."""
    given, parts = result["constraints"], []
    parts += [f"licence {' or '.join(given['licences'])}"] if given["licences"] else []
    parts += [f"for {given['library']}"] if given["library"] else []
    if given["max_parameters"] is not None:
        parts.append(f"at most {given['max_parameters']:,} parameters")
    if given["min_samples"] is not None:
        parts.append(f"at least {given['min_samples']:,} samples")
    parts += [f"with the splits {', '.join(given['splits'])}"] if given["splits"] else []
    parts += ["weights as safetensors"] if given["safetensors_only"] else []
    parts += ["not gated"] if given["not_gated"] else []
    yield f" ({', '.join(parts) or 'no constraints'})."


def comparison(kind: str, items: Sequence[Item], ranks: Sequence[int] = ()) -> Block:
    """Return one row per repository, side by side; `ranks` puts a number before each."""
    model = kind == "model"
    columns = [
        *([Column("Rank", "right")] if ranks else []),
        Column(NOUNS[kind].capitalize()),
        Column("Parameters" if model else "Samples", "right"),
        Column("Licence"),
        Column("Weights" if model else "Splits"),
        Column("Reported" if model else "Files"),
        Column("Size", "right", optional=True),
        Column("Downloads in 30 days", "right"),
        Column("Revision"),
    ]
    rows = []
    for position, item in enumerate(items):
        rank: tuple[Inline, ...] = (str(ranks[position]),) if ranks else ()
        rows.append((*rank, *_cells(kind, item)))
    return Table(tuple(columns), tuple(rows))


def _cells(kind: str, item: Item) -> tuple[Inline, ...]:
    measured = (show_count(item["parameters"]), _licence(item), _weights(item), _metric(item))
    if kind == "dataset":
        measured = (_samples(item), _licence(item), _splits(item), _contents(item))
    return (
        Code(item["id"]),
        *measured,
        show_bytes(item["size"]),
        f"{item['downloads']:,}" if item["downloads"] is not None else "unknown",
        Code(item["revision"][:12]),
    )


def _licence(item: Item) -> Inline:
    return Code(item["licence"]) if item["licence"] else "none named"


def _weights(item: Item) -> Inline:
    """Say which formats the weights come in; pickles are seen at a glance."""
    formats = sorted({file["path"].rpartition(".")[2].lower() for file in item["weights"]})
    kinds = {loading(file["path"]) for file in item["weights"]}
    said = "pickle" if item["pickles"] else ""
    if not said and "data" not in kinds and kinds:
        said = "can run code" if "code" in kinds else "unknown format"
    chips = [text for text in (said, "own code" if item["remote_code"] else "") if text]
    if chips or item["care"]:
        chips = chips or [_CARE]
        beside: list[Span] = [f"{', '.join(formats)}, "] if formats else []
        for text in chips:
            beside += [Chip(Status.WARN, text), " "]
        return tuple(beside[:-1])
    return ", ".join(formats) or "unknown"


def _metric(item: Item) -> Inline:
    if not item["metrics"]:
        return "–"
    first, more = item["metrics"][0], len(item["metrics"]) - 1
    where = f" on {first['dataset']}" if first["dataset"] else ""
    rest = f"; {more} more" if more else ""
    said = f"{first['name']} {first['value']}{where} ({first['source']})"
    return (Untrusted(said), rest)


def _samples(item: Item) -> str:
    if item["samples"] is not None:
        return f"{item['samples']:,}"
    return f"{show_count(item['samples_least'])} or more" if item["samples_least"] else "unknown"


def _splits(item: Item) -> Inline:
    if not item["splits"]:
        return "unknown"
    shown = ", ".join(split["name"] for split in item["splits"][:4])
    return Untrusted(shown + (", …" if len(item["splits"]) > 4 else ""))  # noqa: PLR2004  # as sliced


def _contents(item: Item) -> Inline:
    """Say how many files a data set has, and which of them are to be minded."""
    count = plural(item["files"], "file")
    if not item["care"]:
        return count
    return (f"{count}, ", Chip(Status.WARN, "pickle" if item["pickles"] else _CARE))


def uses(items: Sequence[Item]) -> Iterator[Block]:
    """Show how to use each; the first that is loaded without care is open, else the first."""
    first = next((number for number, item in enumerate(items) if not item["care"]), 0)
    for number, item in enumerate(items):
        yield use(item, opened=number == first)


def use(item: Item, *, opened: bool = False) -> Block:
    """Return how to load and cite one candidate, and what to know before."""
    blocks: list[Block] = [_about(item)]
    if item["warnings"]:
        blocks.append(Items(tuple((Strong("Mind:"), " ", *spans_of(w)) for w in item["warnings"])))
    for snippet in item["snippets"]:
        blocks += [
            Paragraph(f"{snippet['title']}:"),
            Listing(snippet["text"], snippet["language"]),
        ]
    if item["metrics"]:
        blocks.append(_reported(item["metrics"]))
    origin = {"card": "Citation, as its card gives it:", "generated": "Citation, generated:"}
    blocks.append(Paragraph(origin[item["citation"]["source"]]))
    blocks.append(Listing(item["citation"]["text"], "bibtex"))
    files = _files(item)
    blocks += [files] if files else []
    return Details((Code(item["id"]),), tuple(blocks), open=opened)


def _about(item: Item) -> Block:
    """Say in a line what it is and how well it is kept."""
    parts = [item["task"], f"for {item['library']}" if item["library"] else ""]
    parts += [f"{item['likes']:,} likes" if item["likes"] is not None else ""]
    parts += [f"last changed {item['modified']}" if item["modified"] else ""]
    said = "".join(f", {part}" for part in parts if part)
    return Paragraph(("On the Hub: ", Link(item["id"], item["url"]), Untrusted(f"{said}.")))


def _reported(metrics: Sequence[Item]) -> Block:
    columns = (Column("Reported metric"), Column("Value", "right"), Column("On"), Column("Source"))
    return Table(
        columns,
        tuple(
            (
                Untrusted(metric["name"]),
                Code(metric["value"]),
                Untrusted(metric["dataset"] or "unknown"),
                Untrusted(metric["source"]),
            )
            for metric in metrics
        ),
    )


def _files(item: Item) -> Block | None:
    listed = [*item["weights"], *item["pickles"]]
    if not listed:
        return None
    rows = tuple(
        (
            Code(file["path"]),
            show_bytes(file["size"]),
            _when_loaded(file["path"]),
        )
        for file in listed
    )
    columns = (Column("File"), Column("Size", "right"), Column("When it is loaded"))
    return Table(columns, rows)


def _when_loaded(path: str) -> Inline:
    """Say what loading a file can do."""
    said = {"pickle": "pickle: can run code", "code": "can run code"}
    kind = loading(path)
    return "data only" if kind == "data" else Chip(Status.WARN, said.get(kind or "", "unknown"))


def _dropped(dropped: Sequence[Item], kind: str, *, opened: bool) -> Iterator[Block]:
    rows = tuple((Code(item["id"]), _reasons(item["reasons"])) for item in dropped[:MAX_DROPPED])
    table = Table((Column(NOUNS[kind].capitalize()), Column("Dropped because")), rows)
    yield Details(f"{plural(len(dropped), NOUNS[kind])} dropped", (table,), open=opened)


def _reasons(reasons: Sequence[Item]) -> tuple[Span, ...]:
    said: list[Span] = []
    for reason in reasons:
        said += [*(["; "] if said else []), *spans_of(reason["text"])]
    return tuple(said)


def _searches(result: Mapping[str, Any]) -> Block:
    """Say what was asked of the Hub, so that an empty answer can be understood."""
    plan = result["plan"]
    tag: tuple[Span, ...] = (Code(plan["tag"]),) if plan["tag"] else ("none that the words name",)
    words: tuple[Span, ...] = (Code(" ".join(plan["words"])),) if plan["words"] else ("none",)
    items: list[Inline] = [
        ("Hub: ", Code(result["hub"])),
        ("Task of the Hub: ", *tag),
        ("Words searched for in names: ", *words),
    ]
    items += [_search(entry) for entry in result["searched"]]
    return Details("What was searched for", (Items(tuple(items)),))


def _search(entry: Item) -> Inline:
    query = entry["query"]
    filters = [*([query["tag"]] if query["tag"] else []), *query["filters"]]
    filters += [f"parameters {query['parameters']}"] if query["parameters"] else []
    filters += ["not gated"] if query["open_only"] else []
    name: tuple[Span, ...] = (Code(query["search"]),) if query["search"] else ("any name",)
    within: tuple[Span, ...] = (" within ", Code(", ".join(filters))) if filters else ()
    return ("Searched: ", *name, *within, f": {entry['found']} found")
