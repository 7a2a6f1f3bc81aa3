"""Real trainings, watched: how each end is told, and that nothing is left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.bundle import open_bundle
from mlactions.runner import Runner
from mlactions.train.launch import first_host, launched, surrounding, time_left
from mlactions.train.model import Settings

ROOT = Path(__file__).resolve().parents[1]
HELPER = ROOT / "scripts/mlactions/train/user"
EXAMPLE_PYTHON = ROOT / ".tools/example/bin/python"
PATIENCE = 120.0
QUICK = ("--skip-checks", "torch,driver")  # do not wait for an import of torch

LOOP = f"""
import os, sys, time
sys.path.insert(0, {str(HELPER)!r})
from mlactions_train import Checkpoints, progress, should_stop
kept = Checkpoints({{"lr": 0.1}})
found = kept.latest()
print("from", found.step if found else 0, flush=True)
for step in range(found.step + 1 if found else 1, int(sys.argv[1]) + 1):
    time.sleep(float(sys.argv[2]))
    progress(step=step, loss=1 / step, eta=1)
    kept.save(lambda path: path.write_text("x"), step=step, metric=("loss", 1 / step), run_id="r1")
    if should_stop():
        print("saved", step)
        sys.exit(0)
"""


@dataclass(frozen=True)
class Call:
    """One call of `train`: its exit code, result, outputs and what it said."""

    code: int
    result: Any
    outputs: dict[str, str]
    said: str


class Project:
    """A folder with a training, and calls of `train` in it as GitHub makes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "temp" / "mlactions" / "train"

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start `train` in a process of its own."""
        (self.folder / "outputs").write_text("")
        return subprocess.Popen(
            [sys.executable, "-m", "mlactions", "train", *QUICK, *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "scripts"),
                "GITHUB_ACTIONS": "true",
                "RUNNER_TEMP": str(self.folder / "temp"),
                "GITHUB_OUTPUT": str(self.folder / "outputs"),
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Call:
        """Wait for the end of a call."""
        said, _ = process.communicate(timeout=PATIENCE)
        path = self.out / "result.json"
        result = json.loads(path.read_text()) if path.exists() else None
        return Call(process.returncode, result, self._outputs(), said)

    def train(self, script: str, *arguments: str, options: Sequence[str] = (), **env: str) -> Call:
        """Run a script as a training, to its end."""
        return self.end(self.start(*options, "--command", self.command(script, *arguments), **env))

    def command(self, script: str, *arguments: str) -> str:
        """Write a script; return the command that runs it."""
        (self.folder / "train.py").write_text(dedent(script))
        return " ".join([sys.executable, "train.py", *arguments])

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _outputs(self) -> dict[str, str]:
        found = {}
        lines = iter((self.folder / "outputs").read_text().splitlines())
        for line in lines:
            name, _, delimiter = line.partition("<<")
            value = list(iter(lambda: next(lines), delimiter))
            found[name] = "\n".join(value)
        return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make an empty project."""
    return Project(tmp_path)


def alive(name: str) -> list[str]:
    listed = subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if name in line]


def test_a_training_that_finishes_leaves_a_sealed_bundle(project: Project) -> None:
    call = project.train(LOOP, "3", "0.4")
    assert call.code == 0, call.said
    assert call.result["state"] == "finished"
    assert call.result["checkpoint"]["latest"]["step"] == 3
    assert call.result["checkpoint"]["folder"] == "checkpoints"
    assert call.outputs["requeue"] == "false"
    assert call.outputs["failure"] == ""
    assert call.outputs["run-id"] == "r1"
    assert Path(call.outputs["best-checkpoint"]).read_text() == "x"
    bundle = open_bundle(project.out, word="train")
    names = {entry.path for entry in bundle.entries}
    assert names >= {"result.json", "facts.json", "train.log", "telemetry.csv", "progress.csv"}
    assert str(project.folder) not in (project.out / "result.json").read_text()
    assert (project.out / "train.log").read_text().startswith("from 0\n")
    rows = (project.out / "telemetry.csv").read_text().splitlines()
    assert rows[0] == "seconds,processor_percent,memory_bytes"
    assert len(rows) == call.result["telemetry"]["samples"] + 1 >= 2


