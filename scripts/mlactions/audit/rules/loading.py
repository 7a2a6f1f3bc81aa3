"""Data loaders: which generator orders the data, and what its workers draw from."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mlactions.audit.model import Conditional, Rule
from mlactions.audit.names import Scope
from mlactions.audit.origins import lineage, origin
from mlactions.audit.source import Source, called, constant, is_open, keyword, last_part, receiver

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

# What programs do to loaders, as effects.
SEEDED_WORKERS, FRAMEWORK, GENERATOR = "workers.seeded", "loaders.framework", "loaders.generator"
_HANDLED = frozenset({GENERATOR})
_ORDERED = frozenset({FRAMEWORK, GENERATOR})
_OWNERS = ("torch.", "torch_geometric.", "monai.")
_SAMPLERS = frozenset({"RandomSampler", "WeightedRandomSampler", "SubsetRandomSampler"})


def candidates(source: Source) -> Iterator[Conditional]:
    """Yield loaders that train and whose order hangs on the global generator."""
    for call, scope, named in source.calls:
        name = _class(source, call, scope, named)
        if not name:
            continue
        if is_open(call) or keyword(call, "generator") is not None:
            continue
        last = last_part(name)
        if last in _SAMPLERS:
            finding = source.finding(SHUFFLE, call, f"`{last}` has no `generator`.")
            yield Conditional(finding, scope.key, unless=_ORDERED, alone=True)
        elif last == "DataLoader":
            yield from _loader(source, call, scope)


def _class(source: Source, call: ast.Call, scope: Scope, name: str) -> str:
    """Return the library's class that a call makes: directly, as a subclass or as a partial."""
    if name == "functools.partial" and call.args:
        name = source.names.name(call.args[0], scope)
    return next((item for item in lineage(source, name) if item.startswith(_OWNERS)), "")


def _loader(source: Source, call: ast.Call, scope: Scope) -> Iterator[Conditional]:
    shuffle = keyword(call, "shuffle", 2)
    shuffles = shuffle is not None and constant(shuffle) not in (False, None)
    sampled = any(
        (given := keyword(call, name)) is not None and constant(given) is not None
        for name in ("sampler", "batch_sampler")
    )
    workers = keyword(call, "num_workers", 5)
    works = workers is not None and constant(workers) != 0
    works = works and (shuffles or sampled) and keyword(call, "worker_init_fn") is None
    if works:
        asked = "" if isinstance(workers, ast.Constant) else ", if it has any,"
        text = f"The loader's workers{asked} have neither `worker_init_fn` nor `generator`."
        finding = source.finding(WORKERS, call, text, level="note" if asked else None)
        yield Conditional(finding, scope.key, unless=_HANDLED | {SEEDED_WORKERS}, alone=True)
    if constant(shuffle) is True:
        finding = source.finding(SHUFFLE, call, "The loader shuffles without a `generator`.")
        when = frozenset({SEEDED_WORKERS} if works else ())
        yield Conditional(finding, scope.key, when, _ORDERED, alone=True)


def handling(source: Source, call: ast.Call, scope: Scope, name: str) -> Iterator[str]:
    """Yield what a framework does to the loaders that it is given.

    Lightning and Fabric make the order follow their `seed_everything`, whose `workers=True` gives
    loaders a `worker_init_fn`; Accelerate gives each a synchronised generator.
    """
    what = last_part(name) or called(call)
    if what == "seed_everything" and constant(keyword(call, "workers", 1)) is True:
        yield SEEDED_WORKERS
    if what == "LightningCLI" and constant(keyword(call, "seed_everything_default")) is not False:
        yield SEEDED_WORKERS
    if what in {"setup_dataloaders", "LightningCLI"}:
        yield FRAMEWORK
    if what == "prepare" and isinstance(call.func, ast.Attribute):
        made = origin(source, call.func.value, scope)
        if made.startswith("accelerate.") or receiver(call) == "accelerator":
            yield GENERATOR
