"""What Python files say: entry points, their options, frameworks and conventions. Pure."""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mlactions.init.model import Evidence, Hydra, Role, Script

TOPICS: Mapping[str, re.Pattern[str]] = {
    "seed": re.compile(
        r"(^|\.)(manual_seed(_all)?|seed_everything|set_seed|use_deterministic_algorithms)$"
        r"|^(random|np\.random|numpy\.random)\.(seed|default_rng)$"
    ),
    "mixed precision": re.compile(r"(^|\.)(autocast|GradScaler)$"),
    "logging": re.compile(
        r"^mlflow\.(log_\w+|start_run|set_experiment|autolog)$|(^|\.)(MLFlowLogger|SummaryWriter)$"
        r"|^wandb\.(init|log)$|^logging\.(getLogger|basicConfig)$"
    ),
    "checkpoints": re.compile(
        r"^torch\.(save|load)$|(^|\.)(ModelCheckpoint|save_checkpoint|load_checkpoint)$"
        r"|\.load_state_dict$"
    ),
    "data loading": re.compile(r"(^|\.)DataLoader$"),
}
FRAMEWORKS = {
    "torch": "PyTorch",
    "lightning": "Lightning",
    "pytorch_lightning": "Lightning",
    "hydra": "Hydra",
    "mlflow": "MLflow",
    "transformers": "Transformers",
    "accelerate": "Accelerate",
    "wandb": "Weights & Biases",
}
ROLES: Mapping[Role, re.Pattern[str]] = {
    "evaluate": re.compile(r"(run_)?(evaluate|evaluation|eval)(_model)?"),
    "train": re.compile(r"(run_)?(train|training|fit)(_model)?"),
    "export": re.compile(r"(run_)?(export|to_onnx|export_onnx)(_model)?"),
}
_STARTS = re.compile(
    r"(^|\.)(parse_args|parse_known_args|backward|fit|main)$|^(fire\.)?Fire$|^(typer\.)?run$"
)
"""Calls by which a file at its top level is a program, though it asks for no `__name__`."""
_GPU = re.compile(r"(^|\.)cuda(\.is_available)?$")
_SEEDED = frozenset({"generator", "worker_init_fn"})
"""What a loader is given where its order and its workers' draws are seeded."""
_NAMED = {"mlflow.set_experiment": "experiment", "mlflow.log_metric": "metric"}


@dataclass
class Module:
    """One file's facts; `problem` says why there are none."""

    is_program: bool = False
    options: list[str] = field(default_factory=list)
    hydra: tuple[str, str] | None = None
    line: int = 1
    imports: dict[str, int] = field(default_factory=dict)
    topics: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    names: dict[str, tuple[int, str]] = field(default_factory=dict)
    gpu: int | None = None
    problem: str = ""


