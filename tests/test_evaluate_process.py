"""Real processes: how they end, what they leave behind, what is kept of their output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from mlactions.evaluate.collect import judge_exit
from mlactions.evaluate.logfile import Log
from mlactions.evaluate.process import Ended, Limits, run
from mlactions.evaluate.proctree import Family, oom_kills, process_table

LINUX = sys.platform == "linux"


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[str]:
    """Name a run; whatever of it is left in the end fails the test and is ended."""
    name = f"left-{tmp_path.name}-{os.getpid()}"
    yield name
    left = survivors(name)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def survivors(name: str) -> list[int]:
    listed = subprocess.run(["ps", "-Ao", "pid=,args="], capture_output=True, text=True, check=True)
    rows = [line.strip().split(None, 1) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, *args in rows if args and name in args[0]]


def python(
    tmp_path: Path,
    source: str,
    *arguments: str,
    timeout: float = 20,
    grace: float = 0.3,
    stop: threading.Event | None = None,
) -> tuple[Ended, str]:
    """Run a script as an evaluation would be; return how it ended and its log."""
    script = tmp_path / "script.py"
    script.write_text(dedent(source))
    path = tmp_path / "log"
    with Log(path) as log:
        ended = run(
            [sys.executable, str(script), *arguments],
            folder=tmp_path,
            environ={"PATH": os.environ["PATH"], "KEPT": "yes"},
            log=log,
            limits=Limits(timeout, grace),
            stop=stop or threading.Event(),
        )
    return ended, path.read_bytes().decode("utf-8", "replace")


def test_a_process_that_ends_well(tmp_path: Path) -> None:
    source = "import os, sys; print(os.environ['KEPT'], sys.stdin.read() == '', os.getcwd())"

    ended, log = python(tmp_path, source)

    assert (ended.code, ended.by, ended.out_of_memory) == (0, "itself", False)
    assert log == f"yes True {tmp_path}\n"
    assert ended.seconds > 0


def test_output_and_errors_share_one_log_in_their_order(tmp_path: Path) -> None:
    source = "import os; os.write(1, b'a\\n'); os.write(2, b'b\\n'); os.write(1, b'c\\n')"

    assert python(tmp_path, source)[1] == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 11)", -11),
        ("import os; os.abort()", -6),
    ],
)
def test_exit_codes_and_signals_are_told_apart(tmp_path: Path, source: str, code: int) -> None:
    assert python(tmp_path, source)[0].code == code


def test_a_process_that_hangs_is_ended(tmp_path: Path, marker: str) -> None:
    ended, log = python(
        tmp_path, "import time; print('start', flush=True); time.sleep(60)", marker, timeout=2
    )

    assert ended.by == "time-out"
    assert ended.code == -signal.SIGTERM
    assert 2 <= ended.seconds < 30
    assert log == "start\n"


def test_a_process_may_tidy_up_within_the_grace(tmp_path: Path, marker: str) -> None:
    source = """
        import signal, sys, time
        def tidy(*_):
            time.sleep(0.2); print('saved'); sys.exit(5)
        signal.signal(signal.SIGTERM, tidy)
        time.sleep(60)
        """

    ended, log = python(tmp_path, source, marker, timeout=2, grace=20)

    assert (ended.by, ended.code, log) == ("time-out", 5, "saved\n")


STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, marker: str) -> None:
    ended, _ = python(tmp_path, f"{STUBBORN}; time.sleep(60)", marker, timeout=2, grace=0.2)

    assert (ended.by, ended.code) == ("time-out", -signal.SIGKILL)


def test_a_process_that_never_stops_printing_is_ended(tmp_path: Path, marker: str) -> None:
    source = f"{STUBBORN}\nwhile True: print('x' * 1000)"

    ended, log = python(tmp_path, source, marker, timeout=0.4, grace=0.2)

    assert ended.by == "time-out"
    assert ended.seconds < 30
    assert len(log) < 3_000_000


FORKS = {
    "a child": "os.fork() or time.sleep(60)",
    "a stubborn child": "signal.signal(15, signal.SIG_IGN); os.fork() or time.sleep(60)",
    "a grandchild": "os.fork() or (os.fork() or time.sleep(60))",
    "a child in its own group": "os.fork() or (os.setpgid(0, 0), time.sleep(60))",
    "a daemon": "os.fork() or (os.setsid(), os.fork() and os._exit(0), time.sleep(60))",
    "a stubborn daemon": (
        "signal.signal(15, signal.SIG_IGN);"
        "os.fork() or (os.setsid(), os.fork() and os._exit(0), time.sleep(60))"
    ),
}


@pytest.mark.skipif(not LINUX, reason="daemons are found through /proc")
@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
@pytest.mark.parametrize("hang", ["", "time.sleep(60)"], ids=["ends", "hangs"])
def test_nobody_is_left_behind(tmp_path: Path, marker: str, fork: str, hang: str) -> None:
    source = f"""
        import os, signal, time
        pid = os.getpid()
        {fork}
        if os.getpid() == pid:
            time.sleep(0.1)
            {hang or "pass"}
        """

    ended, _ = python(tmp_path, source, marker, timeout=0.4, grace=0.1)

    assert ended.by == ("time-out" if hang else "itself")
    assert ended.seconds < 30
    assert not survivors(marker)


@pytest.mark.skipif(not LINUX, reason="escaped processes are found through /proc")
def test_a_daemon_that_clears_its_environment_is_seen_before(tmp_path: Path, marker: str) -> None:
    source = f"""
        import os, subprocess, sys, time
        subprocess.Popen(
            ["env", "-i", "setsid", sys.executable, "-c", "import time; time.sleep(60)", "{marker}"]
        )
        time.sleep(0.5)
        """

    python(tmp_path, source, marker, grace=0.2)

    assert not survivors(marker)


def test_a_stop_ends_it_in_a_hurry(tmp_path: Path, marker: str) -> None:
    stop = threading.Event()
    timer = threading.Timer(2, stop.set)
    timer.start()

    started = time.monotonic()
    ended, _ = python(tmp_path, f"{STUBBORN}; time.sleep(60)", marker, grace=3600, stop=stop)

    assert (ended.by, ended.code) == ("interruption", -signal.SIGKILL)
    assert time.monotonic() - started < 30
    timer.join()


@pytest.mark.skipif(not LINUX, reason="memory of a process tree is read from /proc")
def test_peak_memory_is_that_of_the_whole_family(tmp_path: Path) -> None:
    size = 150 * 2**20
    source = f"""
        import os, time
        pid = os.fork()
        block = b"x" * {size}
        time.sleep(3)
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
        """

    peak = python(tmp_path, source)[0].peak_memory

    assert peak is not None
    assert 2 * size < peak < 2 * size + 80 * 2**20


@pytest.mark.skipif(not LINUX, reason="the process table is read from /proc")
def test_the_process_table_knows_us() -> None:
    entry = process_table()[os.getpid()]

    assert entry.parent == os.getppid()
    assert entry.group == os.getpgid(0)
    assert entry.resident > 10 * 2**20
    assert not entry.zombie


def test_a_process_id_that_was_used_again_is_not_ours() -> None:
    family = Family(leader=2**22 + 7)
    family._known[os.getpid()] = 1  # a start time that is not ours

    assert os.getpid() not in {entry.pid for entry in family.alive()}


def test_without_a_process_table_the_group_says_who_is_alive() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = subprocess.Popen(command, start_new_session=True)
    family = Family(leader=process.pid, table=dict)

    assert family.is_alive()
    family.send(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    assert not family.is_alive()


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.events": "low 0\noom 4\noom_kill 3\n",
                "proc/vmstat": "oom_kill 9\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,memory:/x\n0::/\n",
                "sys/fs/cgroup/memory/x/memory.oom_control": "under_oom 0\noom_kill 2\n",
            },
            2,
        ),
        ({"sys/fs/cgroup/memory.events": "oom_kill 1\n"}, 1),
        ({"proc/vmstat": "nr_free 1\noom_kill 7\n"}, 7),
        ({"proc/self/cgroup": "garbage\n"}, 0),
        ({}, 0),
    ],
)
def test_out_of_memory_kills_are_counted_where_the_kernel_says_so(
    tmp_path: Path, files: dict[str, str], kills: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert oom_kills(tmp_path) == kills


@pytest.mark.parametrize(
    ("ended", "outcome", "detail"),
    [
        (Ended(0, "itself", 1, None, out_of_memory=False), "ok", ""),
        (
            Ended(1, "itself", 1, None, out_of_memory=False),
            "crashed",
            "exit code 1: ValueError: no",
        ),
        (Ended(-11, "itself", 1, None, out_of_memory=False), "crashed", "SIGSEGV: ValueError: no"),
        (Ended(-9, "itself", 1, 2**30, out_of_memory=True), "killed", "peaked at 1 GiB"),
        (Ended(-9, "itself", 1, None, out_of_memory=False), "killed", "most often for lack of"),
        (Ended(137, "itself", 1, None, out_of_memory=False), "killed", "SIGKILL"),
        (Ended(1, "itself", 1, None, out_of_memory=True), "killed", "out of memory"),
        (Ended(0, "itself", 1, None, out_of_memory=True), "ok", ""),
        (Ended(-15, "time-out", 90, None, out_of_memory=False), "timed-out", "after 1.5 min"),
        (Ended(0, "time-out", 90, None, out_of_memory=False), "timed-out", "after 1.5 min"),
        (Ended(-15, "interruption", 1, None, out_of_memory=False), "interrupted", "stopped"),
        (Ended(-200, "itself", 1, None, out_of_memory=False), "crashed", "signal 200"),
    ],
)
def test_every_end_has_its_name(ended: Ended, outcome: str, detail: str) -> None:
    found = judge_exit(ended, ["Traceback …", "ValueError: no", "  cleaning up"], timeout=90)

    assert found[0] == outcome
    assert detail in found[1]
