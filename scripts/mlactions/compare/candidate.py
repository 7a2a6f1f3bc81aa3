"""Read what was measured: bundles of `evaluate`, folders of `<model>.json`, or one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlactions.bundle import MANIFEST, MAX_FILE_BYTES, Bundle, open_bundle, unfold
from mlactions.compare import fields
from mlactions.compare.model import Candidate, Failure, Measured, PredictionFile, Removed, Side
from mlactions.errors import UserError
from mlactions.metrics import SHAPES, Metrics, Problem, kind, parse_metrics
from mlactions.schema import load_json, read_text
from mlactions.yaml_lines import lines_of


def read_candidate(paths: Sequence[Path], *, runs: bool = False) -> Candidate:
    """Read and merge everything that was measured; `runs` repeat the same models.

    Raises UserError for what cannot be read and for what was measured twice. Values that are no
    finite numbers are no error here: they become findings.
    """
    if not paths:
        raise UserError("bad input", "`--metrics` is missing.", "Name a bundle, folder or file.")
    parts = [_read(part) for path in paths for part in unfold(path)]
    return parts[0] if len(parts) == 1 else merge(parts, runs=runs)


def _read(path: Path) -> Candidate:
    if not path.exists():
        what = "`--metrics` names it, and nothing is there."
        raise UserError("file not found", what, "`evaluate --out` writes one.", str(path))
    if _is_our_own(path):
        what = "this folder is `compare`'s own result, not what was measured."
        raise UserError("no metrics", what, "Name the folder that `evaluate` wrote.", str(path))
    if (path / MANIFEST).is_file() or (path / "evaluation.json").is_file():
        return _from_bundle(open_bundle(path, word="evaluate"))
    if path.is_dir():
        return _from_folder(path)
    return _from_file(path)


def _is_our_own(path: Path) -> bool:
    """Tell whether a folder is a result of `compare`: what lies beside its metrics in `build`."""
    manifest = load_json(path / MANIFEST) if (path / MANIFEST).is_file() else {}
    return isinstance(manifest, dict) and manifest.get("word") == "compare"


def _from_folder(folder: Path) -> Candidate:
    files = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    if not files:
        raise UserError(
            "no metrics", "the folder holds no `<model>.json`.", "Measure first.", str(folder)
        )
    return _plain({path.stem: (load_json(path), path) for path in files})


def _from_file(path: Path) -> Candidate:
    document = load_json(path)
    if not isinstance(document, dict) or "models" not in document:
        return _plain({path.stem: (document, path)})
    models = document["models"]
    if not isinstance(models, dict) or not models:
        what = "nothing" if models is None else f"a {kind(models)}" if models else "nothing in it"
        raise UserError("bad metrics", f"`models` holds {what}.", SHAPES, str(path))
    return _plain({model: (body, path) for model, body in models.items()}, root=("models",))


def _plain(documents: Mapping[str, tuple[Any, Path]], root: tuple[str, ...] = ()) -> Candidate:
    head = {}
    for model, (document, path) in documents.items():
        place = (*root, model) if root else ()
        _check_name(model, str(path))
        head[model] = measured(document, file=str(path), root=place)
    commits = {str(side.provenance.get("commit") or "") for side in head.values()}
    return Candidate(head, commit=commits.pop() if len(commits) == 1 else "")


def _check_name(model: str, file: str) -> None:
    hint = fields.model_name(model)
    if hint is not None:
        raise UserError("bad model name", f"found {fields.found(model)}.", hint, file)


def measured(document: Any, *, file: str, root: tuple[str, ...] = ()) -> Measured:
    """Read one model's metrics document; `root` is its place in the file."""
    try:
        metrics = _metrics(document, file)
    except UserError as error:
        raise _in_model(error, Path(file), root) from None
    seeds = document.get("seeds") if "metrics" in document else None
    return Measured(
        values=metrics.values,
        problems=metrics.problems,
        provenance=metrics.provenance,
        seeds=tuple(seeds) if isinstance(seeds, list) and fields.seeds(seeds) is None else (),
        file=file,
        lines=_lines(metrics.problems, Path(file), root) if metrics.problems else (),
    )


def _metrics(document: Any, file: str) -> Metrics:
    metrics = parse_metrics(document, file=file)
    for name in (*metrics.values, *(problem.metric for problem in metrics.problems)):
        hint = fields.metric_name(name)
        if hint is not None:
            raise UserError("bad metric name", f"found {name[:80]!a}.", hint, file)
    return metrics


def _in_model(error: UserError, path: Path, root: tuple[str, ...]) -> UserError:
    """Return the error with the model and its line, where a file holds several models."""
    if not root or error.line is not None:
        return error
    line = lines_of(read_text(path, max_bytes=MAX_FILE_BYTES), [root])[root]
    message = f"`{root[-1]}`: {error.message}".replace("the file holds no", "it holds no")
    return replace(error, message=message, line=line)


def _lines(
    problems: Sequence[Problem], path: Path, root: tuple[str, ...]
) -> tuple[int | None, ...]:
    places = [(*root, *problem.keys) for problem in problems]
    lines = lines_of(read_text(path, max_bytes=MAX_FILE_BYTES), places)
    return tuple(lines[place] for place in places)


def _from_bundle(bundle: Bundle) -> Candidate:
    document = bundle.json("evaluation.json", schema="evaluation")
    return Candidate(
        head=_side(bundle, "metrics/"),
        base=_side(bundle, "base/metrics/"),
        expected=frozenset(document["expected"]),
        skipped={item["model"]: item["reason"] for item in document["skipped"]},
        failures=tuple(_failures(document["evaluations"], bundle.folder)),
        commit=document["commit"],
        predictions=_predictions(bundle, document["evaluations"]),
        elsewhere=frozenset(document.get("elsewhere", ())),
        removed=tuple(Removed(**item) for item in document.get("removed", ())),
    )


