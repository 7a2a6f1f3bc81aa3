"""A disk that runs full while a sweep is generated: all of it is there, or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweep_support import Project

ROOT = Path(__file__).resolve().parents[1]
SPACE = "program: train.py\nparameters:\n  training.epochs: {min: 1, max: 60}\n"
# In a mount namespace of its own: nobody else sees the small disk, and it goes with the process.
SCRIPT = """
cd "$1" && mkdir -p configs/sweeps && mount -t tmpfs -o "$2" none configs/sweeps || exit 99
"$3" "$4" sweep --config-name train --no-compose --out out; code=$?
ls -A configs/sweeps; ls -A configs/sweeps/sweep 2>/dev/null | wc -l
cat configs/sweeps/sweep/manifest.json 2>/dev/null >"$1/manifest.json"
exit "$code"
"""


def may_mount() -> bool:
    words = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("disk", "code"),
    [("size=4k", 2), ("size=64k", 2), ("nr_inodes=30", 2), ("size=268k", 2), ("size=4m", 0)],
)
def test_a_full_disk_leaves_a_whole_sweep_or_none(tmp_path: Path, disk: str, code: int) -> None:
    if not may_mount():
        pytest.skip("unshare -rm cannot mount a small disk here")
    project = Project.make(tmp_path, SPACE)
    given = [str(project.root), disk, sys.executable, str(ROOT / "scripts")]
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", SCRIPT, "bash", *given],
        capture_output=True,
        text=True,
        check=False,
        env=project.environ({}),
    )
    assert done.returncode == code, done.stdout + done.stderr
    left = done.stdout.splitlines()[-2:]
    if code:
        assert "no space left on device" in done.stdout + done.stderr
        assert left[-1] == "0"
        assert "sweep" not in left[:-1]
    else:
        rows = json.loads((tmp_path / "manifest.json").read_text())["trials"]
        assert (left[0], len(rows), int(left[1])) == ("sweep", 60, 63)
