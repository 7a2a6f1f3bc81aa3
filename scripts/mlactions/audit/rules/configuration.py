"""Configuration: numbers that decide a run belong into its config, and into its log."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mlactions.audit.model import Finding, Rule
from mlactions.audit.names import Scope
from mlactions.audit.source import Source, constant, joined, keyword, last_part

FAMILY = "configuration"

HARD_CODED = Rule(
    "hyperparameter-hard-coded",
    FAMILY,
    "note",
    "A hyper-parameter is written into the training code",
    "What is not in the config is not logged, not swept, and not found again when a run is"
    " repeated.",
    "Read it from the config, and log the config with the run.",
    "https://hydra.cc/docs/intro/",
)
NOT_LOGGED = Rule(
    "parameters-not-logged",
    FAMILY,
    "warning",
    "Metrics are logged to MLflow, parameters are not",
    "A run whose settings are unknown can be admired but not repeated.",
    "Log them once at the start: `mlflow.log_params(flat_config)`, or `mlflow.autolog()`.",
    "https://mlflow.org/docs/latest/ml/tracking/",
)
RULES = (HARD_CODED, NOT_LOGGED)

_NAMED = ("lr", "weight_decay", "momentum", "betas", "max_lr", "gamma", "label_smoothing")
_LOOP_NAMES = frozenset({"epoch", "epochs", "ep", "_epoch", "step", "iteration"})
_DEFAULT_LIKE = frozenset({0, 1, None})


def check(source: Source) -> Iterator[Finding]:
    """Yield literals that decide a training, in files that train with PyTorch."""
    if "torch" not in source.roots or not _trains(source):
        return
    for call, _, name in source.calls:
        if name.startswith("torch.optim.") and "lr_scheduler" not in name:
            yield from _optimizer(source, call, name)
        elif name.startswith("torch.") and last_part(name) == "DataLoader":
            size = constant(keyword(call, "batch_size", 1))
            if _training_loader(call) and isinstance(size, int) and size > 1:
                yield source.finding(HARD_CODED, call, f"`batch_size={size}` is a literal.")
    for node, scope in source.names.loops:
        yield from _epochs(source, node, scope)


def _trains(source: Source) -> bool:
    return any(
        isinstance(call.func, ast.Attribute) and call.func.attr == "backward"
        for call, _ in source.names.calls
    )


def _optimizer(source: Source, call: ast.Call, name: str) -> Iterator[Finding]:
    if not last_part(name)[:1].isupper():
        return
    values = [("lr", keyword(call, "lr", 1))]
    values += [(item.arg or "", item.value) for item in call.keywords if item.arg in _NAMED[1:]]
    found = [
        f"`{key}={ast.unparse(value)}`"
        for key, value in values
        if value is not None and _is_literal(value) and constant(value) not in _DEFAULT_LIKE
    ]
    if found:
        verb = "is a literal" if len(found) == 1 else "are literals"
        yield source.finding(HARD_CODED, call, f"{joined(found)} {verb}.")


def _training_loader(call: ast.Call) -> bool:
    return constant(keyword(call, "shuffle", 2)) is True


def _epochs(source: Source, node: ast.AST, scope: Scope) -> Iterator[Finding]:
    if not isinstance(node, ast.For) or not isinstance(node.target, ast.Name):
        return
    if node.target.id not in _LOOP_NAMES or not _steps(node):
        return
    for inner in ast.walk(node.iter):
        if isinstance(inner, ast.Call) and source.names.name(inner.func, scope) == "builtins.range":
            last = inner.args[-1] if inner.args else None
            if len(inner.args) in (1, 2) and _is_literal(last):
                text = f"{constant(last)} {node.target.id}s are a literal."
                yield source.finding(HARD_CODED, inner, text)


def _steps(loop: ast.For) -> bool:
    """Say whether a loop's body trains: directly, or by a function named like it."""
    for node in ast.walk(loop):
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "attr", getattr(function, "id", ""))
            if name == "backward" or "train" in name:
                return True
    return False


def _is_literal(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Tuple):
        return bool(node.elts) and all(_is_literal(item) for item in node.elts)
    value = constant(node)
    return isinstance(value, int | float) and not isinstance(value, bool)
