"""The stages: build, load, try, export, compute the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import reference as references
from . import weights
from .calling import Call, flatten, parameter_names
from .examples import Arrays, Given, Source, open_source
from .loading import build, describe, force_eval
from .matrix import compute_cases, compute_task, compute_times
from .problems import BadInput, Failed, first_line
from .program import LARGE_BYTES, Session, clock
from .reference import Reference
from .tracing import export, random_place

SAME = 1e-6
"""Two runs on one input may differ by this scaled error; more, and the model is random."""

FIRST_BATCH = 2
"""The batch that is traced: with one, the exporter takes the 1 for a constant."""


def run(session: Session) -> None:
    """Do all of it; raises BadInput or Failed."""
    model = _model(session)
    source = open_source(session.request, parameter_names(model), session.sources)
    source.tensors.sort(key=_order(Call(model, [t["name"] for t in source.tensors])))
    axes = _first_axes(session, source)
    call = Call(model, [tensor["name"] for tensor in source.tensors])
    first = references.as_precision(source.random(axes, 0), session.request["precision"])
    reference = Reference(model, call, session.request["outputs"], session.sources)
    outputs = _try(reference, first)
    _declare(session, source, outputs)
    program = _export(session, reference, source, first, list(outputs))
    _check_random(session, reference, program, first, outputs)
    _save(session, program, model, source, list(outputs))
    del program
    started = clock()
    compute_cases(session, reference, source)
    compute_task(session, reference)
    compute_times(session, reference, source)
    session.known["timing"]["reference_s"] = round(clock() - started, 3)


def _order(call: Call) -> Any:
    return lambda tensor: call.names.index(tensor["name"])


def _model(session: Session) -> nn.Module:
    request = session.request
    session.known["threads"] = torch.get_num_threads()
    session.stage("model", f"building {request['factory']}")
    model = build(request["factory"], request["model_arguments"], session.sources)
    if request["checkpoint"] is not None:
        _load(session, model, request["checkpoint"])
    training = force_eval(model)
    about = describe(model, request["factory"], training, session.sources)
    session.write(model=about)
    return model


def _load(session: Session, model: nn.Module, given: Mapping[str, Any]) -> None:
    session.stage("checkpoint", f"loading {given['source']}")
    path = Path(given["path"]) if "path" in given else _from_mlflow(session, given["source"])
    loaded = weights.read(
        path,
        given["source"],
        key=session.request["checkpoint_key"],
        allow_pickle=session.request["allow_pickle"],
    )
    session.note(weights.apply(model, loaded, given["source"]))
    if loaded.format == "pickle":
        session.note(
            f"`{given['source']}` was unpickled, for `allow-pickle` is set: it ran as code."
        )
    about = {"source": given["source"], "sha256": loaded.sha256, "format": loaded.format}
    session.write(checkpoint={**about, "key": loaded.key, "tensors": len(loaded.weights)})


def _from_mlflow(session: Session, source: str) -> Path:
    """Download a checkpoint by the user's own mlflow, from the store that it is configured for."""
    uri = source.removeprefix("mlflow:")
    try:
        import mlflow
    except ImportError:
        raise BadInput(
            f"`checkpoint` is `{source}`, and mlflow is not installed for that Python.",
            "Install mlflow beside torch, or download the file and name it.",
            title="missing package",
        ) from None
    try:
        target = session.scratch / "mlflow"
        target.mkdir(exist_ok=True)
        found = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(target)))
        run = uri.removeprefix("runs:/").split("/")[0] if uri.startswith("runs:/") else ""
        session.write(run=run or _run_of(mlflow, uri))
    except Exception as error:
        raise BadInput(
            f"`checkpoint` is `{source}`, and MLflow has nothing there: {first_line(error)}.",
            "Look at MLFLOW_TRACKING_URI, and write mlflow:runs:/RUN/PATH or"
            " mlflow:models:/NAME@ALIAS.",
            title="no checkpoint",
        ) from error
    if found.is_file():
        return found
    files = [p for p in sorted(found.rglob("*")) if p.suffix in weights.SUFFIXES]
    if len(files) != 1:
        names = ", ".join(f.relative_to(found).as_posix() for f in files[:8]) or "none"
        raise BadInput(
            f"`checkpoint` is `{source}`, a folder with {len(files)} checkpoints: {names}.",
            "Name one of them: mlflow:runs:/RUN/PATH/FILE.",
            title="no checkpoint",
        )
    return files[0]


def _run_of(mlflow: Any, uri: str) -> str:
    """Return the run that a registered version came from."""
    name, _, alias = uri.removeprefix("models:/").partition("@")
    client = mlflow.MlflowClient()
    if alias:
        return str(client.get_model_version_by_alias(name, alias).run_id or "")
    name, _, number = name.partition("/")
    return str(client.get_model_version(name, number).run_id or "") if number else ""


def _first_axes(session: Session, source: Source) -> dict[str, int]:
    """Return the lengths of the traced input; two at least where an axis can be so long."""
    axes: dict[str, int] = dict(session.request["first_axes"])
    given = source.lengths() if isinstance(source, Given) else {}
    declared = session.request["axes"]
    used = {a for tensor in source.tensors for a in tensor["shape"] if isinstance(a, str)}
    for name in sorted(used):
        if name not in declared:
            raise BadInput(
                f"`{name}` is a dynamic axis of the example inputs, and `axes` does not say how"
                " long it may be.",
                f"Write its lengths: `{name}=1..512`.",
            )
        low, high = declared[name]
        length = given.get(name, axes.get(name, low))
        if name in given and name != "batch" and not low <= length <= high:
            raise BadInput(
                f"`axes` declares `{name}` for {low} to {high}, the example has {length}."
            )
        axes[name] = axes[name] if name == "batch" else min(max(length, 2, low), high)
    session.known["first_axes"] = axes = {name: axes[name] for name in sorted(used)}
    return axes


