"""Exports that are stopped, killed, crash, hang or find no room: named, and no model is left."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlactions.errors import Exit
from mlactions.export import outcome
from mlactions.export.reading import open_export
from tests.exported import (
    LAUNCHER,
    ROWS,
    TORCH_PYTHON,
    launched,
    make_project,
    measure,
)

SCALE = ("--model", "zoo:Scale", "--example-inputs", ROWS)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("ended") / "project")


def models(folder: Path) -> list[Path]:
    """Return every model file in a folder, finished or not."""
    return [path for path in folder.rglob("*.onnx*") if path.is_file()]


def running(marker: str) -> bool:
    """Say whether a process has this in its command line."""
    listed = subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True, check=True)
    return marker in listed.stdout


@pytest.mark.parametrize(
    ("factory", "kind", "words"),
    [
        ("leave", "crashed", "Python ended with exit code 0 while its stage was `model`"),
        ("crash", "crashed", "Python ended with SIGSEGV while its stage was `model`"),
        ("killed", "killed", "while its stage was `model`; nothing says that memory was short."),
        ("hang", "timed-out", "still running after 3 s, while its stage was `"),
    ],
)
def test_every_way_to_end_has_a_name(
    factory: str, kind: str, words: str, project: Path, tmp_path: Path
) -> None:
    arguments = ["--model", f"endings:{factory}", "--example-inputs", ROWS]
    limit = ["--timeout-minutes", "0.05"] if factory == "hang" else []
    measured = measure(project, tmp_path / "out", [*arguments, *limit])
    failure = measured.exported.failure
    assert measured.code == Exit.FAILED_CHECK
    assert failure is not None
    assert failure.kind == kind
    assert words in failure.message
    assert not [line for line in failure.log_tail if str(project) in line or str(tmp_path) in line]
    assert not models(tmp_path)


def test_the_end_of_the_log_names_no_place_of_the_machine() -> None:
    lines = [
        '  File "/home/runner/work/my repo/src/models/vit.py", line 3, in forward',
        '  File "/home/runner/work/my repo/.venv/lib/python3.11/site-packages/torch/nn.py", line 1',
        '  File "/opt/python/3.11/lib/python3.11/runpy.py", line 86, in _run_code',
        "",
        "FileNotFoundError: '/runner/out/.scratch/raw/model.onnx'; /etc/passwd stays",
    ]
    folders = [Path("/home/runner/work/my repo"), Path("/runner/out"), Path("/runner/out/.scratch")]
    assert outcome.without_places(lines, folders) == (
        '  File "src/models/vit.py", line 3, in forward',
        '  File "torch/nn.py", line 1',
        '  File "runpy.py", line 86, in _run_code',
        "FileNotFoundError: 'raw/model.onnx'; /etc/passwd stays",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_model_and_leaves_what_is_known(
    number: signal.Signals, project: Path, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    arguments = ["--model", "endings:Slow", "--example-inputs", ROWS]
    arguments += ["--model-arguments", f'{{"started": "{started}"}}']
    process = launched(project, tmp_path / "out", arguments)
    wait_for(started, process)
    assert models(tmp_path / "out" / ".scratch")
    process.send_signal(number)
    text = process.communicate(timeout=30)[1]

    assert process.returncode == 128 + number, text
    _, exported = open_export(tmp_path / "out")
    assert exported.failure is not None
    assert exported.failure.kind == "interrupted"
    assert "`references`" in exported.failure.message
    assert exported.model is not None
    assert not models(tmp_path)
    assert not running(str(tmp_path))


def shim(folder: Path, text: str) -> Path:
    """Write a program to take for a Python."""
    path = folder / "python"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\nexit 0\n", "`python` names ended with exit code 0 before it ran a line"),
        ("#!/bin/sh\necho 'no such option' >&2; exit 4\n", "exit code 4 before it ran a line of"),
        ("neither a script nor a program", "`python` names a file that cannot be started"),
    ],
)
def test_what_is_no_python_is_bad_input(
    text: str, words: str, project: Path, tmp_path: Path
) -> None:
    program = shim(tmp_path, text)
    measured = measure(project, tmp_path / "out", [*SCALE, "--python", str(program)])
    assert measured.code == Exit.BAD_INPUT
    assert words in measured.text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["numpy", "onnxscript", "onnx"])
def test_a_python_without_a_package_is_bad_input(
    package: str, project: Path, tmp_path: Path
) -> None:
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    script = f'#!/bin/sh\nPYTHONPATH="{hiding}" exec "{TORCH_PYTHON}" "$@"\n'
    measured = measure(project, tmp_path / "out", [*SCALE, "--python", str(shim(tmp_path, script))])
    assert measured.code == Exit.BAD_INPUT, measured.text
    assert f"missing package: `{package}` is not installed for python" in measured.text
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_bad_input(project: Path) -> None:
    measured = measure(project, Path("/proc/self/out"), SCALE)
    assert measured.code == Exit.BAD_INPUT
    assert "`out` cannot be made" in measured.text


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a file is there."""
    until = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)


