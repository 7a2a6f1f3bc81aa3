"""What the export template's own steps do, run as they stand: the archive and the upload."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

TEMPLATE = Path(__file__).resolve().parents[1] / "workflows" / "export.yml"
COMMIT, OTHER = "a" * 40, "b" * 40
GH = """\
#!/usr/bin/env bash
case "$1 $2" in
  "api repos/octo/digits/git/matching-refs/tags/v1") printf '%s\\n' $TAGS ;;
  "api repos/octo/digits/commits/tags/v1") echo "$COMMIT" ;;
  "release upload") echo "$@" >uploaded ;;
  *) exit 1 ;;
esac
"""


def step(job: str, name: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one step of the template as GitHub does."""
    steps = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["jobs"][job]["steps"]
    script = next(one["run"] for one in steps if one.get("name") == name)
    path = f"{folder}/bin:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": path, "GITHUB_REPOSITORY": "octo/digits", "TAG": "v1", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def packed(folder: Path, *, seconds: int) -> Path:
    """Pack a small export whose files are so old; return the folder of the release."""
    (folder / "export").mkdir(parents=True)
    (folder / "served").mkdir()
    (folder / "served" / "report.html").write_text("served")
    (folder / "export" / "model.onnx").write_bytes(b"model")
    sums = subprocess.check_output(["sha256sum", "model.onnx"], cwd=folder / "export", text=True)
    (folder / "export" / "SHA256SUMS").write_text(sums)
    for path in (folder / "export", *(folder / "export").iterdir()):
        os.utime(path, (seconds, seconds))
    done = step("pack", "Pack", folder)
    assert done.returncode == 0, done.stderr
    return folder / "release"


def test_the_archive_has_the_same_bytes_whenever_it_is_made(tmp_path: Path) -> None:
    first, second = (packed(tmp_path / str(n), seconds=n) for n in (10**9, 2 * 10**9 - 7))
    names = {path.name for path in first.iterdir()}
    assert names == {"files-in-model-onnx.sha256", "model-onnx.tar.gz", "report.html"}
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("tags", "commit", "uploads"),
    [
        ("refs/tags/v1 refs/tags/v1.1", COMMIT, True),
        ("refs/tags/v1", OTHER, False),
        ("", OTHER, True),
        ("refs/tags/v1.1", OTHER, True),
    ],
)
def test_a_tag_on_another_commit_gets_no_model(
    tags: str, commit: str, uploads: bool, tmp_path: Path
) -> None:
    """A draft may have no tag yet, or one that only begins alike."""
    for name in ("bin", "release"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "gh").write_text(GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    done = step("upload", "Upload", tmp_path, TAGS=tags, COMMIT=commit, GITHUB_SHA=COMMIT)
    assert (done.returncode == 0) == uploads, done.stderr
    assert (tmp_path / "release" / "uploaded").exists() == uploads
    assert ("::error title=Another commit::" in done.stdout) == (not uploads)
