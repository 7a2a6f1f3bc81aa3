"""What is handed out of a proven export: the model, serving files, golden requests, checksums."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from mlactions.bundle import MANIFEST, Bundle, seal, write_atomic
from mlactions.export.exported import EXPORTED, Exported
from mlactions.export.gates import Gate
from mlactions.export.result import File, Serving

SUMS = "SHA256SUMS"


def hand_out(bundle: Bundle, exported: Exported, out: Path) -> tuple[File, ...]:
    """Copy the model. Not linked: whoever edits one of two links edits what was proven."""
    by_path = {entry.path: entry for entry in bundle.entries}
    files = []
    for name in exported.files:
        target = out / PurePosixPath(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path(name), target)
        files.append(File(name, by_path[name].bytes, by_path[name].sha256))
    return tuple(files)


def hand_on(bundle: Bundle, exported: Exported, out: Path) -> None:
    """Put beside a failed result what explains it: the measured facts and the exporter's report."""
    names = [EXPORTED]
    if exported.failure is not None and exported.failure.report is not None:
        names.append(exported.failure.report)
    for name in names:
        write_atomic(out / PurePosixPath(name), bundle.path(name).read_bytes())


def serve(
    bundle: Bundle,
    exported: Exported,
    out: Path,
    gates: Mapping[str, Gate],
    *,
    targets: Sequence[str],
    images: Mapping[str, str],
    name: str,
) -> tuple[Serving, ...]:
    """Write golden requests and the files of every target; NotServableError where none can be."""
    from mlactions.export.serving.description import describe
    from mlactions.export.serving.golden import write_golden
    from mlactions.export.serving.write import write_serving

    checksums = {entry.path: entry.sha256 for entry in bundle.entries}
    model = describe(exported, checksums, name=name)
    golden = write_golden(out, bundle, exported, model, gates)
    first = PurePosixPath(golden[0].request).name
    return write_serving(out, model, out / "model", targets, images=images, golden=first)


def write_sums(out: Path) -> None:
    """Write SHA256SUMS over all that is handed out; `sha256sum -c` reads it."""
    lines = [f"{entry.sha256}  {entry.path}\n" for entry in seal(out, "export").entries]
    write_atomic(out / SUMS, "".join(lines))


def place(made: Path, out: Path) -> None:
    """Move what is whole to its final names; there is nothing to move where the model failed."""
    for path in sorted(made.iterdir()) if made.exists() else ():
        if path.name != MANIFEST:  # the last seal is over the report too
            path.rename(out / path.name)
