"""Pinned artifacts: models, data and checkpoints by revision, and loaded without running code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mlactions.audit.model import Finding, Rule
from mlactions.audit.names import Scope
from mlactions.audit.source import Source, called, constant, is_open, keyword, last_part

FAMILY = "pinning"

LOAD = Rule(
    "torch-load-unsafe",
    FAMILY,
    "warning",
    "`torch.load` may run code, and its default depends on the version",
    "Without `weights_only` PyTorch before 2.6 unpickles anything, and later ones refuse what the"
    " earlier ones took; `weights_only=False` runs whatever the file says.",
    "Write `torch.load(path, map_location=..., weights_only=True)`, or store safetensors.",
    "https://docs.pytorch.org/docs/stable/generated/torch.load.html",
)
REVISION = Rule(
    "revision-unpinned",
    FAMILY,
    "warning",
    "A model or data set of the Hub is taken as it is today",
    "Without `revision` the newest commit of the default branch is fetched: its owner can change"
    " weights, tokeniser or data under the same name.",
    "Pass `revision=` with the full commit hash from the Hub's history page.",
    "https://huggingface.co/docs/transformers/main/en/models#custom-models",
)
HUB = Rule(
    "hub-unpinned",
    FAMILY,
    "warning",
    "`torch.hub` runs a repository's newest code",
    "Without a commit, `torch.hub.load` fetches the default branch and runs its hubconf.py.",
    'Name a commit: `torch.hub.load("owner/name:<commit>", ...)`.',
    "https://docs.pytorch.org/docs/stable/hub.html#torch.hub.load",
)
WEIGHTS = Rule(
    "weights-default",
    FAMILY,
    "note",
    "Pre-trained weights are those that the library takes for best",
    "`DEFAULT` of torchvision, and a name without a tag in timm, stand for other weights from one"
    " version of the library to the next.",
    "Name them: `ResNet50_Weights.IMAGENET1K_V2`, `resnet50.a1_in1k`.",
    "https://docs.pytorch.org/vision/stable/models.html#initializing-pre-trained-models",
)
RULES = (LOAD, REVISION, HUB, WEIGHTS)

_HUB_PACKAGES = frozenset(
    {"transformers", "diffusers", "peft", "sentence_transformers", "tokenizers", "open_clip"}
    | {"optimum", "trl", "auto_gptq", "setfit"}
)
_BUILDERS = frozenset(
    {"csv", "json", "parquet", "text", "arrow", "pandas", "webdataset", "generator", "xml", "lance"}
    | {"imagefolder", "audiofolder", "videofolder", "pdffolder", "sql", "spark"}
)
_CONSTRUCTORS = frozenset(
    {"datasets.load_dataset", "sentence_transformers.SentenceTransformer"}
    | {"sentence_transformers.CrossEncoder"}
)
_DOWNLOADS = frozenset({"hf_hub_download", "snapshot_download", "cached_file"})
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_TAG = re.compile(r"(?:refs/tags/)?v?\d+(?:\.\d+)*[\w.+-]*")
_FILES = (".pt", ".pth", ".bin", ".json", ".model", ".txt", ".ckpt", ".safetensors")


def check(source: Source) -> Iterator[Finding]:
    """Yield loads that take whatever is newest, or run what a file says."""
    for call, scope, name in source.calls:
        if name in {"torch.load", "torch.serialization.load"}:
            yield from _load(source, call)
        elif name in {"torch.hub.load", "torch.hub.load_state_dict"}:
            yield from _hub(source, call, scope)
        elif _fetches(call, name):
            yield from _revision(source, call, scope, name)
        elif name == "transformers.pipeline":
            yield from _pipeline(source, call, scope)
        else:
            yield from _weights(source, call, scope, name)


def _fetches(call: ast.Call, name: str) -> bool:
    if name.startswith("huggingface_hub."):
        return last_part(name) in _DOWNLOADS
    return called(call) == "from_pretrained" or name in _CONSTRUCTORS


def _load(source: Source, call: ast.Call) -> Iterator[Finding]:
    given = keyword(call, "weights_only")
    if given is None and not any(item.arg is None for item in call.keywords):
        yield source.finding(LOAD, call, "`torch.load` without `weights_only`.")
    elif constant(given) is False:
        yield source.finding(LOAD, call, "`weights_only=False` runs what the file says.")


def _hub(source: Source, call: ast.Call, scope: Scope) -> Iterator[Finding]:
    repo = _text(call.args[0] if call.args else keyword(call, "repo_or_dir"), scope)
    if repo is None or constant(keyword(call, "source")) == "local":
        return
    owner, _, ref = repo.partition(":")
    if owner.count("/") != 1 or not _HUB_ID.fullmatch(owner):
        return
    if not ref:
        yield source.finding(HUB, call, f"`{owner}` is fetched at its default branch.")
    elif not (_TAG.fullmatch(ref) or _SHORT_COMMIT.fullmatch(ref)):
        yield source.finding(HUB, call, f"`{owner}:{ref}` is a branch, which moves.")


def _revision(source: Source, call: ast.Call, scope: Scope, name: str) -> Iterator[Finding]:
    if is_open(call):
        return
    what = last_part(name) or called(call)
    if name != "datasets.load_dataset" and what == "from_pretrained":
        root = name.partition(".")[0]
        if name and not name.startswith(("@", "builtins.")) and root not in _HUB_PACKAGES:
            return
    identity = _text(
        call.args[0]
        if call.args
        else keyword(call, "pretrained_model_name_or_path")
        or keyword(call, "repo_id")
        or keyword(call, "path"),
        scope,
    )
    if identity is None or not _is_hub_id(identity) or identity in _BUILDERS:
        return
    if constant(keyword(call, "local_files_only")) is True:
        return
    yield from _judge(source, call, identity, what)


def _judge(source: Source, call: ast.Call, identity: str, what: str) -> Iterator[Finding]:
    given = keyword(call, "revision")
    revision = constant(given)
    if given is None or revision is None:
        yield source.finding(REVISION, call, f"`{what}` fetches `{identity}` without `revision`.")
    elif revision in {"main", "master"}:
        text = f"`{identity}` is fetched at `{revision}`, a branch, which moves."
        yield source.finding(REVISION, call, text)


def _pipeline(source: Source, call: ast.Call, scope: Scope) -> Iterator[Finding]:
    if is_open(call) or keyword(call, "revision") is not None:
        return
    model = keyword(call, "model", 1)
    identity = _text(model, scope) if model is not None else None
    if model is None and len(call.args) == 1:
        text = "`pipeline` takes the task's default model of the day."
        yield source.finding(REVISION, call, text)
    elif identity is not None and _is_hub_id(identity):
        text = f"`pipeline` fetches `{identity}` without `revision`."
        yield source.finding(REVISION, call, text)


def _weights(source: Source, call: ast.Call, scope: Scope, name: str) -> Iterator[Finding]:
    """Yield weights that torchvision or timm choose."""
    if name == "timm.create_model" and constant(keyword(call, "pretrained", 1)) is True:
        model = _text(call.args[0] if call.args else keyword(call, "model_name"), scope)
        if model and not {".", ":", "/"} & set(model):
            yield source.finding(WEIGHTS, call, f"`{model}` has no tag that names its weights.")
    elif name.startswith("torchvision.models."):
        given = keyword(call, "weights") or keyword(call, "weights_backbone")
        if given is not None and (
            _text(given, scope) == "DEFAULT" or source.names.name(given, scope).endswith(".DEFAULT")
        ):
            yield source.finding(WEIGHTS, call, f"`{last_part(name)}` takes `DEFAULT` weights.")


def _is_hub_id(text: str) -> bool:
    """Say whether a text names a repository of the Hub, and no path of this machine."""
    if text.endswith(_FILES) or not _HUB_ID.fullmatch(text):
        return False
    local = {"checkpoints", "checkpoint", "output", "outputs", "models", "model", "runs", "results"}
    local |= {"data", "dataset", "datasets", "saved", "tmp", "out", "weights", "artifacts"}
    return text.partition("/")[0].lower() not in local


def _text(node: ast.expr | None, scope: Scope) -> str | None:
    """Return a literal text, also of a name that is assigned once."""
    if isinstance(node, ast.Name):
        node = scope.value_of(node.id)
    value = constant(node)
    return value if isinstance(value, str) else None
