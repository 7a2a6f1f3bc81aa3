"""Deterministic kernels: cuDNN's flags, PyTorch's switch, and operators that add atomically."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from mlactions.audit.model import Conditional, Finding, Rule
from mlactions.audit.source import Source, constant, keyword, last_part

FAMILY = "determinism"
_NOTES = "https://docs.pytorch.org/docs/stable/notes/randomness.html"
_SWITCH = "https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html"

OFF = Rule(
    "deterministic-algorithms-off",
    FAMILY,
    "note",
    "A seeded GPU training does not ask for deterministic algorithms",
    "With the same seed, CUDA kernels that add in any order still give other gradients each run.",
    "Call `torch.use_deterministic_algorithms(True)` (Lightning: `Trainer(deterministic=True)`,"
    " Transformers: `full_determinism=True`), at least in runs whose numbers are compared.",
    _SWITCH,
)
CUBLAS = Rule(
    "cublas-workspace-missing",
    FAMILY,
    "warning",
    "Deterministic algorithms without CUBLAS_WORKSPACE_CONFIG",
    "cuBLAS needs a fixed workspace to be deterministic; PyTorch raises an error on the GPU at the"
    " first matrix product without it.",
    "Set `CUBLAS_WORKSPACE_CONFIG=:4096:8` before CUDA starts: in the environment, or with"
    " `os.environ` before the first tensor.",
    "https://docs.nvidia.com/cuda/cublas/index.html#results-reproducibility",
)
BENCHMARK = Rule(
    "cudnn-benchmark",
    FAMILY,
    "warning",
    "cuDNN chooses its algorithms by timing them",
    "`torch.backends.cudnn.benchmark = True` measures several algorithms and takes the fastest of"
    " that moment: another run may take another one and round differently.",
    "Leave it `False` where results are compared; make it an option where speed counts.",
    f"{_NOTES}#cuda-convolution-benchmarking",
)
DISABLED = Rule(
    "determinism-disabled",
    FAMILY,
    "warning",
    "Deterministic kernels are switched off",
    "The code asks for kernels that may give another result each run.",
    "Switch them on, or make the choice an option that is logged with the run.",
    _SWITCH,
)
OPERATOR = Rule(
    "nondeterministic-operator",
    FAMILY,
    "note",
    "An operator that adds atomically on the GPU",
    "PyTorch documents that its CUDA kernel adds in any order, so equal inputs give slightly"
    " different sums or gradients.",
    "Call `torch.use_deterministic_algorithms(True)`, which takes a deterministic kernel where"
    " there is one and raises an error where there is none; or compare runs with a tolerance.",
    _SWITCH,
)
RULES = (OFF, CUBLAS, BENCHMARK, DISABLED, OPERATOR)

_MODES = frozenset({"linear", "bilinear", "bicubic", "trilinear"})


def _always(_call: ast.Call) -> bool:
    return True


def _interpolates(call: ast.Call) -> bool:
    return constant(keyword(call, "mode")) in _MODES


def _adds(call: ast.Call) -> bool:
    return constant(keyword(call, "accumulate", 2)) is True


def _weighted(call: ast.Call) -> bool:
    return keyword(call, "weights", 1) is not None


def _largest(call: ast.Call) -> bool:
    return constant(keyword(call, "mode")) == "max"


def _product(call: ast.Call) -> bool:
    return constant(keyword(call, "reduce", 3)) == "prod"


_NN = (
    *("AvgPool3d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool2d"),
    *("FractionalMaxPool2d", "FractionalMaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"),
    *("ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "CTCLoss"),
)
_FUNCTIONAL = (
    *("avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d"),
    *("fractional_max_pool2d", "fractional_max_pool3d", "max_unpool1d", "max_unpool2d"),
    *("max_unpool3d", "ctc_loss", "grid_sample"),
)
# https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html: what
# raises an error there. Dense NLLLoss and cumsum depend on shapes and types: they are left out.
OPERATORS: Mapping[str, Callable[[ast.Call], bool]] = {
    **{f"torch.nn.{name}": _always for name in _NN},
    **{f"torch.nn.functional.{name}": _always for name in _FUNCTIONAL},
    "torch.nn.EmbeddingBag": _largest,
    "torch.nn.Upsample": _interpolates,
    "torch.nn.functional.interpolate": _interpolates,
    "torch.nn.functional.upsample": _interpolates,
    "torch.bincount": _weighted,
    "torch.histc": _always,
    "torch.scatter_reduce": _product,
}
METHODS: Mapping[str, Callable[[ast.Call], bool]] = {
    "put_": _adds,
    "scatter_reduce": _product,
    "scatter_reduce_": _product,
    "histc": _always,
}
# The same page: what is deterministic once the switch is on. Convolutions, indexing and the like
# are there too: they stand in every model and would say nothing.
SWITCHED: Mapping[str, Callable[[ast.Call], bool]] = {
    **dict.fromkeys(("index_add", "index_add_", "scatter_add", "scatter_add_"), _always),
    **dict.fromkeys(("index_put", "index_put_"), _adds),
}
_ON_GPU = frozenset({"train", "cuda"})
_ASKED = frozenset({"deterministic"})


def check(source: Source) -> Iterator[Finding]:
    """Yield flags that are set to what is not deterministic, as literals."""
    for node, scope in source.names.assigned:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from _flag(source, node, source.names.name(target, scope))
    for call, _, name in source.calls:
        mode = call.args[0] if call.args else keyword(call, "mode")
        if name == "torch.use_deterministic_algorithms" and constant(mode) is False:
            yield source.finding(DISABLED, call, f"`{name}(False)`.")
        trainer = last_part(name) in {"Trainer", "Fabric"} and "lightning" in name
        if trainer and constant(keyword(call, "benchmark")) is True:
            yield source.finding(BENCHMARK, call, "The trainer switches benchmark mode on.")


def _flag(source: Source, node: ast.Assign | ast.AnnAssign, name: str) -> Iterator[Finding]:
    if name == "torch.backends.cudnn.benchmark" and constant(node.value) is True:
        yield source.finding(BENCHMARK, node, "cuDNN's benchmark mode is on.")
    if name == "torch.backends.cudnn.deterministic" and constant(node.value) is False:
        yield source.finding(DISABLED, node, f"`{name}` is False.")


def candidates(source: Source) -> Iterator[Conditional]:
    """Yield operators without a deterministic kernel: they count where a GPU program trains."""
    if "torch" not in source.roots:
        return
    for call, scope, name in source.calls:
        function = call.func
        is_method = isinstance(function, ast.Attribute) and (not name or name.startswith("@"))
        method = function.attr if isinstance(function, ast.Attribute) and is_method else ""
        test = OPERATORS.get(name) or METHODS.get(method)
        text = f"`{ast.unparse(function) if is_method else name}` "
        if test is not None and test(call):
            text += "has no deterministic CUDA kernel."
        elif _switched(call, method or name.removeprefix("torch.")):
            text += "adds in any order on the GPU unless deterministic algorithms are asked for."
        else:
            continue
        yield Conditional(source.finding(OPERATOR, call, text), scope.key, _ON_GPU, _ASKED)


def _switched(call: ast.Call, name: str) -> bool:
    test = SWITCHED.get(name)
    return test is not None and test(call)
