"""Seeds: what one file shows. Whether a program is seeded is decided in `programs`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mlactions.audit.model import Conditional, Finding, Rule
from mlactions.audit.names import Scope
from mlactions.audit.source import Source, called, constant, is_open, keyword, last_part

FAMILY = "seeds"
_TORCH = "https://docs.pytorch.org/docs/stable/notes/randomness.html"

MISSING = Rule(
    "seed-missing",
    FAMILY,
    "error",
    "A training program sets no seed",
    "Initial weights, dropout and the order of the data differ in every run, so no result of this"
    " program can be had again.",
    "Call one seeding function at the start of the program, with a seed from the config:"
    " `torch.manual_seed`, `numpy.random.seed` and `random.seed`, or a helper that does all three"
    " (`lightning.seed_everything`, `accelerate.utils.set_seed`, `transformers.set_seed`,"
    " `keras.utils.set_random_seed`).",
    _TORCH,
)
PARTIAL = Rule(
    "seed-partial",
    FAMILY,
    "warning",
    "A generator that the program draws from is not seeded",
    "Each library has a generator of its own: seeding one leaves the others random.",
    "Seed every generator that is drawn from: `torch.manual_seed` covers the CPU and all GPUs,"
    " `numpy.random.seed` NumPy's legacy functions, `random.seed` the standard library.",
    _TORCH,
)
UNSEEDED = Rule(
    "generator-unseeded",
    FAMILY,
    "warning",
    "A generator is made without a seed",
    "`numpy.random.default_rng()`, `RandomState()` and `random.Random()` take their state from the"
    " operating system; `numpy.random.seed` does not reach them.",
    "Hand the generator a seed from the config.",
    "https://numpy.org/doc/stable/reference/random/generator.html",
)
ENTROPY = Rule(
    "seed-from-entropy",
    FAMILY,
    "warning",
    "The seed is itself random",
    "A seed taken from the clock, the process id or the operating system is another one each time.",
    "Take the seed from the config. If it has to be drawn, log it, so that the run can be"
    " repeated.",
    "https://docs.python.org/3/library/random.html#random.seed",
)
LATE = Rule(
    "seed-too-late",
    FAMILY,
    "warning",
    "Random numbers are drawn before the seed is set",
    "What was drawn by then, first weights or the order of the data, differs in every run: the seed"
    " only fixes what follows it.",
    "Seed first: before models are built, data is shuffled or split.",
    _TORCH,
)
OPTIONAL = Rule(
    "seed-optional",
    FAMILY,
    "warning",
    "The seed is set only where one is given, and by default none is",
    "Whoever starts the program without the option gets another result each time, and nothing says"
    " which seed it was.",
    "Give the option a default, or draw a seed where none is given and log it.",
    _TORCH,
)
ESTIMATOR = Rule(
    "estimator-unseeded",
    FAMILY,
    "warning",
    "An estimator that draws has no `random_state`",
    "Without `random_state` scikit-learn draws from NumPy's global generator, which this program"
    " does not seed: each fit gives another model.",
    "Pass `random_state=seed`.",
    "https://scikit-learn.org/stable/common_pitfalls.html#controlling-randomness",
)
TOO_LATE = Rule(
    "hash-seed-too-late",
    FAMILY,
    "note",
    "PYTHONHASHSEED is set by the running program",
    "Python reads PYTHONHASHSEED when it starts: set later, it changes child processes only, and"
    " the order of sets in this one stays random.",
    "Set it where the program is started (workflow, Dockerfile, launcher), or sort sets.",
    "https://docs.python.org/3/using/cmdline.html#envvar-PYTHONHASHSEED",
)
RULES = (MISSING, PARTIAL, LATE, OPTIONAL, UNSEEDED, ESTIMATOR, ENTROPY, TOO_LATE)

_MAKERS = frozenset(
    {"numpy.random.default_rng", "numpy.random.RandomState", "random.Random"}
    | {f"numpy.random.{name}" for name in ("PCG64", "MT19937", "Philox", "SFC64", "SeedSequence")}
)
_SEEDERS = frozenset(
    {"random.seed", "numpy.random.seed", "torch.manual_seed", "torch.random.manual_seed"}
    | {"torch.cuda.manual_seed", "torch.cuda.manual_seed_all"}
    | {"jax.random.PRNGKey", "jax.random.key", "tensorflow.random.set_seed"}
)
# scikit-learn's classes that draw with their default arguments.
_DRAWING = re.compile(
    r"(?:RandomForest|ExtraTrees?|Bagging|GradientBoosting|DecisionTree|MLP|SGD)"
    r"(?:Classifier|Regressor)|IsolationForest|RandomTreesEmbedding|Perceptron|TSNE|FastICA"
    r"|(?:MiniBatch|Bisecting)?KMeans|SpectralClustering|(?:Bayesian)?GaussianMixture|BernoulliRBM"
    r"|TruncatedSVD|LatentDirichletAllocation|(?:Gaussian|Sparse)RandomProjection|RandomizedSearchCV"
)
_HELPERS = frozenset({"seed_everything", "set_seed", "manual_seed"})
_RANDOM_SOURCES = frozenset(
    {"time.time", "time.time_ns", "time.perf_counter", "time.monotonic", "os.getpid", "os.urandom"}
    | {"secrets.randbits", "secrets.randbelow", "uuid.uuid4", "uuid.uuid1"}
    | {"datetime.datetime.now", "datetime.datetime.utcnow", "torch.seed"}
)


def check(source: Source) -> Iterator[Finding]:
    """Yield generators without a seed, seeds that are random, and PYTHONHASHSEED set too late."""
    for call, scope, name in source.calls:
        if name in _MAKERS and _is_empty(call):
            text = f"`{name}()` is made without a seed."
            if not _is_seeded_later(source, call):
                yield source.finding(UNSEEDED, call, text)
        elif name in {"torch.seed", "torch.random.seed", "torch.cuda.seed", "torch.cuda.seed_all"}:
            if isinstance(source.names.parents.get(call), ast.Expr):
                yield source.finding(ENTROPY, call, f"`{name}()` draws the seed at random.")
        elif name == "random.SystemRandom":
            yield source.finding(ENTROPY, call, f"`{name}` cannot be seeded.")
        elif name in _SEEDERS or last_part(name) in _HELPERS:
            yield from _seeding(source, call, scope, name)
    yield from _optional(source)
    yield from _hash_seed(source)


def candidates(source: Source) -> Iterator[Conditional]:
    """Yield estimators without `random_state`: they count where NumPy is not seeded."""
    for call, scope, name in source.calls:
        drawing = name.startswith("sklearn.") and _DRAWING.fullmatch(last_part(name))
        if drawing and not is_open(call) and _is_none(keyword(call, "random_state")):
            text = f"`{last_part(name)}` has no `random_state`."
            finding = source.finding(ESTIMATOR, call, text)
            yield Conditional(finding, scope.key, unless=_NUMPY_SEEDED, alone=True)


_NUMPY_SEEDED = frozenset({"seed.numpy", "seed.all"})


def is_seeding(name: str) -> bool:
    """Say whether a dotted name is a function that seeds a generator or all of them."""
    return name in _SEEDERS or last_part(name) in _HELPERS


def _optional(source: Source) -> Iterator[Finding]:
    """Yield the seeding that hangs on an option whose default is none."""
    unset = set(_unset(source))
    if not unset:
        return
    first: tuple[ast.Call, str] | None = None
    for call, _, name in source.calls:
        if is_seeding(name):
            option = _guard(source, call)
            if option not in unset:
                return
            first = first or (call, option)
    if first is not None:
        text = f"Without `{first[1]}`, whose default is none, nothing is seeded."
        yield source.finding(OPTIONAL, first[0], text)


def _unset(source: Source) -> Iterator[str]:
    """Yield options of argparse and click that are None where they are not given."""
    for call, _, _ in source.calls:
        if called(call) not in {"add_argument", "option"} or is_open(call):
            continue
        flag = next((text for item in call.args if str(text := constant(item))[:2] == "--"), None)
        required = constant(keyword(call, "required")) is True or keyword(call, "action")
        if flag and not required and _is_none(keyword(call, "default")):
            yield str(flag)[2:].replace("-", "_")


def _guard(source: Source, call: ast.Call) -> str:
    """Return the option that an `if` around a call asks for: `if args.seed is not None`."""
    before: ast.AST = call
    for above in source.names.above(call):
        if isinstance(above, ast.If) and before in above.body:
            match above.test:
                case ast.Compare(asked, [ast.IsNot()], [ast.Constant(None)]):
                    return last_part(ast.unparse(asked))
                case ast.Name() | ast.Attribute():
                    return last_part(ast.unparse(above.test))
        before = above
    return ""


def _is_empty(call: ast.Call) -> bool:
    if is_open(call):
        return False
    given = call.args[0] if call.args else keyword(call, "seed")
    return _is_none(given)


def _is_none(given: ast.expr | None) -> bool:
    """Say whether an argument is absent or None."""
    return given is None or constant(given) is None


def _is_seeded_later(source: Source, call: ast.Call) -> bool:
    """Say whether the new generator's own `.seed(x)` is called, on it or on its name."""
    parent = source.names.parents.get(call)
    if isinstance(parent, ast.Attribute):
        return parent.attr in {"seed", "spawn", "generate_state"}
    if not isinstance(parent, ast.Assign):
        return False
    names = {ast.dump(target).replace("Store()", "Load()") for target in parent.targets}
    return any(
        isinstance(other.func, ast.Attribute)
        and other.func.attr in {"seed", "setstate"}
        and other.args
        and ast.dump(other.func.value) in names
        for other, _, _ in source.calls
    )