def read_module(text: str) -> Module:
    """Return what a file says; one that cannot be parsed says why."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in the user's strings
            tree = ast.parse(text)
    except SyntaxError as error:
        return Module(problem=f"line {error.lineno or 1}: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        return Module(problem=str(error) or "nested too deeply")
    module = Module()
    for node in ast.walk(tree):
        _visit(node, module)
    started = next(
        (call.lineno for call in _run_calls(tree) if _STARTS.search(dotted(call.func))), 0
    )
    if started and not module.is_program:
        module.is_program, module.line = True, started
    return module


def _run_calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls that happen when a file is run, in order: none inside of a definition."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            yield node
        left += reversed(list(ast.iter_child_nodes(node)))


def _visit(node: ast.AST, module: Module) -> None:
    match node:
        case ast.Import(names=names):
            for name in names:
                module.imports.setdefault(name.name.partition(".")[0], node.lineno)
        case ast.ImportFrom(module=str(name), level=0):
            module.imports.setdefault(name.partition(".")[0], node.lineno)
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            module.is_program, module.line = True, node.lineno
        case ast.Call():
            _call(node, module)


def _call(call: ast.Call, module: Module) -> None:
    name = dotted(call.func)
    seeded = next((k.arg for k in call.keywords if k.arg in _SEEDED), None)
    shown = f"{name}({seeded})" if seeded else name
    for topic, pattern in TOPICS.items():
        if pattern.search(name):
            module.topics.setdefault(topic, []).append((call.lineno, shown))
    if name.rpartition(".")[2] == "Trainer" and any(k.arg == "precision" for k in call.keywords):
        module.topics.setdefault("mixed precision", []).append((call.lineno, f"{name}(precision)"))
    if _GPU.search(name) and module.gpu is None:
        module.gpu = call.lineno
    last = name.rpartition(".")[2]
    first = call.args[0] if call.args else None
    literal = first.value if isinstance(first, ast.Constant) else None
    if name in _NAMED and isinstance(literal, str):
        module.names.setdefault(_NAMED[name], (call.lineno, literal))
    if last in {"add_argument", "option", "argument"}:
        words = [a.value for a in call.args if isinstance(a, ast.Constant)]
        module.options += [word for word in words if isinstance(word, str)]
    if name in {"hydra.main", "main"}:
        given = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
        if isinstance(given.get("config_name"), str):
            module.hydra = (str(given.get("config_path") or "."), str(given["config_name"]))


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a chain of names; what is no name in it stays out."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def scripts_of(modules: Mapping[str, Module], packages: frozenset[str]) -> tuple[Script, ...]:
    """Return the programs that train, evaluate or export, the best of each role first."""
    found = [
        (role, _rank(path), script)
        for path, module in modules.items()
        if module.is_program or module.hydra
        for role, pattern in ROLES.items()
        if pattern.fullmatch(posixpath.basename(path).removesuffix(".py"))
        for script in [_script(path, role, module, packages)]
    ]
    return tuple(script for _, _, script in sorted(found, key=lambda item: item[:2]))


def idle_scripts(modules: Mapping[str, Module]) -> dict[Role, str]:
    """Return by role the file that is called like a program, and starts nothing when it is run."""
    found: dict[Role, str] = {}
    for path in sorted(modules, key=_rank):
        module = modules[path]
        for role, pattern in ROLES.items():
            named = pattern.fullmatch(posixpath.basename(path).removesuffix(".py"))
            if named and not (module.is_program or module.hydra):
                found.setdefault(role, path)
    return found


def _rank(path: str) -> tuple[int, int, str]:
    """Prefer what stands near the root and has a short name."""
    return path.count("/"), len(posixpath.basename(path)), path


def _script(path: str, role: Role, module: Module, packages: frozenset[str]) -> Script:
    folder = posixpath.dirname(path)
    arguments = path
    if folder in packages:
        inside = path.removeprefix("src/") if _package_root(folder, packages) == "src" else path
        arguments = "-m " + inside.removesuffix(".py").replace("/", ".")
    hydra = None
    if module.hydra:
        where = posixpath.normpath(posixpath.join(folder, module.hydra[0]))
        hydra = Hydra("" if where == "." else where, module.hydra[1].removesuffix(".yaml"))
    return Script(path, role, arguments, module.line, tuple(module.options), hydra)


def _package_root(folder: str, packages: frozenset[str]) -> str:
    """Return the folder that holds a package's topmost package."""
    while posixpath.dirname(folder) in packages:
        folder = posixpath.dirname(folder)
    return posixpath.dirname(folder)


def conventions_of(modules: Mapping[str, Module]) -> dict[str, tuple[Evidence, ...]]:
    """Return for each topic where the code shows it, at most six places, one per call and file."""
    return {topic: found for topic in TOPICS if (found := tuple(_places(topic, modules))[:6])}


def _places(topic: str, modules: Mapping[str, Module]) -> Iterator[Evidence]:
    for path, module in modules.items():
        seen: set[str] = set()
        for line, name in sorted(module.topics.get(topic, ())):
            if name not in seen:
                seen.add(name)
                yield Evidence(path, line, name)
