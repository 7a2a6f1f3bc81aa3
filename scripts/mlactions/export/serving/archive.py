"""torch-model-archiver, called for real, and its archive made equal byte for byte each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from mlactions.bundle import write_atomic
from mlactions.errors import UserError

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MANIFEST = "MAR-INF/MANIFEST.json"
_SECONDS = 600


def pack(name: str, sources: Mapping[str, str], model: tuple[Path, ...], archive: Path) -> None:
    """Write `archive` (.mar) from texts by path and the model's files, itself first.

    The archiver copies through its temporary folder and removes what it finds there under the
    model's name, so it gets a folder of its own; it splits names at commas, so it gets ours.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".archive-") as scratch:
        folder = Path(scratch)
        for path, text in sources.items():
            place = folder / (path if path == "handler.py" else f"extra/{path}")
            write_atomic(place, text)
        for number, file in enumerate(model):
            link_or_copy(file, folder / file.name if not number else folder / "extra" / file.name)
        _run(name, model[0].name, folder)
        _rewrite(folder / "out" / f"{name}.mar", archive)


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file where it is needed, without its bytes where the file system allows that."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _run(name: str, model: str, folder: Path) -> None:
    for part in ("out", "temporary"):
        (folder / part).mkdir()
    command = [sys.executable, "-I", "-W", "ignore", "-m", "model_archiver.model_packaging"]
    command += ["--model-name", name, "--version", "1.0", "--serialized-file", model]
    command += ["--handler", "handler.py", "--extra-files", "extra", "--export-path", "out"]
    ended = subprocess.run(
        [*command, "--archive-format", "zip-store"],
        cwd=folder,
        env={"PATH": os.defpath, "TMPDIR": str(folder / "temporary")},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    if ended.returncode != 0 or not (folder / "out" / f"{name}.mar").is_file():
        raise UserError(
            "cannot pack",
            f"torch-model-archiver ended with {ended.returncode}: {ended.stderr[-500:]}",
            "It comes with the extra `serving` of this package.",
        )


def _rewrite(found: Path, archive: Path) -> None:
    """Copy the archive without its clock: members in order, one date, no `createdOn`."""
    written = archive.with_name(f".{archive.name}.new")
    try:
        with zipfile.ZipFile(found) as old, zipfile.ZipFile(written, "w") as new:
            for item in sorted(set(old.namelist())):
                if not item.endswith("/"):
                    _copy(old, new, item)
        written.replace(archive)
    except OSError as error:
        raise UserError("cannot write", f"{error.strerror}.", file=str(archive)) from None
    finally:
        written.unlink(missing_ok=True)


def _copy(old: zipfile.ZipFile, new: zipfile.ZipFile, item: str) -> None:
    info = zipfile.ZipInfo(item, _EPOCH)
    info.external_attr = 0o644 << 16
    if item == _MANIFEST:
        manifest = {key: v for key, v in json.loads(old.read(item)).items() if key != "createdOn"}
        new.writestr(info, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        return
    size = old.getinfo(item).file_size
    with old.open(item) as source, new.open(info, "w", force_zip64=size >= 1 << 31) as target:
        shutil.copyfileobj(source, target, 1 << 20)