def _try(reference: Reference, first: Arrays) -> dict[str, Tensor]:
    """Run the model once; one that cannot take the example inputs does not fit them."""
    try:
        return reference.run(first)
    except (BadInput, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{n} {a.dtype}{list(a.shape)}" for n, a in first.items())
        did = "called" if isinstance(error, SystemExit) else "raised"
        raise BadInput(
            f"the model {did} {first_line(error)}, given {given}.",
            "Make `example-inputs` what the model's forward takes.",
            title="the model does not take the example inputs",
            place=reference.sources.place_of_error(error),
        ) from error


def _declare(session: Session, source: Source, outputs: Mapping[str, Tensor]) -> None:
    """Write down inputs and outputs, as the exported model will have them."""
    fp16 = session.request["precision"] == "fp16"
    tensors = [
        tensor | {"dtype": "float16" if fp16 and "float" in tensor["dtype"] else tensor["dtype"]}
        for tensor in source.tensors
    ]
    names = {name for tensor in source.tensors for name in tensor["shape"] if isinstance(name, str)}
    axes = [
        {"name": name, "low": low, "high": high}
        for name, (low, high) in session.request["axes"].items()
        if name in names
    ]
    clash = sorted(set(outputs) & {tensor["name"] for tensor in tensors})
    if clash:
        raise BadInput(
            f"`{clash[0]}` is the name of an input and of an output.", "Name it with `outputs`."
        )
    session.write(inputs=tensors, axes=axes)


def _export(
    session: Session, reference: Reference, source: Source, first: Arrays, outputs: Sequence[str]
) -> Any:
    request = session.request
    session.stage("export", f"exporting with torch {torch.__version__}, opset {request['opset']}")
    started = clock()
    with references.half(reference.model, request["precision"]) as model:
        session.sources.name_modules(model)
        inputs = {name: torch.from_numpy(array) for name, array in first.items()}
        if request["precision"] == "fp16":
            _try_half(model, reference, inputs)
        used = {name for t in source.tensors for name in t["shape"] if isinstance(name, str)}
        axes = {name: span for name, span in request["axes"].items() if name in used}
        program = export(
            model,
            reference.call,
            inputs,
            request={**request, "axes": axes},
            tensors=source.tensors,
            outputs=outputs,
            sources=session.sources,
        )
    session.sources.name_modules(reference.model)
    session.known["timing"]["export_s"] = round(clock() - started, 3)
    return program


def _try_half(model: nn.Module, reference: Reference, inputs: Mapping[str, Tensor]) -> None:
    """Run the copy in half precision before it is traced: its own error says more."""
    try:
        flatten(reference.call(model, inputs), ())
    except Exception as error:
        place = reference.sources.place_of_error(error)
        text = reference.sources.scrub(first_line(error))
        message = f"the model in half precision raised {text}."
        report = f"# What the model said\n\n{message}\n"
        raise Failed("forward-raised", message, place, report=report) from error


def _check_random(
    session: Session,
    reference: Reference,
    program: Any,
    first: Arrays,
    before: Mapping[str, Tensor],
) -> None:
    """Raise Failed where one input gives two results: nothing could be held against that."""
    torch.manual_seed(1)
    buffers = references.buffers(reference.model)
    after = reference.run(first)
    changed = references.changed(buffers, reference.model)
    session.known["model"]["state"] = changed
    worst = references.differs(before, after)
    if worst <= SAME:
        if worst:
            session.note(f"Two runs on the same input differ by {worst:.1e} (scaled).")
        return
    operator, place = random_place(program.exported_program, session.sources)
    if operator:
        why = f"`{operator}` draws random numbers in eval mode"
    elif changed:
        why = f"each call changes its buffers {', '.join(f'`{name}`' for name in changed[:3])}"
    else:
        why = "it draws random numbers outside of torch, or keeps a state between calls"
    message = f"the model gives two results for one input: {why}. Make it deterministic in eval()."
    report = f"# Two results for one input\n\n{message}\n"
    raise Failed("random-operator", message, place, report=report)


def _save(
    session: Session, program: Any, model: nn.Module, source: Source, names: Sequence[str]
) -> None:
    session.stage("save", "writing the model")
    size = sum(p.numel() * p.element_size() for p in (*model.parameters(), *model.buffers()))
    folder = session.scratch / "raw"
    folder.mkdir(exist_ok=True)
    given = [value.name for value in program.model.graph.inputs]
    wanted = [tensor["name"] for tensor in source.tensors]
    if given != wanted or len(program.model.graph.outputs) != len(names):
        message = (
            f"the exported graph takes {', '.join(map(str, given)) or 'nothing'} and gives"
            f" {len(program.model.graph.outputs)} outputs; the model takes {', '.join(wanted)} and"
            f" gives {len(names)}. An input that the model does not use, or an output that is none"
            " of its own, cannot be exported."
        )
        raise Failed("export-failed", message, report=f"# Other inputs\n\n{message}\n")
    program.save(folder / "model.onnx", external_data=size >= LARGE_BYTES)
    if not (folder / "model.onnx").stat().st_size:
        raise Failed("export-failed", "torch wrote an empty file.", report="# Empty\n")
