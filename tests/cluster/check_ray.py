"""Trials of the digits example as jobs of Ray: a node is lost, each trial ends once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.daemons import NotUpError, wait_until
from tests.cluster.project import TRIALS, Project, check_once, half_way
from tests.cluster.ray_cluster import Ray, cluster, missing

WHY_NOT = missing()


@pytest.fixture
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ray]:
    try:
        with cluster(tmp_path_factory.mktemp("ray")) as found:
            yield found
    except NotUpError as error:
        pytest.skip(str(error))


def on_their_way(shared: Path, ray: Ray, node: str) -> list[str]:
    """Return the trials of a node that have a checkpoint and are far from their end."""
    folders = (shared / "cluster").glob("[0-9]*")
    near = half_way(folders)
    here = ray.trials_on(node) if near else set()
    return sorted(path.name for path in near if path.name in here)


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.timeout(3600)
def test_jobs_survive_a_lost_node(tmp_path: Path, ray: Ray) -> None:
    project = Project.make(tmp_path / "project", "ray")
    shared = tmp_path / "shared"
    environ = {**ray.environ, "SWEEP_CHECKPOINTS": str(shared)}
    submitting = project.submitting("submit_ray.sh", environ)

    wait_until(
        lambda: on_their_way(shared, ray, "second"), "a checkpoint on the node", every_s=0.05
    )
    lost = int(on_their_way(shared, ray, "second")[0][:4])
    ray.lose_node("second")
    assert submitting.wait(1200) == 0
    assert len(ray.jobs()) == TRIALS
    wait_until(lambda: not ray.waits(), "the end of the jobs", patience_s=1200)
    failed = [*ray.jobs().values()].count("FAILED")
    assert failed

    # Nothing runs any more, so what MLflow calls running has died.
    project.submit("submit_ray.sh", {**environ, "SWEEP_STALE_MINUTES": "0"})
    assert TRIALS < len(ray.jobs()) <= TRIALS + failed
    wait_until(lambda: not ray.waits(), "the end of the jobs", patience_s=1200)
    check_once(project, {lost})
