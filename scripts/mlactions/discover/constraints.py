"""The constraints that a candidate is held to. Pure: unknown is never a pass."""

from __future__ import annotations

from collections.abc import Iterator

from mlactions.discover.counts import show_count
from mlactions.discover.formats import ROOT_ONLY
from mlactions.discover.model import NOUNS, REVISION, Constraints, Entry, Reason
from mlactions.discover.snippets import no_code


def check(entry: Entry, wanted: Constraints) -> tuple[Reason, ...]:
    """Return every reason against a candidate; none means that it holds."""
    return (
        *_usable(entry),
        *_licence(entry, wanted),
        *_library(entry, wanted),
        *_parameters(entry, wanted),
        *_format(entry, wanted),
        *_gated(entry, wanted),
        *_samples(entry, wanted),
        *_splits(entry, wanted),
    )


def _usable(entry: Entry) -> Iterator[Reason]:
    if not REVISION.fullmatch(entry.revision):
        yield Reason("revision-unknown", "the Hub names no commit that could be pinned")
    if entry.disabled:
        yield Reason("disabled", "the Hub has disabled it")
    if entry.unsafe:
        names = ", ".join(f"`{name}`" for name in entry.unsafe[:3])
        yield Reason("unsafe-file", f"the Hub's scanner calls {names} unsafe")


def _licence(entry: Entry, wanted: Constraints) -> Iterator[Reason]:
    """Card and tags have to say the same; all licences of several have to be allowed."""
    if not wanted.licences:
        return
    card, tags = entry.licence_card, entry.licence_tags
    if not card and not tags:
        yield Reason("licence-unknown", "it names no licence")
    elif set(card) != set(tags):
        said = f"the card says {_listed(card)}, the tags say {_listed(tags)}"
        yield Reason("licence-disagrees", said)
    elif not set(card) <= set(wanted.licences):
        other = [name for name in card if name not in wanted.licences]
        yield Reason("licence-not-allowed", f"its licence is {_listed(tuple(other))}")


def _listed(names: tuple[str, ...]) -> str:
    plain = (" ".join(name.replace("`", "'").split()) for name in names)
    return " and ".join(f"`{name}`" for name in plain) or "nothing"


def _library(entry: Entry, wanted: Constraints) -> Iterator[Reason]:
    if not wanted.library or wanted.library in entry.libraries:
        return
    if not entry.libraries:
        yield Reason("library-unknown", "it names no library")
        return
    named = _listed((entry.library or entry.libraries[0],))
    yield Reason("library-differs", f"it is for {named}, not `{wanted.library}`")


def _parameters(entry: Entry, wanted: Constraints) -> Iterator[Reason]:
    if wanted.max_parameters is None:
        return
    if entry.parameters is None:
        text = "no metadata of its weights says how many parameters it has"
        yield Reason("parameters-unknown", entry.parameters_why or text)
    elif entry.parameters > wanted.max_parameters:
        text = f"{entry.parameters:,} parameters are more than {wanted.max_parameters:,}"
        yield Reason("too-many-parameters", text)


def _format(entry: Entry, wanted: Constraints) -> Iterator[Reason]:
    """Hold the files to their format: a name alone proves nothing."""
    if not wanted.safetensors_only:
        return
    if not _reachable(entry):
        held = f"; its weights are {_listed((entry.pickles[0].path,))}" if entry.pickles else ""
        where = f" where `{entry.library}` looks for one" if entry.safetensors else ""
        yield Reason("no-safetensors", f"it has no safetensors file{where}{held}")
    elif not entry.headers:
        text = "the Hub has not read the headers of its safetensors files"
        yield Reason("safetensors-unproven", text)
    elif entry.alone:
        text = f"no safetensors stand beside {_listed(entry.alone[:3])}"
        yield Reason("safetensors-unproven", text)


def _reachable(entry: Entry) -> bool:
    """Return whether its library finds safetensors: some look into the top folder alone."""
    anywhere = entry.library not in ROOT_ONLY
    return any(anywhere or "/" not in file.path for file in entry.safetensors)


