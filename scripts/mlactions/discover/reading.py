"""From what the Hub answers to an entry. Pure, and for texts and types that anybody wrote.

Whatever has another form than the Hub's documentation says is left unknown, never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlactions.discover.formats import alone, beside, loading, readable
from mlactions.discover.model import Entry, File, Kind, Metric, Split
from mlactions.discover.size import count_parameters, has_headers

MAX_FILES = 12
MAX_METRICS = 20
MAX_TEXT = 300
MAX_CELL = 60
MAX_CITATION = 4_000

_AUTO = re.compile(r"Auto[A-Z][A-Za-z0-9]{1,60}")
_RANGE = re.compile(r"(?:(\d{1,9})([KMBT]?)<n|n>(\d{1,9})([KMBT]?)|n)(?:<\d{1,9}[KMBT]?)?")
_POWERS = {"": 0, "K": 3, "M": 6, "B": 9, "T": 12}


def read_entry(kind: Kind, raw: Mapping[str, Any], *, asked: str = "") -> Entry:
    """Return what is known of a repository."""
    card = _mapping(raw.get("card"))
    tags = _texts(raw.get("tags"))
    files = tuple(_files(raw.get("siblings")))
    sizes = [file.size for file in files]
    entry = Entry(
        kind=kind,
        id=_text(raw.get("id")),
        asked=asked,
        revision=_text(raw.get("sha")),
        gated=_gated(raw.get("gated")),
        disabled=raw.get("disabled") is True,
        licence_card=_licences(card.get("license")),
        licence_tags=_tagged(tags, "license:"),
        licence_name=_text(card.get("license_name")),
        downloads=_count(raw.get("downloads")),
        likes=_count(raw.get("likes")),
        modified=_text(raw.get("modified"))[:10],
        files=len(files),
        size=sum(size or 0 for size in sizes) if files and None not in sizes else None,
        pickles=_largest(_pickled(files)),
        unsafe=tuple(_flagged(raw.get("security"), "unsafe")),
        suspicious=tuple(_flagged(raw.get("security"), "suspicious")),
        unscanned=_mapping(raw.get("security")).get("scansDone") is False,
        citation=_long(raw.get("citation")),
        authors=_text(raw.get("author")),
    )
    more = _model if kind == "model" else _dataset
    return more(entry, raw, card, tags, files)


def _model(
    entry: Entry,
    raw: Mapping[str, Any],
    card: Mapping[str, Any],
    tags: Sequence[str],
    files: Sequence[File],
) -> Entry:
    library = _short(raw.get("library_name")) or _short(card.get("library_name"))
    paths = [file.path for file in files]
    parameters, source, why = count_parameters(raw, library, tags, paths)
    about, config = _mapping(raw.get("transformers_info")), _mapping(raw.get("config"))
    return replace(
        entry,
        library=library,
        libraries=tuple(dict.fromkeys(name for name in (library, *tags) if name)),
        task=_text(raw.get("pipeline_tag")) or _text(card.get("pipeline_tag")),
        parameters=parameters,
        parameters_from=source,
        parameters_why=why,
        headers=has_headers(raw),
        weights=_weights(files),
        pickles=_largest(file for file in _pickled(files) if not beside(file.path))
        or entry.pickles,
        alone=alone(paths, library),
        remote_code="custom_code" in tags or bool(_mapping(config.get("auto_map"))),
        metrics=tuple(_metrics(raw.get("model_index") or card.get("model-index")))[:MAX_METRICS],
        auto_model=_auto(about.get("auto_model")),
        processor=_auto(about.get("processor")),
    )


def _dataset(
    entry: Entry,
    _raw: Mapping[str, Any],
    card: Mapping[str, Any],
    tags: Sequence[str],
    files: Sequence[File],
) -> Entry:
    config, splits = _splits(card)
    counts = [split.samples for split in splits]
    known = bool(counts) and None not in counts
    tasks = _tagged(tags, "task_categories:") or _texts(card.get("task_categories"))
    libraries = _tagged(tags, "library:")
    name = entry.id.rpartition("/")[2]
    return replace(
        entry,
        library="datasets" if "datasets" in libraries else "",
        libraries=libraries,
        task=tasks[0] if tasks else "",
        samples=sum(count or 0 for count in counts) if known else None,
        samples_least=_least(tags, card),
        config=config,
        splits=splits,
        scripts=tuple(file.path for file in files if file.path == f"{name}.py"),
        closed=tuple(file.path for file in files if loading(file.path) == "unknown")[:MAX_FILES],
        readable=not files or any(readable(file.path) for file in files),
    )


def _metrics(index: Any) -> Iterator[Metric]:
    """Yield what a model-index reports; its form: https://huggingface.co/docs/hub/model-cards."""
    for model in _list(index):
        for result in _list(_mapping(model).get("results")):
            about = _mapping(result)
            data, task = _mapping(about.get("dataset")), _mapping(about.get("task"))
            source = _mapping(about.get("source"))
            for metric in map(_mapping, _list(about.get("metrics"))):
                value = _value(metric.get("value"))
                if value:
                    yield Metric(
                        name=_short(metric.get("name")) or _short(metric.get("type")) or "metric",
                        value=value,
                        dataset=_dataset_name(data),
                        task=_short(task.get("type")),
                        source=_short(source.get("name")) or "model card",
                    )


