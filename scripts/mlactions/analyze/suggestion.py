"""The sweep that Codex suggests: read as a user's file is, shown, and never started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlactions.errors import UserError
from mlactions.escaping import printable
from mlactions.report import Block, Code, Details, Heading, Listing, Paragraph, Span, Untrusted
from mlactions.values import canonical_key

if TYPE_CHECKING:
    from mlactions.sweep.model import Space

NAME = "suggested-sweep.yaml"
MAX_CHARACTERS = 64_000
_COMMANDS = ("command", "program")


@dataclass(frozen=True)
class Suggestion:
    """A suggested sweep; `struck` says why it is not offered, `new` what no run has logged."""

    text: str
    method: str = ""
    parameters: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    struck: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        found = asdict(self)
        return {**found, "parameters": list(self.parameters), "new": list(self.new)}


def check_sweep(text: str, result: Mapping[str, Any]) -> Suggestion | None:
    """Return a suggestion that was checked; None where there is none.

    It must be a file that `sweep` takes, look for what the analysis looked for, hold nothing that a
    training would act on, and name no command: that is the user's to say.
    """
    if not text.strip():
        return None
    shown = printable(text)[:MAX_CHARACTERS]
    if len(text) > MAX_CHARACTERS:
        return Suggestion(shown, struck=f"it has more than {MAX_CHARACTERS:,} characters")
    if shown != text:
        return Suggestion(shown, struck="it holds characters that hide or reorder text")
    try:
        from mlactions.sweep.space import parse_space  # only an answer with a sweep needs it

        space = parse_space(text, file=NAME)
    except ImportError as error:
        return Suggestion(shown, struck=f"it could not be read: {error.name} is not installed")
    except UserError as error:
        line = f"line {error.line}: " if error.line else ""
        told = " ".join(f"{line}{error.title}: {error.message} {error.hint}".split())
        return Suggestion(shown, struck=told[:400])
    if wrong := "; ".join(_wrong(space, result["settings"])):
        return Suggestion(shown, struck=wrong[:400])
    logged = [item["name"] for item in result["parameters"]]
    names = tuple(item.key for item in space.parameters)
    known = {canonical_key(name) for name in logged}
    new = tuple(name for name in names if canonical_key(name) not in known)
    return Suggestion(text, space.method, names, new)


def _wrong(space: Space, settings: Mapping[str, Any]) -> Iterator[str]:
    from mlactions.sweep.proposal_space import unsafe

    if space.command or space.program:
        yield "it names a command; what is run is the user's to say"
    metric = space.metric
    if metric is not None and metric.name != settings["metric"]:
        yield f"its metric is `{metric.name}`, and that of the analysis is `{settings['metric']}`"
    if metric is not None and metric.higher != (settings["direction"] == "higher"):
        yield f"it would {metric.goal}, and {settings['direction']} is better"
    yield from unsafe(space)


def render_sweep(found: Mapping[str, Any] | None) -> Iterator[Block]:
    """Show the file, and what it is; a struck one with the reason."""
    if found is None:
        return
    listing = Listing(found["text"], "yaml")
    if found["struck"]:
        yield Details(("The suggested sweep was struck: ", Untrusted(found["struck"])), (listing,))
        return
    yield Heading(3, "Suggested sweep")
    told: list[Span] = [Code(NAME), f", {found['method']} over ", *_codes(found["parameters"])]
    told += [". ", Code("sweep"), " takes it as it is; nothing was started."]
    if found["new"]:
        told += [" Not varied in these runs: ", *_codes(found["new"]), "."]
    yield Paragraph(tuple(told))
    yield listing


def _codes(names: Sequence[str]) -> Iterator[Span]:
    for position, name in enumerate(names):
        yield from ((", ", Code(name)) if position else (Code(name),))