def _side(bundle: Bundle, prefix: str) -> dict[str, Measured]:
    side = {}
    for entry in bundle.entries:
        name = entry.path.removeprefix(prefix).removesuffix(".json")
        if entry.path == f"{prefix}{name}.json" and "/" not in name:
            file = str(bundle.folder / entry.path)
            side[name] = measured(load_json(Path(file), max_bytes=MAX_FILE_BYTES), file=file)
    return side


def _failures(evaluations: Iterable[Mapping[str, Any]], folder: Path) -> Iterable[Failure]:
    """Yield what did not end ok; logs are where the reader stands, or as the artifact has them."""
    logs = Path() if folder.is_absolute() else folder
    for item in evaluations:
        if item["outcome"] != "ok":
            detail = item["detail"] or (item["log_tail"] or [""])[-1]
            yield Failure(
                model=item["model"],
                side=item["side"],
                seed=item["seed"],
                outcome=item["outcome"],
                detail=detail,
                log=item["log"] and (logs / item["log"]).as_posix(),
                file=item["file"],
                line=item["line"],
            )


def _predictions(
    bundle: Bundle, evaluations: Iterable[Mapping[str, Any]]
) -> dict[tuple[Side, str], tuple[PredictionFile, ...]]:
    files: dict[tuple[Side, str], tuple[PredictionFile, ...]] = {}
    for item in evaluations:
        if item["outcome"] == "ok" and item["predictions"]:
            key = (item["side"], item["model"])
            file = PredictionFile(item["seed"], bundle.path(item["predictions"]))
            files[key] = (*files.get(key, ()), file)
    return files


def merge(parts: Sequence[Candidate], *, runs: bool = False) -> Candidate:
    """Unite what several jobs measured; a model may be split by seeds, never measured twice.

    With `runs`, a model that comes again is another run of it.
    """
    expected = frozenset[str]().union(
        *(part.head.keys() if part.expected is None else part.expected for part in parts)
    )
    predictions: dict[tuple[Side, str], tuple[PredictionFile, ...]] = {}
    for part in parts:
        for key, files in part.predictions.items():
            predictions[key] = (*predictions.get(key, ()), *files)
    return Candidate(
        head=_merge_sides([part.head for part in parts], _add_run if runs else _join),
        base=_merge_sides([part.base for part in parts], _add_run if runs else _join),
        expected=None if all(part.expected is None for part in parts) else expected,
        skipped={
            model: reason
            for part in parts
            for model, reason in part.skipped.items()
            if model not in expected
        },
        failures=tuple(failure for part in parts for failure in part.failures),
        commit=_one_commit(parts),
        predictions=predictions,
        # Who planned for all of them knows best what need not be measured.
        elsewhere=frozenset[str]()
        .union(*(part.elsewhere for part in parts))
        .difference(*(part.skipped for part in parts)),
        removed=tuple(dict.fromkeys(gone for part in parts for gone in part.removed)),
    )


def _one_commit(parts: Sequence[Candidate]) -> str:
    commits = sorted({part.commit for part in parts if part.commit})
    if len(commits) > 1 and all(part.expected is not None for part in parts):
        raise UserError(
            "commits differ",
            f"the bundles were measured at {' and '.join(commit[:12] for commit in commits)}.",
            "Compare bundles of one commit.",
        )
    return commits[0] if len(commits) == 1 else ""


def _merge_sides(
    sides: Sequence[Mapping[str, Measured]], join: Callable[[Measured, Measured, str], Measured]
) -> dict[str, Measured]:
    merged: dict[str, Measured] = {}
    for side in sides:
        for model, part in side.items():
            merged[model] = join(merged[model], part, model) if model in merged else part
    return merged


def _add_run(first: Measured, second: Measured, _model: str) -> Measured:
    values = dict(first.values)
    for metric, more in second.values.items():
        values[metric] = values.get(metric, ()) + more
    return replace(
        first,
        values=values,
        problems=first.problems + second.problems,
        lines=first.lines + second.lines,
        seeds=(),
    )


def _join(first: Measured, second: Measured, model: str) -> Measured:
    """Unite two sets of seeds of one model, in the order of the seeds."""
    seeds = first.seeds + second.seeds
    if not (first.seeds and second.seeds) or len(set(seeds)) != len(seeds):
        raise UserError(
            "measured twice",
            f"`{model}` is also in {first.file}.",
            "Give each model, or each of its seeds, in one place.",
            second.file,
        )
    _check_same_origin(first, second, model)
    order = sorted(range(len(seeds)), key=seeds.__getitem__)
    values = {}
    for metric in [*first.values, *(name for name in second.values if name not in first.values)]:
        both = first.values.get(metric, ()) + second.values.get(metric, ())
        values[metric] = tuple(both[i] for i in order) if len(both) == len(seeds) else both
    return replace(
        first,
        values=values,
        problems=first.problems + second.problems,
        lines=first.lines + second.lines,
        provenance={**first.provenance, "seeds": sorted(seeds)},
        seeds=tuple(sorted(seeds)),
    )


def _check_same_origin(first: Measured, second: Measured, model: str) -> None:
    for name in ("commit", "protocol", "config", "data"):
        if first.provenance.get(name) != second.provenance.get(name):
            raise UserError(
                f"{name} differs",
                f"the seeds of `{model}` were measured with another `{name}` than in {first.file}.",
                "Compare seeds that were measured alike.",
                second.file,
            )