def _seeding(source: Source, call: ast.Call, scope: Scope, name: str) -> Iterator[Finding]:
    given = call.args[0] if call.args else keyword(call, "seed") or keyword(call, "a")
    empty = given is None or constant(given) is None
    if empty and name in {"random.seed", "numpy.random.seed"} and not is_open(call):
        yield source.finding(ENTROPY, call, f"`{name}()` without a number seeds at random.")
        return
    for node in ast.walk(given) if given is not None else ():
        if isinstance(node, ast.Call):
            inner = source.names.name(node.func, scope)
            if inner in _RANDOM_SOURCES:
                yield source.finding(ENTROPY, call, f"The seed comes from `{inner}()`.")
                return


def _hash_seed(source: Source) -> Iterator[Finding]:
    if any(name.startswith(("os.exec", "subprocess.")) for _, _, name in source.calls):
        return  # it may start itself anew
    text = "Python has read PYTHONHASHSEED already."
    for node, scope in source.names.assigned:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_is_hash_seed(source, target, scope) for target in targets):
            yield source.finding(TOO_LATE, node, text)
    for call, _, name in source.calls:
        sets = name in {"os.environ.setdefault", "os.putenv"} and call.args
        if sets and constant(call.args[0]) == "PYTHONHASHSEED":
            yield source.finding(TOO_LATE, call, text)


def _is_hash_seed(source: Source, target: ast.expr, scope: Scope) -> bool:
    return (
        isinstance(target, ast.Subscript)
        and constant(target.slice) == "PYTHONHASHSEED"
        and source.names.name(target.value, scope) == "os.environ"
    )
