"""A SLURM array of the digits example: a node dies, a task is pre-empted, each trial ends once."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.daemons import NotUpError, wait_until
from tests.cluster.project import PYTHON, ROOT, TRIALS, Project, check_once, half_way
from tests.cluster.slurm import NODES, Slurm, cluster, idle, missing

WHY_NOT = missing()


RANKS = """\
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
value = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(value)
print(f"{os.environ['SLURMD_NODENAME']}: rank {dist.get_rank()}, sum {value.item():g}", flush=True)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    try:
        with cluster(tmp_path_factory.mktemp("slurm")) as found:
            yield found
    except NotUpError as error:
        pytest.skip(str(error))


def on_their_way(project: Project, slurm: Slurm, node: str) -> dict[int, Path]:
    """Return the trials of a node that have a checkpoint and are far from their end."""
    folders = {int(path.name[:4]): path for path in project.outputs()}
    here = {
        number
        for number, row in slurm.tasks().items()
        if row["JobState"] == "RUNNING" and row.get("NodeList") == node
    }
    near = {*half_way(folders[number] for number in here if number in folders)}
    return {number: path for number, path in folders.items() if path in near}


def caught(project: Project, slurm: Slurm, node: str) -> int:
    """Wait for a trial on a node that is on its way; return its number."""
    wait_until(lambda: on_their_way(project, slurm, node), f"a checkpoint on {node}", every_s=0.05)
    return min(on_their_way(project, slurm, node))


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.timeout(1800)
def test_a_training_on_two_nodes_meets_itself(tmp_path: Path, slurm: Slurm) -> None:
    (tmp_path / "ranks.py").write_text(RANKS)
    train = [sys.executable, "-m", "mlactions", "train", "--nnodes", "2", "--nproc-per-node", "1"]
    train += ["--skip-checks", "torch,driver", "--out", "out", "--command", f"{PYTHON} ranks.py"]
    (tmp_path / "job.sh").write_text(f"#!/bin/bash\nexec {shlex.join(train)}\n")
    environ = {**slurm.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "scripts")}
    asked = ["sbatch", "--wait", "--nodes=2", "--ntasks-per-node=1", "--output=job.log", "job.sh"]
    done = subprocess.run(asked, cwd=tmp_path, env=environ, check=False, timeout=1500)
    said = (tmp_path / "job.log").read_text()
    assert done.returncode == 0, said
    found = re.findall(r"([\d.]+): rank (\d), sum 3$", said, re.MULTILINE)
    assert {node for node, _ in found} == {*NODES}, said
    assert {rank for _, rank in found} == {"0", "1"}, said
    wait_until(lambda: idle(slurm) == len(NODES), "idle nodes")


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.timeout(3600)
def test_an_array_survives_a_lost_node_and_a_preemption(tmp_path: Path, slurm: Slurm) -> None:
    project = Project.make(tmp_path, "slurm")
    environ = {**slurm.environ, "HOME": str(tmp_path)}
    assert "Submitted batch job" in project.submit("submit_slurm.sh", environ)
    assert {*slurm.tasks()} <= {*range(1, TRIALS + 1)}

    one, two = NODES
    lost = caught(project, slurm, two)
    slurm.lose_node(two)
    preempted = caught(project, slurm, one)
    slurm.ask("scontrol", "requeue", slurm.tasks()[preempted]["JobId"])
    slurm.start_node(two)
    wait_until(lambda: not slurm.waits(), "the end of the array", patience_s=1200)

    tasks = slurm.tasks()
    assert len(tasks) == TRIALS
    assert {row["JobState"] for row in tasks.values()} == {"COMPLETED"}
    assert int(tasks[lost]["Restarts"]) >= 1
    assert int(tasks[preempted]["Restarts"]) >= 1
    check_once(project, {lost, preempted})
    for number in (lost, preempted):
        log = next(tmp_path.glob(f"cluster-*_{number}.log")).read_text()
        assert "resumed after epoch" in log
