"""A Ray cluster of two nodes on one machine, on its own ports and in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.daemons import (
    START_S,
    Daemons,
    end,
    free_ports,
    started_by,
    values_of,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[2]
RAY = ROOT / ".tools" / "ray" / "bin" / "ray"
NODE_VARIABLE = "TEST_NODE"
PROBE = "probe"
MEMORY = "--object-store-memory=80000000"
ADDRESSES = ("127.0.0.2", "127.0.0.3")
"""For 127.0.0.1 Ray takes an address of the machine that others reach."""

CPUS = 2


def missing() -> str:
    """Say what this machine lacks to run Ray, or nothing."""
    return "" if RAY.exists() else "no Ray in .tools/ray; scripts/dev/ray.sh installs it"


@dataclass(frozen=True)
class Ray:
    """A running cluster."""

    daemons: Daemons
    environ: Mapping[str, str]
    gcs: str

    def start_node(self, name: str, *options: str) -> None:
        """Start a node in the foreground."""
        command = [str(RAY), "start", "--block", f"--num-cpus={CPUS}", MEMORY, *options]
        environ = {**self.environ, NODE_VARIABLE: name}
        self.daemons.start(name, [*command, "--disable-usage-stats"], environ)

    def lose_node(self, name: str) -> None:
        """End a node and all that runs there at once."""
        self.daemons.kill(name, *started_by({NODE_VARIABLE: name, **self.environ}))

    def trials_on(self, name: str) -> set[str]:
        """Return the trials that run on a node now."""
        return values_of("SWEEP_TRIAL", started_by({NODE_VARIABLE: name, **self.environ}))

    def nodes(self) -> int:
        """Return how many nodes are alive; 0 as long as nobody answers."""
        self.daemons.check()
        found = self._get("/nodes?view=summary")
        rows = found.get("data", {}).get("summary", []) if isinstance(found, dict) else []
        return sum(row.get("raylet", {}).get("state") == "ALIVE" for row in rows)

    def jobs(self) -> dict[str, str]:
        """Return the status of each job by its name."""
        self.daemons.check()
        found = self._get("/api/jobs/")
        rows = found if isinstance(found, list) else []
        named = {row["submission_id"]: row["status"] for row in rows if row["submission_id"]}
        return {name: status for name, status in named.items() if name != PROBE}

    def probe(self) -> None:
        """Run a job that does nothing."""
        command = [str(RAY), "job", "submit", "--submission-id", PROBE, "--", "true"]
        done = subprocess.run(
            command,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-1000:]

    def waits(self) -> bool:
        """Tell whether any job is queued or runs."""
        jobs = self.jobs()
        return not jobs or bool({*jobs.values()} & {"PENDING", "RUNNING"})

    def _get(self, path: str) -> object:
        try:
            url = f"{self.environ['RAY_ADDRESS']}{path}"
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  # the cluster that was started here
                return json.load(answer)
        except (urllib.error.URLError, TimeoutError, ValueError):
            return None


@contextmanager
def cluster(folder: Path) -> Iterator[Ray]:
    """Start two nodes, wait for both, and stop them."""
    gcs, dashboard = free_ports(2)
    environ = {
        "PATH": f"{RAY.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "RAY_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    # Nodes that share a folder remove each other's copies of the project; sockets need short paths.
    places = [tempfile.mkdtemp(prefix="ray-", dir="/tmp") for _ in ADDRESSES]

    def place(number: int) -> tuple[str, str]:
        return f"--node-ip-address={ADDRESSES[number]}", f"--temp-dir={places[number]}"

    ray = Ray(Daemons(folder), environ, f"{ADDRESSES[0]}:{gcs}")
    head = ["--head", f"--port={gcs}", f"--dashboard-port={dashboard}"]
    try:
        with ray.daemons.coming_up("Ray"):
            ray.start_node("head", *head, *place(0))
            wait_until(lambda: ray.nodes() == 1, "Ray's head", patience_s=START_S)
            ray.start_node("second", f"--address={ray.gcs}", *place(1))
            wait_until(lambda: ray.nodes() == 2, "Ray's second node", patience_s=START_S)
            ray.probe()
        yield ray
    finally:
        ray.daemons.stop()
        end(started_by({"RAY_ADDRESS": environ["RAY_ADDRESS"]}))
        for name in places:
            shutil.rmtree(name, ignore_errors=True)
