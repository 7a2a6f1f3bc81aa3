"""The preflight: each check on what it may meet, and the driver through a library in C."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlactions.train.machine import Driver, Gpu, Process, Surroundings, Torch
from mlactions.train.model import CHECKS, Check, Checkpoint, Checkpoints, Refused, Settings
from mlactions.train.nvml import visible
from mlactions.train.preflight import checks, failed

GIB = 1024**3
ROOT = Path(__file__).resolve().parents[1]
SETTINGS = Settings(("python", "train.py"), Path("/r"), Path("/r/checkpoints"))
H100 = Gpu(0, "H100", "GPU-aaaa", 80 * GIB, GIB, ecc_uncorrected=0)
T4 = Gpu(1, "T4", "GPU-bbbb", 16 * GIB, 0)
NEW = Driver((H100, T4), "550.54.15", "12.4")
TORCH = Torch("2.13.0+cu124", "12.4", available=True, devices=1)
CPU = Surroundings(
    program="/usr/bin/python",
    driver=Driver(problem="there is no NVIDIA driver"),
    visible=(),
    hidden=False,
    python="3.11.7",
    torch=Torch("2.13.0+cpu", "", available=False, devices=0),
    disk_free=50 * GIB,
    memory_free=20 * GIB,
    checkpoints_problem="",
    clock_offset=0.4,
    year=2026,
    mlflow_problem="",
    data={},
)
WITH_GPU = replace(CPU, driver=NEW, visible=(H100,), torch=TORCH)


def judged(
    around: Surroundings, settings: Settings = SETTINGS, found: Checkpoints | None = None
) -> dict[str, Check]:
    return {check.name: check for check in checks(settings, around, found or Checkpoints())}


def test_a_machine_without_a_gpu_is_a_result_and_no_failure() -> None:
    made = judged(CPU)
    assert {check.status for check in made.values()} == {"pass"}
    assert "run on the CPU (there is no NVIDIA driver)" in made["gpu"].found
    assert not failed(tuple(made.values()))
    wanted = judged(CPU, replace(SETTINGS, require_gpus=1))["gpu"]
    assert wanted.status == "fail"
    assert "`require-gpus` is 1" in wanted.found


def test_a_good_gpu_passes_everything() -> None:
    made = judged(WITH_GPU, replace(SETTINGS, require_gpus=1, min_gpu_memory=60 * GIB))
    assert {check.status for check in made.values()} == {"pass"}
    assert made["gpu-memory"].found == "GPU 0 has 79.0 GiB of 80.0 GiB free"


BROKEN: Mapping[str, tuple[str, str, Surroundings, str]] = {
    "too few": ("gpu", "fail", replace(CPU, hidden=True), "CUDA_VISIBLE_DEVICES hides them"),
    "unseen": ("gpu", "warn", replace(CPU, torch=TORCH), "torch sees 1 GPU, which NVML"),
    "no program": ("command", "fail", replace(CPU, program=""), "no program on PATH"),
    "disk": ("disk", "fail", replace(CPU, disk_free=GIB // 2), "512 MiB free"),
    "unknown disk": ("disk", "fail", replace(CPU, disk_free=None), "is unknown"),
    "memory": ("memory", "fail", replace(CPU, memory_free=GIB), "of memory"),
    "folder": (
        "checkpoints",
        "fail",
        replace(CPU, checkpoints_problem="checkpoints cannot be written: read-only"),
        "read-only",
    ),
    "clock": ("clock", "warn", replace(CPU, clock_offset=-300.0), "300 s behind"),
    "1970": ("clock", "fail", replace(CPU, year=1970), "1970"),
    "mlflow": ("mlflow", "fail", replace(CPU, mlflow_problem="h cannot be reached"), "reached"),
    "data": ("data", "fail", replace(CPU, data={"d": "the folder is empty"}), "d: the folder"),
    "broken torch": (
        "torch",
        "fail",
        replace(CPU, torch=Torch("", "", available=False, devices=0, problem="ImportError: x")),
        "cannot be imported: ImportError: x",
    ),
    "cpu torch": (
        "torch",
        "fail",
        replace(WITH_GPU, torch=Torch("2.13.0+cpu", "", available=False, devices=0)),
        "without CUDA",
    ),
    "no cuda": (
        "torch",
        "fail",
        replace(WITH_GPU, torch=replace(TORCH, available=False)),
        "cannot use the GPU",
    ),
    "other count": (
        "torch",
        "warn",
        replace(WITH_GPU, torch=replace(TORCH, devices=2)),
        "torch sees 2 GPUs, the driver 1",
    ),
    "old driver": (
        "driver",
        "fail",
        replace(WITH_GPU, driver=replace(NEW, cuda="11.8")),
        "CUDA up to 11.8",
    ),
    "older minor": (
        "driver",
        "warn",
        replace(WITH_GPU, torch=replace(TORCH, cuda="12.8")),
        "CUDA 12.8",
    ),
    "ecc": (
        "ecc",
        "fail",
        replace(WITH_GPU, visible=(replace(H100, ecc_uncorrected=2),)),
        "2 uncorrected memory errors",
    ),
    "remap failed": (
        "ecc",
        "fail",
        replace(WITH_GPU, visible=(replace(H100, remap_failed=True),)),
        "broken memory",
    ),
    "remap pending": (
        "ecc",
        "warn",
        replace(WITH_GPU, visible=(replace(H100, remap_pending=True),)),
        "once it is reset",
    ),
    "full gpu": (
        "gpu-memory",
        "warn",
        replace(WITH_GPU, visible=(replace(H100, memory_used=40 * GIB),)),
        "40.0 GiB of 80.0 GiB free",
    ),
    "too full": (
        "gpu-memory",
        "fail",
        replace(WITH_GPU, visible=(replace(H100, memory_used=79 * GIB),)),
        "less than the 4.0 GiB",
    ),
    "foreign": (
        "gpu-processes",
        "warn",
        replace(
            WITH_GPU,
            visible=(replace(H100, processes=(Process(7, "python", "eve", 3 * GIB),)),),
        ),
        "python (pid 7 of eve, 3.0 GiB)",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_found_with_what_to_do(name: str) -> None:
    check, status, around, told = BROKEN[name]
    settings = replace(
        SETTINGS,
        require_gpus=1 if name == "too few" else 0,
        min_disk=GIB,
        min_memory=8 * GIB,
        min_gpu_memory=4 * GIB,
        tracking_uri="https://h",
    )
    found = judged(around, settings)[check]
    assert found.status == status
    assert told in found.found
    assert found.advice or "unknown" in told


def test_a_check_that_is_skipped_cannot_fail_and_every_one_can_be() -> None:
    settings = replace(SETTINGS, skip_checks=frozenset(CHECKS), require_gpus=8, min_disk=10**15)
    made = checks(settings, replace(CPU, program="", year=1970), Checkpoints())
    assert [check.name for check in made] == list(CHECKS)
    assert {check.status for check in made} == {"skipped"}


def test_the_checkpoint_to_continue_from_is_said() -> None:
    good = Checkpoint("step-7", 7)
    made = judged(CPU, found=Checkpoints(good))["checkpoints"]
    assert made.found == "continues from step 7 (step-7)"
    damaged = Checkpoints(good, refused=(Refused("step-8", 8, "it is missing"),))
    made = judged(CPU, found=damaged)["checkpoints"]
    assert made.status == "warn"
    assert made.found == "step-8 is damaged: it is missing; step 7 is used"
    anew = judged(CPU, replace(SETTINGS, resume=False), Checkpoints(good))["checkpoints"]
    assert anew.status == "warn"


@pytest.mark.parametrize(
    ("chosen", "indices"),
    [
        (None, [0, 1]),
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("1,0", [1, 0]),
        ("GPU-bb", [1]),
        ("0,7,1", [0]),
        ("NoDevFiles", []),
        ("MIG-1234", [0, 1]),
    ],
)
def test_visible_gpus_are_those_that_cuda_shows(chosen: str | None, indices: list[int]) -> None:
    environ = {} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}
    assert [gpu.index for gpu in visible((H100, T4), environ)] == indices


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the stand-in of the driver's library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (`cc`) to build the driver's stand-in")
    folder = tmp_path_factory.mktemp("nvml")
    source = ROOT / "tests" / "fakes" / "nvml.c"
    target = folder / "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(target), str(source)]
    subprocess.run(command, check=True)
    return folder


def train(folder: Path, *arguments: str, **environ: str) -> tuple[int, Any, str]:
    """Run `train` in a process of its own; return exit code, result and what it said."""
    out = folder / "out"
    done = subprocess.run(
        [sys.executable, "-m", "mlactions", "train", *arguments, "--out", str(out)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "scripts"), **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, json.loads((out / "result.json").read_text()), done.stderr


def test_the_driver_is_read_through_its_library(library: Path, tmp_path: Path) -> None:
    skip = ("--skip-checks", "torch,driver")
    code, result, said = train(
        tmp_path,
        "preflight",
        *skip,
        LD_LIBRARY_PATH=str(library),
        FAKE_NVML_PID=str(os.getpid()),
    )
    assert code == 0, said
    assert result["state"] == "ready"
    assert result["status"] == "warn"  # somebody uses GPU 0
    assert result["verdict"] == "This machine is ready to train on 2 GPUs, with 1 warning."
    machine = result["machine"]
    assert (machine["kind"], machine["driver"], machine["cuda"]) == ("gpu", "550.54.15", "12.4")
    assert machine["gpus"][1] == {
        "index": 1,
        "name": "Fake T4",
        "uuid": "GPU-bbbb",
        "memory_bytes": 16 * GIB,
    }
    (foreign,) = [one for one in result["preflight"] if one["status"] == "warn"]
    assert f"(pid {os.getpid()} of " in foreign["found"]
    assert "7.0 GiB" in foreign["found"]


def test_memory_errors_forbid_a_start(library: Path, tmp_path: Path) -> None:
    arguments = ("--command", "touch started", "--skip-checks", "torch,driver")
    code, result, _ = train(tmp_path, *arguments, LD_LIBRARY_PATH=str(library), FAKE_NVML_ECC="3")
    assert code == 1
    assert result["state"] == "not-ready"
    assert not (tmp_path / "started").exists()


def test_a_driver_that_is_not_loaded_is_no_crash(library: Path, tmp_path: Path) -> None:
    code, result, _ = train(tmp_path, "preflight", LD_LIBRARY_PATH=str(library), FAKE_NVML_INIT="9")
    assert code == 0
    assert result["machine"]["kind"] == "cpu"
    assert "NVML: Driver Not Loaded" in json.dumps(result["preflight"])


def test_gpus_are_measured_and_paid_for(library: Path, tmp_path: Path) -> None:
    code, result, said = train(
        tmp_path,
        *("--command", "sleep 2.5", "--price-per-gpu-hour", "3.6"),
        LD_LIBRARY_PATH=str(library),
        CUDA_VISIBLE_DEVICES="1,0",
    )
    assert code == 0, said
    first, second = result["telemetry"]["gpus"]
    assert (first["name"], first["power_watts"]) == ("Fake T4", None)
    assert 80 <= second["utilization_percent"]["mean"] <= 81
    assert second["power_watts"] == {"mean": 360.0, "max": 360.0}
    cost, seconds = result["cost"], result["run"]["seconds"]
    assert cost["gpu_hours"] == pytest.approx(2 * seconds / 3600, abs=1e-5)
    assert cost["amount"] == pytest.approx(2 * seconds / 1000, abs=1e-3)
    assert cost["energy_kwh"] == pytest.approx(360 * seconds / 3.6e6, abs=1e-5)
    header, row, *_ = (tmp_path / "out/telemetry.csv").read_text().splitlines()
    assert header.endswith("gpu0_utilization_percent,gpu0_memory_bytes,gpu0_power_watts")
    assert ",50,1073741824,," in row