def test_being_killed_ends_the_model_leaves_none_and_the_next_run_tidies_up(
    project: Path, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    arguments = ["--model", "endings:Slow", "--example-inputs", ROWS]
    arguments += ["--model-arguments", f'{{"started": "{started}"}}']
    process = launched(project, tmp_path / "out", arguments)
    wait_for(started, process)
    process.kill()
    process.communicate(timeout=30)
    assert not (tmp_path / "out" / "model").exists()
    assert not (tmp_path / "out" / "manifest.json").exists()
    wait_until_gone(tmp_path)

    measured = measure(project, tmp_path / "out", SCALE)
    assert measured.code == Exit.PASS, measured.text
    assert [path.name for path in models(tmp_path)] == ["model.onnx"]
    assert not (tmp_path / "out" / ".scratch").exists()


def wait_until_gone(folder: Path) -> None:
    """Wait until no process has this folder in its command line: those of ours end with us."""
    until = time.monotonic() + 10
    while running(str(folder)):
        assert time.monotonic() < until
        time.sleep(0.05)


def limited(project: Path, out: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Export where no file can grow above so many bytes, as on a disk that is full."""
    given = ["--working-directory", str(project), "--out", str(out), "--python", str(TORCH_PYTHON)]
    wide = ["--model-arguments", '{"width": 100000}', "--seeds", "0", "--batch-sizes", "1"]
    inputs = ["--model", "zoo:Scale", "--example-inputs", "x: float32[batch,100000]"]
    return subprocess.run(
        [sys.executable, str(LAUNCHER), "export", "measure", *given, *inputs, *wide],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("size", "stage"), [(200_000, "save"), (5_000_000, "references")])
def test_no_room_is_said_and_leaves_no_model(
    size: int, stage: str, project: Path, tmp_path: Path
) -> None:
    done = limited(project, tmp_path / "out", size)
    assert done.returncode == Exit.BAD_INPUT, done.stderr
    assert f"disk-full: writing stopped while the stage was `{stage}`" in done.stderr
    _, exported = open_export(tmp_path / "out")
    assert exported.failure is not None
    assert exported.failure.kind == "disk-full"
    assert not models(tmp_path)


def test_a_full_disk_is_said_and_leaves_no_model(project: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs privileges that this user lacks")
    try:
        inputs = ("--model", "zoo:Scale", "--example-inputs", "x: float32[batch,9999]")
        arguments = [*inputs, "--model-arguments", '{"width": 9999}']
        measured = measure(project, disk / "out", arguments)
        assert measured.code == Exit.BAD_INPUT
        assert "disk-full" in measured.text or "no space left" in measured.text
        assert not models(disk)
        assert shutil.disk_usage(disk).free > 300_000
    finally:
        subprocess.run(["umount", str(disk)], check=True)
