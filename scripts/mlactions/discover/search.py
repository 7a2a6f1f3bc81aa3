"""The search itself: gather names, look every one up, hold it to the constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mlactions.discover.citation import cite
from mlactions.discover.constraints import check, needs_care, warnings_of
from mlactions.discover.counts import show_count
from mlactions.discover.model import (
    NOUNS,
    Candidate,
    Constraints,
    Conventions,
    Dropped,
    Hit,
    Hub,
    HubError,
    Kind,
    NotReadError,
    Outcome,
    Plan,
    Query,
    Reason,
    Searched,
    Settings,
    Verdict,
)
from mlactions.discover.plan import plan
from mlactions.discover.snippets import snippets
from mlactions.settings import Status
from mlactions.text import plural

Say = Callable[[str], None]


@dataclass(frozen=True)
class Look:
    """How a name is looked up: where, as what, and what it is held to."""

    kind: Kind
    wanted: Constraints
    hub: Hub
    uses: Conventions


@dataclass
class _Gathered:
    """Names in the order they were found, and what was searched for."""

    hits: dict[str, Hit] = field(default_factory=dict)
    searched: list[Searched] = field(default_factory=list)


def discover(settings: Settings, hub: Hub, uses: Conventions, say: Say = lambda _: None) -> Outcome:
    """Search, look up and judge. The Hub failing is part of the outcome, with all that is known."""
    made = plan(settings)
    gathered = _Gathered()
    look = Look(settings.kind, settings.constraints, hub, uses)
    candidates: list[Candidate] = []
    dropped: list[Dropped] = []
    error = None
    try:
        _gather(made, settings, hub, gathered)
        names = [hit.id for hit in gathered.hits.values()][: settings.limit]
        say(f"Looking up {plural(len(names), NOUNS[settings.kind])} at {hub.endpoint}")
        for name in names:
            found = examine(name, look, listed=True)
            (candidates if isinstance(found, Candidate) else dropped).append(found)  # type: ignore[arg-type]  # each to its own
    except HubError as problem:
        error = problem
    return Outcome(
        made, tuple(gathered.searched), tuple(_unique(candidates)), tuple(dropped), error
    )


def _gather(made: Plan, settings: Settings, hub: Hub, gathered: _Gathered) -> None:
    for groups in (made.groups, made.near):
        for group in groups:
            _search(group, settings, hub, gathered)
            if len(gathered.hits) >= settings.limit:
                return
        if gathered.hits:
            return


def _search(group: Sequence[Query], settings: Settings, hub: Hub, gathered: _Gathered) -> None:
    """Search for one group: what most people use comes first, whichever licence it has."""
    found: dict[str, Hit] = {}
    for query in group:
        hits = hub.search(settings.kind, query, settings.limit)
        gathered.searched.append(Searched(query, len(hits)))
        found |= {hit.id: hit for hit in hits}
    for hit in sorted(found.values(), key=lambda hit: (-hit.downloads, hit.id)):
        gathered.hits.setdefault(hit.id, hit)


def examine(name: str, look: Look, *, listed: bool = False) -> Candidate | Dropped:
    """Look one name up and hold it to the constraints. Raises HubError."""
    try:
        entry = look.hub.look_up(look.kind, name)
    except NotReadError as error:
        reason = error.reason
        if listed and reason.code == "not-found":
            reason = Reason("deleted", "it was listed and is gone: deleted meanwhile, or private")
        return Dropped(name, (reason,))
    reasons = check(entry, look.wanted)
    if reasons:
        return Dropped(entry.id, reasons, entry)
    return Candidate(
        entry,
        warnings_of(entry),
        cite(entry, "" if entry.citation else look.hub.card(entry), endpoint=look.hub.endpoint),
        snippets(entry, look.uses),
    )


def _unique(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Drop who is here twice: two names can lead to one repository."""
    return list({candidate.entry.id: candidate for candidate in candidates}.values())


def judge(outcome: Outcome, kind: Kind) -> Verdict:
    """Return what an outcome means. Nothing found, or a Hub that failed, is never a pass."""
    noun = NOUNS[kind]
    if outcome.error is not None:
        told = f"{outcome.error.title}, {outcome.error.message}"
        seen = len(outcome.candidates) + len(outcome.dropped)
        part = f" {plural(seen, noun)} had been looked up." if seen else ""
        return Verdict(Status.FAIL, outcome.error.state, f"Nothing can be said: {told}{part}")
    if not outcome.candidates:
        return Verdict(Status.FAIL, "no-candidate", _none(outcome.dropped, noun))
    count, seen = len(outcome.candidates), len(outcome.candidates) + len(outcome.dropped)
    hold = "holds" if count == 1 else "hold"
    safe = [item.entry for item in outcome.candidates if not needs_care(item.entry)]
    first = safe[0] if safe else outcome.candidates[0].entry
    size = f" with {show_count(first.parameters)} parameters" if first.parameters else ""
    begin = f"{count} of {plural(seen, noun)} {hold} to every constraint"
    which = "the most downloaded"
    if 0 < len(safe) < count:
        which += " that runs no code of its own"
    most = f"{'it is' if count == 1 else f'{which} is'} {first.id}{size}"
    if not safe:
        them = "it" if count == 1 else "any of them"
        care = f"loading {them} can run code that nobody here has read"
        return Verdict(Status.WARN, "found", f"{begin}, but {care}.")
    return Verdict(Status.PASS, "found", f"{begin}; {most}.")


def _none(dropped: Sequence[Dropped], noun: str) -> str:
    if not dropped:
        return f"No {noun} was found: the Hub names none for these words."
    counts: dict[str, int] = {}
    for item in dropped:
        counts[item.reasons[0].code] = counts.get(item.reasons[0].code, 0) + 1
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    said = ", ".join(f"{count} {code.replace('-', ' ')}" for code, count in ordered[:4])
    return f"No {noun} holds to every constraint: {plural(len(dropped), noun)} looked up ({said})."
