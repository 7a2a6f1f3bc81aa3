"""What the functions of a file do that decides whether a program can be repeated."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from mlactions.audit import lateness
from mlactions.audit.launches import launches
from mlactions.audit.model import Conditional, Function, Step, Summary
from mlactions.audit.names import Scope, is_main_guard
from mlactions.audit.rules import determinism, loading, ordering, seeds
from mlactions.audit.source import Source, called, constant, keyword, last_part
from mlactions.audit.training import HUGGING, LIGHTNING, training

_SEED_NAME = re.compile(
    r"(?:seed_everything|seed_all|seed_it_all|fix_seeds?|fix_random_seeds?|init_seeds?|make_reproducible"
    r"|(?:set|setup|init)_(?:all_|global_|random_|manual_)?seeds?(?:_all)?|set_determinism|manual_seed"
    r"|enable_full_determinism|make_deterministic|set_random_state|seed_rng|seed_torch)"
)
_RANDOM = frozenset(
    {"random", "randint", "uniform", "shuffle", "choice", "choices", "sample", "gauss"}
    | {"randrange", "normalvariate", "betavariate", "expovariate", "triangular"}
)
_NUMPY = frozenset(
    {"rand", "randn", "randint", "random", "random_sample", "shuffle", "permutation", "choice"}
    | {"uniform", "normal", "beta", "binomial", "multinomial", "dirichlet", "poisson", "gamma"}
    | {"exponential", "standard_normal", "laplace", "triangular", "ranf", "sample"}
)
_TORCH = LIGHTNING | HUGGING | {"torch", "accelerate", "fastai"}
_SEEDERS = {
    **dict.fromkeys(("torch.manual_seed", "torch.random.manual_seed"), "seed.torch"),
    "torch.set_rng_state": "seed.torch",
    **dict.fromkeys(("torch.cuda.manual_seed", "torch.cuda.manual_seed_all"), "seed.cuda"),
    **dict.fromkeys(("numpy.random.seed", "numpy.random.set_state"), "seed.numpy"),
    **dict.fromkeys(("random.seed", "random.setstate"), "seed.random"),
}
_STARTERS = frozenset({"hydra.main", "click.command", "typer.command", "fire.Fire", "app.command"})
_METRICS = frozenset({"log_metric", "log_metrics"})
_PARAMS = frozenset(
    {"log_param", "log_params", "log_hyperparams", "log_dict", "log_artifact", "log_artifacts"}
    | {"set_tags", "autolog", "log_input", "log_batch", "save_hyperparameters"}
)


def summarize(source: Source) -> Summary:
    """Return what later steps need of a file, so that its syntax tree can be let go."""
    references: dict[str, set[str]] = defaultdict(set)
    methods = _methods(source)
    effects: dict[str, dict[str, int]] = defaultdict(dict)
    names = source.names
    if source.roots & _TORCH:
        effects[""]["torch"] = 1
    for node, scope in names.loads:
        name = "" if _is_inner(source, node) else names.name(node, scope)
        if name and not name.startswith("builtins."):
            references[scope.key].add(name)
            if name in _SEEDERS:  # called, or handed to something that calls it
                effects[scope.key].setdefault(_SEEDERS[name], node.lineno)
    calls: dict[str, list[tuple[ast.Call, str, str]]] = defaultdict(list)
    for call, scope, name in source.calls:
        done = list(_effects(source, call, scope, name))
        for effect in done:
            effects[scope.key].setdefault(effect, call.lineno)
        if lateness.is_direct(scope):
            ordered = [item for item in done if item.startswith(("seed.", "draw.", "use."))]
            calls[scope.key] += [(call, name, item) for item in ordered or [""] if item or name]
    for node, scope in names.texts:
        for effect in _text_effects(node):
            effects[scope.key].setdefault(effect, node.lineno)
    _device_effects(source, effects)
    keys = {"", *references, *effects}
    entry, starts = _entry(source, effects)
    return Summary(
        path=source.path,
        functions={
            key: Function(
                frozenset(references[key]),
                dict(effects[key]),
                _steps(source, calls.get(key, [])),
                frozenset(methods.get(key, ())),
            )
            for key in sorted(keys)
        },
        exports=dict(names.module.imports),
        stars=tuple(names.stars),
        entry=entry,
        entry_place=source.place(entry or 1),
        entry_quote=source.quote(entry or 1),
        notebook=source.notebook is not None,
        conditional=tuple(_conditional(source)),
        starts=starts,
        launches=tuple(launches(source)) if entry is None else (),
    )


def _steps(source: Source, calls: list[tuple[ast.Call, str, str]]) -> tuple[Step, ...]:
    """Return the order of calls, for functions where something seeds; it is asked of no other."""
    if any("seed" in (effect or last_part(name)).lower() for _, name, effect in calls):
        return lateness.steps(source, calls)
    return ()


def _conditional(source: Source) -> Iterator[Conditional]:
    yield from determinism.candidates(source)
    yield from loading.candidates(source)
    yield from seeds.candidates(source)
    yield from ordering.candidates(source)


def _methods(source: Source) -> dict[str, set[str]]:
    """Return by function the attributes that are asked of what no dotted name leads to."""
    found: dict[str, set[str]] = defaultdict(set)
    for node, scope in source.names.loads:
        if isinstance(node, ast.Attribute) and not source.names.name(node, scope):
            found[scope.key].add(node.attr)
    return found


def _is_inner(source: Source, node: ast.expr) -> bool:
    """Say whether a load is only the start of a longer dotted name."""
    return isinstance(source.names.parents.get(node), ast.Attribute)


def _effects(source: Source, call: ast.Call, scope: Scope, name: str) -> Iterator[str]:
    what = last_part(name) or called(call)
    root = name.partition(".")[0]
    yield from training(source, call, scope, name, what)
    yield from loading.handling(source, call, scope, name)
    yield from _hugging(call, what, root)
    if name in _SEEDERS:
        yield _SEEDERS[name]
    yield from lateness.draws(call, name)
    yield from _seeding(call, name, what, root)
    if root == "random" and what in _RANDOM and name.count(".") == 1:
        yield "use.random"
    if name.startswith("numpy.random.") and what in _NUMPY and name.count(".") == 2:  # noqa: PLR2004
        yield "use.numpy"
    yield from _deterministic(call, name, what)
    if what in _METRICS and root == "mlflow":
        yield "log.metrics"
    if what in _PARAMS or (what == "start_run" and keyword(call, "params") is not None):
        yield "log.params"
    if (
        what == "cuda"
        and isinstance(call.func, ast.Attribute)
        and not name.startswith("torch.cuda")
    ):
        yield "cuda"


def _hugging(call: ast.Call, what: str, root: str) -> Iterator[str]:
    full = constant(keyword(call, "full_determinism")) is True
    if what.endswith("TrainingArguments") and root in HUGGING and full:
        yield from ("deterministic", "cublas")


def _seeding(call: ast.Call, name: str, what: str, root: str) -> Iterator[str]:
    if name.startswith("@"):
        return  # followed into its own body
    if root not in {"torch", "numpy", "random"} and _SEED_NAME.fullmatch(what):
        is_generator = what == "manual_seed" and isinstance(call.func, ast.Attribute) and not name
        if not is_generator:
            yield f"seed.call.{name}" if name else "seed.all"


def _deterministic(call: ast.Call, name: str, what: str) -> Iterator[str]:
    if name == "torch.use_deterministic_algorithms":
        mode = call.args[0] if call.args else keyword(call, "mode")
        if constant(mode) is not False:
            yield "deterministic"
        if constant(mode) is True:
            yield "deterministic.call"
    elif name == "torch.set_deterministic_debug_mode":
        yield "deterministic"
    elif what in {"Trainer", "Fabric"}:
        if constant(keyword(call, "deterministic")) in (True, "warn"):
            yield from ("deterministic", "cublas")
        if constant(keyword(call, "accelerator")) in {"gpu", "cuda"}:
            yield "cuda"
    elif what in {"enable_full_determinism", "set_determinism"}:
        yield from ("deterministic", "cublas")


def _text_effects(node: ast.Constant) -> Iterator[str]:
    text = str(node.value)
    if text == "cuda" or text.startswith("cuda:"):
        yield "cuda"
    if text == "CUBLAS_WORKSPACE_CONFIG":
        yield "cublas"


def _device_effects(source: Source, effects: dict[str, dict[str, int]]) -> None:
    for node, scope in source.names.assigned:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            name = source.names.name(target, scope)
            if name == "torch.backends.cudnn.deterministic" and constant(node.value) is True:
                effects[scope.key].setdefault("cudnn.deterministic", node.lineno)


def _entry(
    source: Source, effects: dict[str, dict[str, int]]
) -> tuple[int | None, tuple[str, ...]]:
    """Return the line where a program starts, and the functions that start it."""
    started = []
    line: int | None = None
    for node in source.tree.body:
        if isinstance(node, ast.If) and is_main_guard(node):
            line = node.lineno
            started.append("__main__")
    for function, scope in source.names.functions:
        for decorator in function.decorator_list:
            called_ = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = source.names.name(called_, scope)
            if name in _STARTERS or name.endswith((".hydra.main", "app.command")):
                line = line or function.lineno
                started.append(function.name)
    body = effects.get("", {})
    trained = [at for effect, at in body.items() if effect.partition(".")[0] == "train"]
    script = bool(trained) or {"backward", "step"} <= set(body)
    if line is None and (source.notebook is not None or script):
        line = body.get("backward") or min(trained, default=1)
    return line, tuple(started)
