"""Mixed precision: deprecated ways that round differently from what is documented today."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mlactions.audit.model import Finding, Rule
from mlactions.audit.names import Scope
from mlactions.audit.origins import is_module, origin
from mlactions.audit.source import Source, keyword, receiver

FAMILY = "precision"

AUTOCAST = Rule(
    "autocast-deprecated",
    FAMILY,
    "warning",
    "`torch.cuda.amp` is deprecated",
    "`torch.cuda.amp.autocast` and its `GradScaler` are deprecated since PyTorch 2.4 and will be"
    " removed; they fix the device, and the default type may change with the version.",
    'Write `torch.amp.autocast("cuda", dtype=...)` and `torch.amp.GradScaler("cuda")`.',
    "https://docs.pytorch.org/docs/stable/amp.html",
)
HALF = Rule(
    "half-manual",
    FAMILY,
    "warning",
    "A model or batch is cast to half precision by hand",
    "With `.half()` weights and gradients lose their small values, and sums overflow: training"
    " differs from run to run and often ends in NaN.",
    'Train under `torch.amp.autocast("cuda")`, which keeps the weights in float32.',
    "https://docs.pytorch.org/docs/stable/notes/amp_examples.html",
)
RULES = (AUTOCAST, HALF)

_MODELS = ("model", "net", "module", "encoder", "decoder", "unet", "vae", "critic", "teacher")
_BATCH = frozenset({"images", "image", "inputs", "input", "x", "batch", "data", "img", "imgs"})
_GONE = (
    "torch.cuda.amp.autocast",
    "torch.cuda.amp.GradScaler",
    "torch.cpu.amp.autocast",
    "torch.cpu.amp.GradScaler",
    "torch.cuda.amp.custom_fwd",
    "torch.cuda.amp.custom_bwd",
    "torch.cuda.amp.autocast_mode.autocast",
    "torch.cuda.amp.grad_scaler.GradScaler",
)


def check(source: Source) -> Iterator[Finding]:
    """Yield uses of `torch.cuda.amp`, and `.half()` where the file trains or casts a model."""
    if "torch" not in source.roots:
        return
    seen: set[int] = set()
    for node, scope in source.names.loads:
        name = source.names.name(node, scope)
        if name in _GONE and node.lineno not in seen and not _guarded(source, node):
            seen.add(node.lineno)
            yield source.finding(AUTOCAST, node, f"`{name}` is deprecated.")
    trains = any(
        isinstance(call.func, ast.Attribute) and call.func.attr == "backward"
        for call, _ in source.names.calls
    )
    for call, scope in source.names.calls:
        function = call.func
        if not isinstance(function, ast.Attribute) or _is_choice(source, call):
            continue
        by_type = trains and function.attr == "to" and _is_half_type(source, call, scope)
        if not by_type and (function.attr != "half" or call.args):
            continue
        of = receiver(call).lower()
        if _is_model(source, function.value, scope, of) or (trains and of in _BATCH):
            text = f"`{ast.unparse(function)[-60:]}` casts to float16 by hand."
            yield source.finding(HALF, call, text)


def _is_half_type(source: Source, call: ast.Call, scope: Scope) -> bool:
    given = (*call.args, keyword(call, "dtype"))
    return any(source.names.name(item, scope) in {"torch.float16", "torch.half"} for item in given)


def _is_model(source: Source, node: ast.expr, scope: Scope, of: str) -> bool:
    """Say whether something is a model: by what made it, or by its name."""
    made = origin(source, node, scope) or source.names.name(node, scope)
    return is_module(source, made) or any(part in of for part in _MODELS)


def _guarded(source: Source, node: ast.AST) -> bool:
    """Say whether the old name is the fallback for an old PyTorch."""
    before = node
    for above in source.names.above(node):
        if isinstance(above, ast.If | ast.IfExp) and before is not above.test:
            test = ast.unparse(above.test).lower()
            if any(word in test for word in ("version", "torch_", "hasattr", "torch2")):
                return True
        if isinstance(above, ast.Try | ast.ExceptHandler):
            return True
        before = above
    return False


def _is_choice(source: Source, call: ast.Call) -> bool:
    """`model.half() if half else model.float()` in an evaluation, or a round trip."""
    parent = source.names.parents.get(call)
    if isinstance(parent, ast.Attribute):
        return parent.attr in {"float", "double"}
    return isinstance(parent, ast.IfExp)