def test_a_soft_limit_waits_for_the_checkpoint_and_the_next_attempt_finishes(
    project: Project,
) -> None:
    call = project.train(LOOP, "60", "0.2", options=("--soft-limit-minutes", "0.08"))
    assert call.code == 0, call.said
    assert (call.result["state"], call.result["status"]) == ("stopped", "warn")
    assert call.outputs["requeue"] == "true"
    assert call.outputs["next-attempt"] == "2"
    assert call.outputs["failure"] == "time-limit"
    step = call.result["checkpoint"]["latest"]["step"]
    assert f"saved {step}" in call.said
    again = project.train(LOOP, "60", "0", options=("--attempt", "2"))
    assert again.result["state"] == "finished"
    assert again.result["checkpoint"]["resumed"]["step"] == step
    assert f"from {step}" in again.said


def test_the_last_attempt_and_one_without_progress_are_not_continued(project: Project) -> None:
    limit = ("--soft-limit-minutes", "0.01")
    last = project.train(
        LOOP, "40", "0.2", options=(*limit, "--attempt", "2", "--max-attempts", "2")
    )
    assert (last.code, last.outputs["requeue"]) == (1, "false")
    assert "in the last of 2 attempts" in last.result["verdict"]
    script = "import time\nwhile True: time.sleep(0.1)\n"
    idle = project.train(script, options=(*limit, "--grace-seconds", "1"))
    assert (idle.code, idle.outputs["requeue"]) == (1, "false")
    assert "without a new checkpoint" in idle.result["verdict"]


@pytest.mark.parametrize(
    ("number", "kind", "again"),
    [(signal.SIGTERM, "pre-empted", "true"), (signal.SIGINT, "cancelled", "false")],
)
def test_a_signal_of_the_runner_waits_for_the_checkpoint(
    project: Project, number: signal.Signals, kind: str, again: str
) -> None:
    process = project.start("--command", project.command(LOOP, "1000", "0.1"))
    project.wait_for((project.folder / "checkpoints/latest.json").exists)
    process.send_signal(number)
    call = project.end(process)
    assert call.code == 128 + number, call.said
    assert call.result["run"]["exit_code"] == 0  # it saved and ended by itself
    assert call.outputs["failure"] == kind
    assert call.outputs["requeue"] == again


def test_a_second_signal_ends_it_at_once(project: Project) -> None:
    deaf = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("deaf", "w").close()
    time.sleep(600)
    """
    process = project.start("--command", project.command(deaf))
    project.wait_for((project.folder / "deaf").exists)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None  # it waits, as it should
    process.send_signal(signal.SIGTERM)
    call = project.end(process)
    assert call.code == 128 + signal.SIGTERM
    assert call.result["run"]["signal"] == "SIGKILL"


HANGS = """
import multiprocessing, threading, time
def waits_for_data():
    time.sleep(600)
def main():
    multiprocessing.get_context("fork").Process(target=waits_for_data).start()
    print("step 1", flush=True)
    threading.Event().wait()