def _dataset_name(data: Mapping[str, Any]) -> str:
    parts = (_short(data.get("name")) or _short(data.get("type")), _short(data.get("split")))
    return ", ".join(part for part in parts if part)


def _value(value: Any) -> str:
    """Return a reported number as it is shown; what is neither number nor short text is left out.

    Some cards report NaN: that is shown as it is, for whoever reads it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    if isinstance(value, str):
        return _short(value)[:40]
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _splits(card: Mapping[str, Any]) -> tuple[str, tuple[Split, ...]]:
    """Return the first configuration of a data set and its splits, from the card's metadata."""
    listed = card.get("dataset_info")
    configs = [_mapping(item) for item in (listed if isinstance(listed, list) else [listed])]
    default = [_mapping(item) for item in _list(card.get("configs"))]
    chosen = next((_text(item.get("config_name")) for item in default if item.get("default")), "")
    wanted = [item for item in configs if chosen and item.get("config_name") == chosen] or configs
    for config in wanted:
        splits = [_mapping(item) for item in _list(config.get("splits"))]
        found = tuple(
            Split(_text(item.get("name")), _count(item.get("num_examples")))
            for item in splits
            if _text(item.get("name"))
        )
        if found:
            return _text(config.get("config_name")), found
    return _from_files(default)


def _from_files(configs: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[Split, ...]]:
    """Return the splits that a card assigns files to, without their numbers of samples."""
    for config in configs:
        names = [_text(_mapping(item).get("split")) for item in _list(config.get("data_files"))]
        if any(names):
            return _text(config.get("config_name")), tuple(Split(n, None) for n in names if n)
    return "", ()


def _least(tags: Sequence[str], card: Mapping[str, Any]) -> int | None:
    """Return the lower end of the smallest size category; None where there is none."""
    named = _tagged(tags, "size_categories:") or _licences(card.get("size_categories"))
    found = []
    for text in named:
        match = _RANGE.fullmatch(text.upper().replace("N", "n"))
        if match is not None:
            number, power = match[1] or match[3] or "0", match[2] or match[4] or ""
            found.append(int(number) * 10 ** _POWERS[power])
    return min(found) if found else None


def _files(siblings: Any) -> Iterator[File]:
    for item in map(_mapping, _list(siblings)):
        path = item.get("path")
        if isinstance(path, str):
            yield File(path[:MAX_TEXT], _count(item.get("size")))


def _weights(files: Sequence[File]) -> tuple[File, ...]:
    """Return the weights that are no pickles, data first: what is cut off is never all of it."""
    data = _largest(file for file in files if loading(file.path) == "data")
    others = _largest(file for file in files if loading(file.path) in ("code", "unknown"))
    return (*data, *others)[:MAX_FILES]


def _pickled(files: Sequence[File]) -> Iterator[File]:
    return (file for file in files if loading(file.path) == "pickle")


def _largest(files: Iterator[File]) -> tuple[File, ...]:
    """Return the largest, those of the top folder first: that is where loaders look."""
    ordered = sorted(files, key=lambda file: ("/" in file.path, -(file.size or 0), file.path))
    return tuple(ordered[:MAX_FILES])


def _flagged(security: Any, level: str) -> Iterator[str]:
    for item in map(_mapping, _list(_mapping(security).get("filesWithIssues"))):
        if item.get("level") == level:
            yield _text(item.get("path")) or "a file"


def _gated(value: Any) -> str:
    if value is False:
        return "no"
    return value if value in ("auto", "manual") else "on request" if value else ""


def _licences(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else _texts(value)
    return tuple(dict.fromkeys(_short(name).lower() for name in names if _text(name)))


def _tagged(tags: Sequence[str], prefix: str) -> tuple[str, ...]:
    found = (tag.removeprefix(prefix).lower() for tag in tags if tag.startswith(prefix))
    return tuple(dict.fromkeys(name for name in found if name))


def _auto(value: Any) -> str:
    return value if isinstance(value, str) and _AUTO.fullmatch(value) else ""


def _count(value: Any) -> int | None:
    """Return a whole number that counts something."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 1 << 62 else None


def _text(value: Any) -> str:
    return " ".join(value.split())[:MAX_TEXT] if isinstance(value, str) else ""


def _short(value: Any) -> str:
    """Return a name that has to fit into a cell of a table."""
    text = _text(value)
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}…"


def _long(value: Any) -> str:
    return value.strip()[:MAX_CITATION] if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(value) if _text(item))


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
