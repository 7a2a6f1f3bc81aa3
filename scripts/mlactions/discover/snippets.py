"""Code that loads a candidate at its revision, and nothing that could run code of others. Pure.

Names come from the Hub: only those of a strict form get into code, always as a quoted literal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from mlactions.discover.model import Conventions, Entry, File, Snippet

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_PARTS = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TORCH = (".bin", ".ckpt", ".pt", ".pth")
_PRETRAINED = re.compile(r"(?:model|pytorch_model)(?:-\d{5}-of-\d{5})?\.(?:safetensors|bin)")
"""Weights as transformers names them, in the top folder."""

_COMPONENT = re.compile(r"[^/]+/diffusion_pytorch_model(?:-\d{5}-of-\d{5})?\.safetensors")
"""Weights of a part of a pipeline of diffusers."""


_AUTO: Mapping[str, str] = {
    "automatic-speech-recognition": "AutoModelForSpeechSeq2Seq",
    "fill-mask": "AutoModelForMaskedLM",
    "image-classification": "AutoModelForImageClassification",
    "image-segmentation": "AutoModelForSemanticSegmentation",
    "object-detection": "AutoModelForObjectDetection",
    "question-answering": "AutoModelForQuestionAnswering",
    "summarization": "AutoModelForSeq2SeqLM",
    "text-classification": "AutoModelForSequenceClassification",
    "text-generation": "AutoModelForCausalLM",
    "token-classification": "AutoModelForTokenClassification",
    "translation": "AutoModelForSeq2SeqLM",
}


def snippets(entry: Entry, uses: Conventions) -> tuple[Snippet, ...]:
    """Return how to load a candidate, in Python and, where Hydra is used, as a config."""
    return tuple(_snippets(entry, uses))


def _snippets(entry: Entry, uses: Conventions) -> Iterator[Snippet]:
    if no_code(entry):
        return
    package, text = _python(entry)
    known = {name.replace("_", "-") for name in uses.packages}
    missing = sorted({package} - known) if uses.packages else []
    note = ", not yet among the dependencies here" if missing else ""
    yield Snippet(f"With {package}{note}", "python", text)
    config = _hydra(entry) if uses.hydra else ""
    if config:
        yield Snippet("As a Hydra config, for hydra.utils.instantiate", "yaml", config)


def _python(entry: Entry) -> tuple[str, str]:
    """Return the package that loads a repository, and the code."""
    if entry.kind == "dataset":
        return _data(entry)
    writer = _writer(entry)
    return (entry.library, writer(entry)) if writer else ("huggingface-hub", _files(entry))


def _writer(entry: Entry) -> Callable[[Entry], str] | None:
    """Return what writes a call of the library's loader; None where no call is known to be safe."""
    writers = {
        "transformers": _transformers,
        "timm": _timm,
        "sentence-transformers": _sentence_transformers,
        "diffusers": _diffusers,
    }
    unsafe = {
        "diffusers": not any(_COMPONENT.fullmatch(file.path) for file in entry.safetensors),
        "timm": not _timm_is_safe(entry),
        "transformers": not _transformers_finds(entry),
    }
    counted_elsewhere = entry.parameters_from == "gguf"
    unfit = counted_elsewhere or unsafe.get(entry.library, False)
    return None if unfit else writers.get(entry.library)


def _timm_is_safe(entry: Entry) -> bool:
    """Return whether timm finds safetensors under the name it looks for; it takes pickles else."""
    return any(file.path == "model.safetensors" for file in entry.safetensors)


def _transformers_finds(entry: Entry) -> bool:
    """Return whether weights stand where transformers looks, by the names that it looks for."""
    return any(_PRETRAINED.fullmatch(file.path) for file in (*entry.weights, *entry.pickles))


def _how_to_be_safe(entry: Entry) -> str:
    """Return the argument that keeps transformers to tensors, whichever file it finds."""
    tensors = any(_PRETRAINED.fullmatch(file.path) for file in entry.safetensors)
    return "use_safetensors" if tensors else "weights_only"


def auto_class(entry: Entry) -> str:
    """Return the class of transformers that loads a model: its own word, or its task's."""
    return entry.auto_model or _AUTO.get(entry.task, "AutoModel")


def _transformers(entry: Entry) -> str:
    model = auto_class(entry)
    names = sorted({model, entry.processor} - {""}, key=str.lower)
    safe = f"{_how_to_be_safe(entry)}=True"
    lines = [f"from transformers import {', '.join(names)}", "", *_constants(entry)]
    lines += [f"model = {model}.from_pretrained(", f"    NAME, revision=REVISION, {safe}", ")"]
    if entry.processor:
        variable = "tokenizer" if entry.processor == "AutoTokenizer" else "processor"
        lines.append(f"{variable} = {entry.processor}.from_pretrained(NAME, revision=REVISION)")
    return _joined(lines)


def _timm(entry: Entry) -> str:
    lines = ["import timm", "", *_constants(entry)]
    lines.append('model = timm.create_model(f"hf-hub:{NAME}@{REVISION}", pretrained=True)')
    return _joined(lines)


