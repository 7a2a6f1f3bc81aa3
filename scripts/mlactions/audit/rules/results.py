"""Results: what is written or logged must not hold the clock or the machine's name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mlactions.audit.model import Finding, Rule
from mlactions.audit.names import Scope
from mlactions.audit.source import Source, called

FAMILY = "results"

CLOCK = Rule(
    "clock-in-results",
    FAMILY,
    "warning",
    "The time of day is part of a result",
    "A file or parameter with the clock in it differs in every run: results cannot be compared by"
    " hash, and caches never hit.",
    "Leave the time to the tracker, which records it with each run, or write it to a log.",
    "https://reproducible-builds.org/docs/timestamps/",
)
HOST = Rule(
    "host-in-results",
    FAMILY,
    "warning",
    "The machine, the process or a random id is part of a result",
    "Host names, process ids and UUIDs differ from run to run and from machine to machine.",
    "Log them as tags of the run, not as parameters or contents of a result.",
    "https://reproducible-builds.org/docs/env-variations/",
)
RULES = (CLOCK, HOST)

_CLOCKS = frozenset(
    {"time.time", "time.time_ns", "time.ctime", "time.asctime", "time.strftime", "time.localtime"}
    | {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"}
    | {"datetime.date.today", "pandas.Timestamp.now"}
)
_HOSTS = frozenset(
    {"socket.gethostname", "socket.getfqdn", "platform.node", "os.uname", "os.getpid"}
    | {"uuid.uuid4", "uuid.uuid1", "getpass.getuser", "os.getlogin"}
)
_WRITERS = frozenset(
    {"json.dump", "json.dumps", "yaml.dump", "yaml.safe_dump", "pickle.dump", "pickle.dumps"}
    | {"torch.save", "numpy.save", "numpy.savez", "joblib.dump", "safetensors.torch.save_file"}
    | {f"mlflow.{name}" for name in ("log_param", "log_params", "log_dict", "log_metric")}
    | {"mlflow.log_metrics", "mlflow.log_text", "wandb.log"}
)
_METHODS = frozenset({"log_hyperparams", "log_params", "log_param", "log_metrics", "writerow"})
_MAX_DEPTH = 2


def check(source: Source) -> Iterator[Finding]:
    """Yield clocks and host names inside the values that a program writes or logs."""
    for call, scope, name in source.calls:
        if not (name in _WRITERS or (not name.startswith("builtins.") and _is_method(call))):
            continue
        for given in (*call.args, *(item.value for item in call.keywords)):
            for node, what in _sources(given, scope, source, 0):
                rule = CLOCK if what in _CLOCKS else HOST
                text = f"`{what}()` becomes part of what `{called(call)}` writes."
                yield source.finding(rule, node, text)


def _is_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS


def _sources(
    node: ast.expr, scope: Scope, source: Source, depth: int
) -> Iterator[tuple[ast.AST, str]]:
    """Yield the clocks in a value: itself, in displays of it, or in the name it was given."""
    stack: list[ast.AST] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.BinOp) and isinstance(item.op, ast.Sub):
            continue  # an elapsed time
        if isinstance(item, ast.Call):
            name = source.names.name(item.func, scope)
            if name in _CLOCKS | _HOSTS:
                yield item, name
                continue
            if name == "builtins.open" or called(item) in {"open", "print", "join", "Path"}:
                continue  # the name of a file, not what is in it
        if isinstance(item, ast.Name) and depth < _MAX_DEPTH:
            value = scope.value_of(item.id)
            if value is not None and isinstance(value, ast.Dict | ast.Call | ast.JoinedStr):
                yield from _sources(value, scope, source, depth + 1)
            continue
        stack.extend(ast.iter_child_nodes(item))
