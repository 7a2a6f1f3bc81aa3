"""Data loaders: which generator orders the data, and what its workers draw from."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mlactions.audit.model import Finding, Rule
from mlactions.audit.source import Source, constant, is_open, keyword, last_part

FAMILY = "data-loading"
_NOTES = "https://docs.pytorch.org/docs/stable/notes/randomness.html#dataloader"

WORKERS = Rule(
    "dataloader-workers",
    FAMILY,
    "warning",
    "Workers of a training loader have neither `worker_init_fn` nor `generator`",
    "Each worker's seed is drawn from the global generator of the moment: it changes with every"
    " random number drawn before. What other libraries draw in a worker is not seeded at all.",
    "Pass `generator=torch.Generator().manual_seed(seed)`, and a `worker_init_fn` that seeds what"
    " your transforms draw from.",
    _NOTES,
)
SHUFFLE = Rule(
    "shuffle-without-generator",
    FAMILY,
    "note",
    "A loader or sampler shuffles with the global generator",
    "The order of the data depends on every random number drawn before: another model, or one more"
    " layer, and the same seed gives another order.",
    "Pass `generator=torch.Generator().manual_seed(seed)`.",
    _NOTES,
)
RULES = (WORKERS, SHUFFLE)

_SAMPLERS = frozenset({"RandomSampler", "WeightedRandomSampler", "SubsetRandomSampler"})


def check(source: Source) -> Iterator[Finding]:
    """Yield loaders that train and whose order hangs on the global generator."""
    seeded = _seeds_workers(source)
    for call, _, name in source.calls:
        if not name.startswith(("torch.", "torch_geometric.", "monai.")):
            continue
        if is_open(call) or keyword(call, "generator") is not None:
            continue
        last = last_part(name)
        if last in _SAMPLERS:
            yield source.finding(SHUFFLE, call, f"`{last}` has no `generator`.")
        elif last == "DataLoader":
            yield from _loader(source, call, seeded=seeded)


def _loader(source: Source, call: ast.Call, *, seeded: bool) -> Iterator[Finding]:
    shuffle = keyword(call, "shuffle", 2)
    shuffles = shuffle is not None and constant(shuffle) not in (False, None)
    sampled = any(
        (given := keyword(call, name)) is not None and constant(given) is not None
        for name in ("sampler", "batch_sampler")
    )
    workers = keyword(call, "num_workers", 5)
    works = workers is not None and constant(workers) != 0
    if works and (shuffles or sampled) and keyword(call, "worker_init_fn") is None and not seeded:
        text = "The loader's workers have neither `worker_init_fn` nor `generator`."
        yield source.finding(WORKERS, call, text)
    elif constant(shuffle) is True:
        yield source.finding(SHUFFLE, call, "The loader shuffles without a `generator`.")


def _seeds_workers(source: Source) -> bool:
    """Lightning's `seed_everything(workers=True)` gives every loader a `worker_init_fn`."""
    return any(
        last_part(name) == "seed_everything" and constant(keyword(call, "workers", 1)) is True
        for call, _, name in source.calls
    )
