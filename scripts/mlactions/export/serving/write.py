"""Write the serving files of a proven model: the edge of what the targets are made of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlactions.bundle import write_atomic
from mlactions.export.result import Serving
from mlactions.export.serving.agree import check_file
from mlactions.export.serving.archive import pack
from mlactions.export.serving.description import Description
from mlactions.export.serving.onnxruntime_target import onnxruntime_target
from mlactions.export.serving.placed import Target
from mlactions.export.serving.torchserve import STORE, archive_sources, torchserve_target
from mlactions.export.serving.triton import triton_target

FOLDER = "serving"

TARGETS: Mapping[str, Callable[[Description, dict[str, str], str], Target]] = {
    "onnxruntime": onnxruntime_target,
    "triton": triton_target,
    "torchserve": torchserve_target,
}


def write_serving(
    out: Path,
    model: Description,
    folder: Path,
    targets: Sequence[str],
    *,
    images: Mapping[str, str],
    golden: str,
) -> tuple[Serving, ...]:
    """Write `serving/<target>/` below `out` for each target.

    `folder` holds the model's files, `images` base images by name (`read_images`), `golden` is the
    name of a golden request for the examples.
    """
    if targets:
        check_file(model, folder / model.files[0].name)
    return tuple(
        _write(out, model, folder, TARGETS[n](model, dict(images), golden)) for n in targets
    )


def _write(out: Path, model: Description, folder: Path, target: Target) -> Serving:
    place = out / FOLDER / target.name
    for path, text in target.texts.items():
        write_atomic(place / path, text)
    for name, path in target.models.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        # Not linked: a user may edit one of the two.
        shutil.copyfile(folder / name, place / path)
    if target.name == "torchserve":
        files = tuple(folder / file.name for file in model.files)
        pack(model.name, archive_sources(model), files, place / STORE / f"{model.name}.mar")
    found = sorted(path for path in place.rglob("*") if path.is_file())
    return Serving(target.name, tuple(path.relative_to(out).as_posix() for path in found))
