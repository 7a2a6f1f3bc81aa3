"""From settings to the searches that are made. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlactions.discover.counts import at_most_millions
from mlactions.discover.model import Plan, Query, Settings
from mlactions.discover.words import read_task


def plan(settings: Settings) -> Plan:
    """Return the searches for a task in words: first all words at once, then each, then none.

    The Hub searches names and knows tags, so the words that name a task become its tag. It joins
    filters by "and", so each licence is a search of its own.
    """
    tag, words = read_task(settings.task)
    texts = list(_texts(words, bare=bool(tag)))
    groups = tuple(tuple(_narrow(settings, tag, text)) for text in texts)
    near = tuple((_near(settings, tag, text),) for text in texts)
    same = groups == near
    return Plan(tag, words, groups, () if same else near)


def _texts(words: tuple[str, ...], *, bare: bool) -> Iterator[str]:
    """Yield what names are searched for; with neither words nor a task nothing would be asked."""
    if words:
        yield " ".join(words)
    if len(words) > 1:
        yield from words
    if bare:
        yield ""


def _near(settings: Settings, tag: str, text: str) -> Query:
    if settings.kind == "model" or not tag:
        return Query(search=text, tag=tag)
    return Query(search=text, filters=(f"task_categories:{tag}",))


def _narrow(settings: Settings, tag: str, text: str) -> Iterator[Query]:
    """Yield searches that leave to the Hub what it can filter; look-ups hold to it all again."""
    wanted = settings.constraints
    base: list[str] = []
    if settings.kind == "dataset" and tag:
        base.append(f"task_categories:{tag}")
    if wanted.library:
        base.append(wanted.library if settings.kind == "model" else f"library:{wanted.library}")
    if wanted.safetensors_only and settings.kind == "model":
        base.append("safetensors")
    parameters = at_most_millions(wanted.max_parameters) if wanted.max_parameters else ""
    for licence in wanted.licences or ("",):
        yield Query(
            search=text,
            tag=tag if settings.kind == "model" else "",
            filters=(*base, *((f"license:{licence}",) if licence else ())),
            parameters=parameters if settings.kind == "model" else "",
            open_only=wanted.not_gated,
        )
