"""What trains a model: told by what was assigned, and by the library that it came from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from mlactions.audit.names import Scope
from mlactions.audit.origins import lineage, origin
from mlactions.audit.source import Source, constant, keyword, last_part, receiver

LIGHTNING = frozenset({"lightning", "pytorch_lightning"})
HUGGING = frozenset({"transformers", "trl", "sentence_transformers", "setfit"})
# Libraries that train without PyTorch: their programs are named, and not judged as PyTorch's are.
OTHERS: Mapping[str, str] = {
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "jax": "JAX",
    "sklearn": "scikit-learn",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "paddle": "PaddlePaddle",
    "mxnet": "MXNet",
}
OTHER = "train.other."
_IGNITE = re.compile(r"create_supervised_\w*trainer|supervised_training_step\w*")
_FITS = frozenset({"fit", "fit_transform", "fit_predict", "train_on_batch", "partial_fit"})
_GRADIENTS = frozenset({"jax.grad", "jax.value_and_grad", "tensorflow.GradientTape"})
_LEARNS = frozenset({"fit_one_cycle", "fine_tune", "fit_flat_cos"})


def training(source: Source, call: ast.Call, scope: Scope, name: str, what: str) -> Iterator[str]:
    """Yield what a call does to train a model, and what its framework seeds by itself."""
    if what.endswith("LightningCLI") and constant(keyword(call, "run")) is not False:
        yield "train"
        if constant(keyword(call, "seed_everything_default")) is not False:
            yield "seed.all"
    if _is_trainer(source, name, HUGGING):
        yield "seed.all"  # Trainer seeds everything from its arguments, 42 unless told otherwise
    if name.startswith("ignite.") and _IGNITE.fullmatch(what):
        yield f"{OTHER}Ignite"
    if not isinstance(call.func, ast.Attribute):
        yield from _others(source, call, name, what, "")
        return
    if what in {"backward", "step"}:
        yield what
    if what in _LEARNS and "fastai" in source.roots:
        yield "train"
    made = origin(source, call.func.value, scope) if what in _FITS | {"train"} else ""
    if what == "fit" and _runs(source, call, made, LIGHTNING):
        yield from ("train", "loaders.framework")
    elif what == "train" and _runs(source, call, made, HUGGING):
        yield from ("train", "seed.all")
    else:
        yield from _others(source, call, name, what, made)


def _is_trainer(source: Source, name: str, roots: frozenset[str]) -> bool:
    return any(
        last_part(item).endswith("Trainer") and item.partition(".")[0] in roots
        for item in lineage(source, name)
    )


def _runs(source: Source, call: ast.Call, made: str, roots: frozenset[str]) -> bool:
    """Say whether a method's owner is a trainer: what made it, or, if that is unknown, its name."""
    if _is_trainer(source, made, roots):
        return True
    known = made in source.bases or made.partition(".")[0] in OTHERS
    return not known and "trainer" in receiver(call).lower() and bool(source.roots & roots)


def _others(source: Source, call: ast.Call, name: str, what: str, made: str) -> Iterator[str]:
    """Yield the library that fits a model here, where it is not PyTorch."""
    root = name.partition(".")[0]
    if name in _GRADIENTS or (what in {"train", "cv"} and root in OTHERS and "." in name):
        yield OTHER + OTHERS[root]
    elif what in _FITS and isinstance(call.func, ast.Attribute):
        owners = {item.partition(".")[0] for item in lineage(source, made)} & set(OTHERS)
        known = made and not made.startswith("@")
        for owner in sorted(owners or (() if known else source.roots & set(OTHERS))):
            yield OTHER + OTHERS[owner]