main()
"""


def test_a_stall_ends_with_the_stacks_of_every_process(project: Project) -> None:
    call = project.train(HANGS, options=("--stalled-after-minutes", "0.08"))
    assert call.code == 1, call.said
    assert call.outputs["failure"] == "stalled"
    stacks = "\n".join(call.result["run"]["stacks"])
    assert "in waits_for_data" in stacks
    assert "in main" in stacks
    assert call.result["failure"]["file"] == "train.py"
    assert "::error" in call.said
    assert alive(f"{sys.executable} train.py") == []


def test_only_the_signs_of_life_that_count_keep_it_alive(project: Project) -> None:
    chatty = """
    import time
    while True:
        print("waiting for a lock", flush=True)
        time.sleep(0.1)
    """
    options = ("--stalled-after-minutes", "0.03", "--heartbeat", "progress,checkpoint")
    assert project.train(chatty, options=options).outputs["failure"] == "stalled"


def test_what_a_shell_leaves_running_is_told_and_ended(project: Project) -> None:
    (project.folder / "loop.py").write_text(dedent(LOOP))
    (project.folder / "run.sh").write_text(f"{sys.executable} loop.py 1000 0.1; echo ended\n")
    options = ("--soft-limit-minutes", "0.08", "--command", "bash run.sh")
    call = project.end(project.start(*options))
    # The shell dies of SIGTERM and tells nobody; the training itself is asked, saves and ends.
    assert "saved" in call.said
    assert call.outputs["requeue"] == "true"
    assert alive("loop.py") == []


def test_a_failure_is_placed_beside_its_line(project: Project) -> None:
    call = project.train("print('step 1')\nopen('data/train.csv')\n")
    assert call.code == 1
    assert call.outputs["failure"] == "data-missing"
    assert call.outputs["evidence"].startswith("FileNotFoundError")
    assert call.result["failure"]["file"] == "train.py"
    assert call.result["failure"]["file_line"] == 2
    assert "file=train.py,line=2" in call.said


def test_a_nan_is_a_failure_however_well_it_ends(project: Project) -> None:
    script = f"""
    import sys
    sys.path.insert(0, {str(HELPER)!r})
    from mlactions_train import progress
    progress(step=9, loss=float("nan"))
    """
    call = project.train(script)
    assert call.code == 1
    assert call.outputs["failure"] == "nan-loss"
    assert call.result["progress"]["loss"] == "nan"


def test_its_log_cannot_speak_to_the_runner(project: Project) -> None:
    script = "print('::error::forged'); print('::set-output name=requeue::true')"
    call = project.train(script)
    said = call.said
    token = said.split("::stop-commands::")[1].split("\n")[0]
    inside = said[said.index("::stop-commands::") : said.index(f"\n::{token}::")]
    assert "::error::forged" in inside
    assert said.count("::error::forged") == inside.count("::error::forged")


def test_a_progress_file_of_nonsense_is_no_progress(project: Project) -> None:
    script = """
    import os, time
    for text in ("", "{", "[1]", '{"step": "x", "loss": []}', '{"step": 1e99}', "\\x00" * 99):
        open(os.environ["MLACTIONS_PROGRESS"], "w").write(text)
        time.sleep(0.3)
    """
    call = project.train(script)
    assert call.code == 0, call.said
    assert call.result["progress"]["step"] is None


def test_a_damaged_checkpoint_is_reported_and_the_one_before_continued(project: Project) -> None:
    project.train(LOOP, "3", "0")
    path = project.folder / "checkpoints" / "step-000000003"
    path.write_text("xy")
    call = project.train(LOOP, "4", "0")
    assert "from 2" in call.said
    assert call.result["checkpoint"]["resumed"]["step"] == 2
    assert call.result["checkpoint"]["refused"][0]["path"] == path.name
    assert "::warning title=preflight%3A checkpoints::" in call.said


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "no command": ((), "`command`: it is empty"),
    "shell": (("--command", "a && b"), "`&&` needs a shell"),
    "unknown check": (("--command", "a", "--skip-checks", "gpus"), "Did you mean `gpu`?"),
    "unknown sign": (("--command", "a", "--heartbeat", "logs"), "Did you mean `log`?"),
    "minutes": (("--command", "a", "--stalled-after-minutes", "0"), "positive number of minutes"),
    "soft": (("--command", "a", "--soft-limit-minutes", "nan"), "positive number of minutes"),
    "grace": (("--command", "a", "--grace-seconds", "-1"), "0 to 86400"),
    "disk": (("--command", "a", "--min-disk-gb", "much"), "not a number of gibibytes"),
    "price": (("--command", "a", "--price-per-gpu-hour", "inf"), "not an amount"),
    "hash": (("--command", "a", "--config-hash", "a b"), "not the name of a configuration"),
    "processes": (("--command", "a", "--nproc-per-node", "0"), "no number of processes"),
    "nodes": (("--command", "python a", "--nnodes", "2"), "this is no SLURM allocation"),
    "torchrun": (("--command", "torchrun a", "--nproc-per-node", "2"), "starts torchrun itself"),
    "no python": (("--command", "bash a.sh", "--nproc-per-node", "2"), "starts with Python"),
    "folder": (("--command", "a", "--working-directory", "nowhere"), "no such folder"),
    "key": (("--command", "a", "--key", "A"), "lower-case letters"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line_and_starts_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, told = BAD[name]
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    assert run(["train", *arguments, "--out", "out"], Runner({}, said)) == 2
    assert told in said.getvalue()
    assert said.getvalue().count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_not_there_and_other_refusals_start_nothing(project: Project) -> None:
    missing = project.end(project.start("--command", "nosuchprogram"))
    assert (missing.code, missing.result["state"]) == (1, "not-ready")
    project.train(LOOP, "1", "0", options=("--config-hash", "one"))
    other = project.end(
        project.start("--command", project.command(LOOP, "2", "0"), "--config-hash", "two")
    )
    assert other.code == 2
    assert "is of one, this run is of two" in other.said


def settings(command: str, **about: Any) -> Settings:
    return Settings(tuple(command.split()), Path("/r"), Path("/r/c"), **about)


def test_torchrun_is_put_before_the_script() -> None:
    made = launched(settings("uv run python -u train.py a=1", nproc_per_node="2"), {})
    assert made[:6] == ("uv", "run", "python", "-u", "-m", "torch.distributed.run")
    assert made[6:] == ("--nnodes=1", "--nproc-per-node=2", "--standalone", "train.py", "a=1")
    module = launched(settings("python -m pkg.train", nproc_per_node="gpu"), {})
    assert module[-3:] == ("--standalone", "-m", "pkg.train")
    assert launched(settings("bash run.sh"), {}) == ("bash", "run.sh")


def test_in_slurm_every_node_starts_torchrun() -> None:
    environ = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "gpu[03-05,9],cpu1"}
    made = launched(settings("python train.py", nnodes=2), environ)
    assert made[:4] == ("srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1")
    assert "--rdzv-endpoint=gpu03:29507" in made
    assert "--rdzv-id=7" in made
    assert surrounding(environ) == "slurm"
    assert surrounding({"RAY_JOB_ID": "1"}) == "ray"
    assert surrounding({}) == ""
    assert [first_host(nodes) for nodes in ("a", "a,b", "n[7,9]", "x-1")] == ["a", "a", "n7", "x-1"]
    assert time_left({"SLURM_JOB_END_TIME": "1100"}, 1000.0) == 100
    assert time_left({}, 1000.0) is None


RANKS = """
import os, sys, torch, torch.distributed as dist
dist.init_process_group("gloo")
value = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(value)
print(f"rank {dist.get_rank()} of {dist.get_world_size()} sum {value.item()}", flush=True)
if sys.argv[1:] == ["fail"] and dist.get_rank() == 1:
    raise FileNotFoundError("shard-1.bin")
