"""SLURM on one machine: munged, slurmctld and two slurmd on 127.0.0.1, in a folder of its own.

Debian's packages `slurm-wlm` and `munge`; no systemd, nothing of the machine's own SLURM is used.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
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
    wait_until,
)

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "sinfo")
NODES = ("127.0.0.2", "127.0.0.3")
"""Their names, by which programs on them find each other."""

CPUS = 2
"""Of each node, whatever the machine has: three times as many trials wait as can run."""

NODE_VARIABLE = "TEST_NODE"
"""Marks what a node's daemon started."""

_PLACES = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"

CONFIG = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MailProg=/bin/true
KillWait=20
MinJobAge=3600
SlurmctldTimeout=30
SlurmdTimeout=30
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Say what this machine lacks to run SLURM, or nothing."""
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=_PLACES)]
    if lacking:
        return f"no {', '.join(lacking)} here; on Debian: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return f"slurmd starts jobs as root only, and this is uid {os.geteuid()}"
    return ""


@dataclass(frozen=True)
class Slurm:
    """A running cluster."""

    folder: Path
    daemons: Daemons
    environ: Mapping[str, str]

    def ask(self, *command: str) -> str:
        """Run one of SLURM's programs; return what it printed."""
        done = subprocess.run(
            command,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def tasks(self) -> dict[int, dict[str, str]]:
        """Return the tasks of all arrays by number, as `scontrol` describes them."""
        found: dict[int, dict[str, str]] = {}
        for line in self.ask("scontrol", "--oneliner", "--all", "show", "job").splitlines():
            row = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if row.get("ArrayTaskId", "").isdigit():
                found[int(row["ArrayTaskId"])] = row
        return found

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        command = ["slurmd", "-D", "-N", name]
        self.daemons.start(name, command, {**self.environ, NODE_VARIABLE: name})

    def lose_node(self, name: str) -> None:
        """End a node's daemon and all that runs there at once, and have SLURM notice."""
        self.daemons.kill(name, *started_by({NODE_VARIABLE: name, **self.environ}))
        self.ask("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost")

    def waits(self) -> bool:
        """Tell whether anything is queued or runs."""
        self.daemons.check()
        return bool(self.ask("squeue", "--noheader", "--format=%i"))


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """Start SLURM, wait until its nodes are idle, and stop it."""
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    (folder / "state").mkdir()
    config = folder / "slurm.conf"
    config.write_text(configuration(folder))
    environ = {
        "PATH": _PLACES,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "SLURM_CONF": str(config),
    }
    daemons = Daemons(folder)
    slurm = Slurm(folder, daemons, environ)
    try:
        with daemons.coming_up("SLURM"):
            start_munged(daemons, environ)
            daemons.start("slurmctld-out", ["slurmctld", "-D", "-i"], environ)
            for node in NODES:
                (folder / f"spool-{node}").mkdir()
                slurm.start_node(node)
            wait_until(
                lambda: idle(slurm) == len(NODES), "SLURM with idle nodes", patience_s=START_S
            )
            slurm.ask("srun", f"--nodes={len(NODES)}", "true")  # jobs start, too
        yield slurm
    finally:
        daemons.stop()
        end(started_by({"SLURM_CONF": str(config)}))  # jobs outlive the daemons


def configuration(folder: Path) -> str:
    """Return slurm.conf, with ports that are free now."""
    controller, *ports = free_ports(1 + len(NODES))
    nodes = [
        f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={CPUS}"
        for node, port in zip(NODES, ports, strict=True)
    ]
    user = pwd.getpwuid(os.geteuid()).pw_name
    return CONFIG.format(controller=controller, user=user, folder=folder, nodes="\n".join(nodes))


def start_munged(daemons: Daemons, environ: Mapping[str, str]) -> None:
    """Start munged and wait for its socket."""
    folder = daemons.folder
    socket = folder / "munge.sock"
    command = ["munged", "--foreground", "--force", f"--socket={socket}"]
    command += [f"--key-file={folder}/munge.key", f"--pid-file={folder}/munged.pid"]
    command += [f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munged.log"]
    daemons.start("munged-out", command, environ)

    def listens() -> bool:
        daemons.check()
        return socket.exists()

    wait_until(listens, "munged")


def idle(slurm: Slurm) -> int:
    """Return how many nodes are idle; 0 as long as nobody answers."""
    slurm.daemons.check()
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%T"],
        env=dict(slurm.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split().count("idle")