def _sentence_transformers(entry: Entry) -> str:
    safe = "use_safetensors" if entry.safetensors else "weights_only"
    lines = ["from sentence_transformers import SentenceTransformer", "", *_constants(entry)]
    lines.append("model = SentenceTransformer(")
    lines.append(f'    NAME, revision=REVISION, model_kwargs={{"{safe}": True}}')
    lines.append(")")
    return _joined(lines)


def _diffusers(entry: Entry) -> str:
    lines = ["from diffusers import DiffusionPipeline", "", *_constants(entry)]
    lines.append("pipeline = DiffusionPipeline.from_pretrained(")
    lines += ["    NAME, revision=REVISION, use_safetensors=True", ")"]
    return _joined(lines)


def _data(entry: Entry) -> tuple[str, str]:
    """Return code for data: what `datasets` does not read, and scripts, are fetched as files."""
    if entry.scripts or not entry.readable:
        return "huggingface-hub", _snapshot(entry)
    given = ["NAME"]
    if entry.config not in ("", "default") and _WORD.fullmatch(entry.config):
        given.append(json.dumps(entry.config))
    given.append("revision=REVISION")
    names = [split.name for split in entry.splits if _WORD.fullmatch(split.name)]
    if names:
        given.append(f"split={json.dumps('train' if 'train' in names else names[0])}")
    lines = ["from datasets import load_dataset", "", *_constants(entry)]
    lines.append(f"data = load_dataset({', '.join(given)})")
    return "datasets", _joined(lines)


def no_code(entry: Entry) -> str:
    """Return why no code is written for a model's files; empty where there is some."""
    held = _preferred(entry) if _fetched(entry) else ()
    if held and not _strict(held):
        return "the names of its weights have characters that do not belong into code"
    return ""


def _fetched(entry: Entry) -> bool:
    """Return whether code has to name files of a model, because no loader is called."""
    return entry.kind == "model" and _writer(entry) is None


def _preferred(entry: Entry) -> tuple[File, ...]:
    """Return the weights to fetch. Never a pickle because the names of safer ones are odd.

    What was counted is what is fetched: the Hub counts the parameters of GGUF files too.
    """
    if entry.parameters_from == "gguf":
        return tuple(file for file in entry.data if file.path.endswith(".gguf"))
    return entry.safetensors or entry.data or entry.pickles or entry.weights


def _strict(files: tuple[File, ...]) -> list[str]:
    return [file.path for file in files if _FILE.fullmatch(file.path)]


def _files(entry: Entry) -> str:
    """Return code that fetches the weights themselves: tensors as they are, pickles held back."""
    names, safe = _strict(_preferred(entry)), bool(entry.safetensors)
    if not names or (safe and len(entry.safetensors) > 1):
        return _snapshot(entry, only="*.safetensors" if safe else "")
    name = names[0]
    parts = _PARTS.sub(r"-*-of-\1.gguf", name)
    if parts != name:
        return _snapshot(entry, only=parts)
    torch = not entry.data and name.endswith(_TORCH)
    lines = ["import torch"] if torch else []
    lines += ["from huggingface_hub import hf_hub_download"]
    lines += ["from safetensors.torch import load_file"] if safe else []
    lines += ["", *_constants(entry)]
    lines.append(f"path = hf_hub_download(NAME, {json.dumps(name)}, revision=REVISION)")
    if safe:
        lines.append("weights = load_file(path)")
    elif torch:
        lines.append('weights = torch.load(path, map_location="cpu", weights_only=True)')
    return _joined(lines)


def _snapshot(entry: Entry, *, only: str = "") -> str:
    kind = ', repo_type="dataset"' if entry.kind == "dataset" else ""
    chosen = f', allow_patterns=["{only}", "*.json"]' if only else ""
    lines = ["from huggingface_hub import snapshot_download", "", *_constants(entry)]
    lines.append(f"folder = snapshot_download(NAME{kind}, revision=REVISION{chosen})")
    return _joined(lines)


def _constants(entry: Entry) -> list[str]:
    revision = f"REVISION = {json.dumps(entry.revision)}"
    return [f"NAME = {json.dumps(entry.id)}", revision, ""]


def _hydra(entry: Entry) -> str:
    """Return a config that builds the same; nothing for what takes more than one call."""
    name, revision = json.dumps(entry.id), json.dumps(entry.revision)
    if entry.kind == "dataset" and entry.readable and not entry.scripts:
        lines = ["_target_: datasets.load_dataset", f"path: {name}", f"revision: {revision}"]
        if entry.config not in ("", "default") and _WORD.fullmatch(entry.config):
            lines.insert(2, f"name: {json.dumps(entry.config)}")
        return _joined(lines)
    if _writer(entry) is _transformers:
        safe = _how_to_be_safe(entry)
        target = f"_target_: transformers.{auto_class(entry)}.from_pretrained"
        lines = [target, f"pretrained_model_name_or_path: {name}"]
        return _joined([*lines, f"revision: {revision}", f"{safe}: true"])
    if _writer(entry) is _timm:
        model = json.dumps(f"hf-hub:{entry.id}@{entry.revision}")
        return _joined(["_target_: timm.create_model", f"model_name: {model}", "pretrained: true"])
    return ""


def _joined(lines: list[str]) -> str:
    return "\n".join(lines)