dist.barrier()
dist.destroy_process_group()
"""


def test_two_processes_train_together_and_the_one_that_fails_is_named(project: Project) -> None:
    (project.folder / "ranks.py").write_text(RANKS)
    options = ("--nproc-per-node", "2", "--command")
    good = project.end(project.start(*options, f"{EXAMPLE_PYTHON} ranks.py"))
    assert good.code == 0, good.said
    assert "rank 0 of 2 sum 3.0" in good.said
    assert "rank 1 of 2 sum 3.0" in good.said
    assert good.result["command"]["nproc_per_node"] == "2"
    bad = project.end(project.start(*options, f"{EXAMPLE_PYTHON} ranks.py fail"))
    assert bad.code == 1
    assert bad.outputs["evidence"] == "FileNotFoundError: shard-1.bin"
    assert bad.outputs["failure"] == "data-missing"


# Starts the tasks of a step here, as srun does on the nodes of its allocation.
SRUN = """\
#!/bin/bash
tasks=1
while [[ "$1" == --* ]]; do
  if [[ "$1" == --ntasks=* ]]; then tasks=${1#*=}; fi
  shift
done
code=0
for ((task = 0; task < tasks; task++)); do SLURM_PROCID=$task "$@" & done
for ((task = 0; task < tasks; task++)); do wait -n || code=$?; done
exit "$code"
"""


def test_the_torchruns_of_two_nodes_meet_and_train_together(project: Project) -> None:
    (project.folder / "ranks.py").write_text(RANKS)
    tools = project.folder / "tools"
    tools.mkdir()
    (tools / "srun").write_text(SRUN)
    (tools / "srun").chmod(0o755)
    environ = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "127.0.0.[1-2]",
    }
    options = ("--nnodes", "2", "--nproc-per-node", "1", "--command", f"{EXAMPLE_PYTHON} ranks.py")
    call = project.end(project.start(*options, **environ))
    assert call.code == 0, call.said
    assert "rank 0 of 2 sum 3.0" in call.said
    assert "rank 1 of 2 sum 3.0" in call.said
    command = call.result["command"]
    assert (command["nnodes"], command["inside"]) == (2, "slurm")


def test_two_trainings_never_share_a_folder(project: Project) -> None:
    first = project.start("--command", project.command(LOOP, "1000", "0.1"))
    project.wait_for((project.folder / "checkpoints/latest.json").exists)
    second = subprocess.run(
        [sys.executable, "-m", "mlactions", "train", *QUICK, "--command", "true", "--out", "other"],
        cwd=project.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 2
    assert "another training writes there" in second.stderr
    first.send_signal(signal.SIGTERM)
    assert project.end(first).outputs["requeue"] == "true"


def test_a_fresh_start_forgets_what_is_there(project: Project) -> None:
    project.train(LOOP, "5", "0")
    call = project.train(LOOP, "2", "0", options=("--no-resume",))
    assert "from 0" in call.said
    assert call.result["checkpoint"]["latest"]["step"] == 2
    assert call.result["checkpoint"]["best"]["step"] == 2
    left = sorted(path.name for path in (project.folder / "checkpoints").glob("step-*"))
    assert left == ["step-000000001", "step-000000002"]


def test_the_training_gets_the_handshake_and_no_token(project: Project) -> None:
    script = """
    import json, os
    ours = ("MLA", "MLF", "GITHUB")
    print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(ours)}))
    """
    options = ("--config-hash", "abc", "--allow-change", "a.*", "--tracking-uri", "runs")
    call = project.train(script, options=options, GITHUB_TOKEN="ghs_secret", MLACTIONS_RESUME="x")
    told = json.loads(next(line for line in call.said.splitlines() if line.startswith("{")))
    assert told["MLACTIONS_CHECKPOINTS"] == str(project.folder / "checkpoints")
    assert told["MLACTIONS_ATTEMPT"] == "1"
    assert told["MLACTIONS_CONFIG_HASH"] == "abc"
    assert told["MLACTIONS_ALLOW_CHANGE"] == "a.*"
    assert told["MLFLOW_TRACKING_URI"] == "runs"
    assert json.loads(told["MLFLOW_RUN_CONTEXT"]) == {"mlactions.config_hash": "abc"}
    assert not {"MLACTIONS_RESUME", "GITHUB_TOKEN", "GITHUB_OUTPUT"} & set(told)


def test_tags_that_were_given_stay(project: Project) -> None:
    script = "import os; print('tags', os.environ['MLFLOW_RUN_CONTEXT'])"
    for given, expected in (
        ('{"mlactions.trial": "0007"}', {"mlactions.config_hash": "b", "mlactions.trial": "0007"}),
        ("", {"mlactions.config_hash": "b"}),  # what a matrix without tags comes to
    ):
        call = project.train(script, options=("--config-hash", "b"), MLFLOW_RUN_CONTEXT=given)
        (told,) = (line for line in call.said.splitlines() if line.startswith("tags "))
        assert json.loads(told.removeprefix("tags ")) == expected


def test_secrets_of_the_command_are_neither_said_nor_kept(project: Project) -> None:
    words = ["--api-key", "abcdefgh", "--epochs", "3", "db.password=hunter2", "+token=sk-x"]
    words += ["--url=https://me:word@example.org", "seed=1"]
    call = project.train("print('trained')", *words)
    assert call.result["command"]["arguments"][-8:] == [
        "--api-key",
        "(hidden)",
        "--epochs",
        "3",
        "db.password=(hidden)",
        "+token=(hidden)",
        "--url=https://(hidden)@example.org",
        "seed=1",
    ]
    kept = "".join(path.read_text(errors="replace") for path in project.out.iterdir())
    for secret in ("abcdefgh", "hunter2", "sk-x", "word@"):
        assert secret not in call.said + kept


def test_a_verdict_does_not_boast_with_the_best_of_another_training(project: Project) -> None:
    folder = project.folder / "checkpoints"
    folder.mkdir()
    (folder / "model").write_text("old")
    entry = {"version": 1, "path": "model", "step": 3, "metric": {"name": "loss", "value": 0.1}}
    (folder / "best.json").write_text(json.dumps(entry))
    call = project.train("print('trained')")
    assert call.result["verdict"].startswith("The training finished in")
    assert "best" not in call.result["verdict"]


def test_a_script_that_cannot_be_executed_is_bad_input(project: Project) -> None:
    script = project.folder / "train.sh"
    script.write_text("echo no interpreter named\n")
    script.chmod(0o755)
    call = project.end(project.start("--command", "./train.sh"))
    assert call.code == 2, call.said
    assert "exec format error" in call.said


def test_only_what_belongs_to_the_bundle_is_in_it(project: Project) -> None:
    script = """
    import os
    path = os.environ["MLACTIONS_PROGRESS"]
    open(path + ".tmp", "w").write("left by a kill")
    """
    assert project.train(script).code == 0
    assert sorted(path.name for path in project.out.iterdir()) == [
        "facts.json",
        "manifest.json",
        "progress.csv",
        "report.html",
        "report.md",
        "result.json",
        "telemetry.csv",
        "train.log",
    ]


STOPPED_RANKS = f"""
import sys, time, torch, torch.distributed as dist
sys.path.insert(0, {str(HELPER)!r})
from mlactions_train import Checkpoints, should_stop
dist.init_process_group("gloo")
kept = Checkpoints({{}})
for step in range(1, 10_000):
    time.sleep(0.05)
    stop = torch.tensor([int(should_stop())])
    dist.all_reduce(stop)  # the ranks agree
    kept.save(lambda path: path.write_text("x"), step=step)
    if stop.item():
        print(f"rank {{dist.get_rank()}} stopped at {{step}}", flush=True)
        break
dist.destroy_process_group()
"""


def test_torchrun_passes_sigterm_on_and_the_ranks_agree(project: Project) -> None:
    (project.folder / "ranks.py").write_text(STOPPED_RANKS)
    command = ("--nproc-per-node", "2", "--command", f"{EXAMPLE_PYTHON} ranks.py")
    process = project.start(*command)
    project.wait_for((project.folder / "checkpoints/latest.json").exists)
    process.send_signal(signal.SIGTERM)
    call = project.end(process)
    assert call.code == 128 + signal.SIGTERM, call.said
    step = call.result["checkpoint"]["latest"]["step"]
    assert f"rank 0 stopped at {step}" in call.said
    assert f"rank 1 stopped at {step}" in call.said
    assert call.outputs["requeue"] == "true"