def _gated(entry: Entry, wanted: Constraints) -> Iterator[Reason]:
    if not wanted.not_gated or entry.gated == "no":
        return
    if not entry.gated:
        yield Reason("gated-unknown", "the Hub does not say whether it is gated")
    else:
        how = {"auto": "after its terms are accepted", "manual": "after its owner agrees"}
        yield Reason("gated", f"it is gated: it can be read {how.get(entry.gated, 'on request')}")


def _samples(entry: Entry, wanted: Constraints) -> Iterator[Reason]:
    least = wanted.min_samples
    if least is None:
        return
    known = entry.samples if entry.samples is not None else entry.samples_least
    if known is None:
        text = f"this {NOUNS[entry.kind]} does not say how many samples it has"
        yield Reason("samples-unknown", text)
    elif entry.samples is None and known < least:
        text = f"it has {show_count(known)} samples or more, which does not prove {least:,}"
        yield Reason("samples-unknown", text)
    elif known < least:
        yield Reason("too-few-samples", f"{known:,} samples are fewer than {least:,}")


def _splits(entry: Entry, wanted: Constraints) -> Iterator[Reason]:
    if not wanted.splits:
        return
    names = [split.name for split in entry.splits]
    if not names:
        yield Reason("splits-unknown", "it does not say which splits it has")
        return
    missing = tuple(name for name in wanted.splits if name not in names)
    if missing:
        has = _listed(tuple(names[:5]))
        yield Reason("split-missing", f"it has no split {_listed(missing)}, only {has}")


def warnings_of(entry: Entry) -> tuple[str, ...]:
    """Return what to know of a candidate that holds before it is loaded."""
    return tuple(_warnings(entry))


def _warnings(entry: Entry) -> Iterator[str]:
    yield from _risks(entry)
    yield from _unseen(entry)
    if entry.parameters_why:
        yield entry.parameters_why
    if no_code(entry):
        yield f"no code is written for it: {no_code(entry)}"
    if entry.remote_code:
        yield "it needs code of its own repository, which the code below does not run"
    if entry.kind == "dataset" and entry.scripts:
        yield f"it has a loading script, which `datasets` no longer runs: `{entry.scripts[0]}`"
    if entry.gated not in ("", "no"):
        yield "it is gated: a token of an account that was let in is needed"
    if set(entry.licence_card) != set(entry.licence_tags):
        said = f"card {_listed(entry.licence_card)}, tags {_listed(entry.licence_tags)}"
        yield f"card and tags name different licences: {said}"
    elif not entry.licence_card:
        yield "it names no licence"
    if entry.asked and entry.asked != entry.id:
        yield f"`{entry.asked}` leads here: it was renamed"


def _risks(entry: Entry) -> Iterator[str]:
    """Say what loading the files can do that a format of data alone could not."""
    if entry.suspicious:
        yield f"the Hub's scanner calls files suspicious: {_listed(entry.suspicious[:3])}"
    if entry.kind != "model":
        named = tuple(file.path for file in entry.pickles if not file.path.endswith(".bin"))
        if named:
            yield f"there are pickles among its files, which can run code: {_listed(named[:3])}"
        return
    if entry.data:
        if entry.alone:
            names = _listed(entry.alone[:3])
            yield f"these weights come in no format of data alone; loading can run code: {names}"
        return
    if entry.pickles:
        names = _listed(tuple(file.path for file in entry.pickles[:3]))
        yield f"its weights are pickles, which can run code when they are loaded: {names}"
    if entry.weights:
        names = _listed(tuple(file.path for file in entry.weights[:3]))
        yield f"its format is not known to be data alone; loading may run code: {names}"


def _unseen(entry: Entry) -> Iterator[str]:
    if entry.unscanned:
        yield "the Hub has not scanned all of its files yet"
    if entry.closed:
        yield f"what these files hold was not looked at: {_listed(entry.closed[:3])}"


def needs_care(entry: Entry) -> bool:
    """Return whether loading a candidate can run code that nobody here has read."""
    return entry.remote_code or any(_risks(entry))
