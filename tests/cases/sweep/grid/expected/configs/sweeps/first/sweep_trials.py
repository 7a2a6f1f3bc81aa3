"""What run_sweep.sh asks before and after trials. Standard library, and the user's own MLflow.

It lies beside the manifest of a sweep and reads that. Without MLFLOW_TRACKING_URI it keeps to the
records in `.state/`, which run_sweep.sh writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TAG = "mlactions."
FRESH_SECONDS = 10.0
"""So long what MLflow said of a trial holds."""

PARENT_SECONDS = 1.0
"""So long whoever makes a sweep's parent waits for others that make one at the same moment."""

STALE_MINUTES = 1440.0
CODES = {"0": "FINISHED", "130": "KILLED", "143": "KILLED"}
"""What MLflow calls exit codes; all others are FAILED."""

NO_CODE = tuple(
    f":(top,exclude,glob){glob}"
    for glob in ("**/README*", "**/CHANGELOG*", "**/LICENSE*", "docs/**/*.md", ".github/**")
)
"""What is written for people, or for GitHub."""

MADE = frozenset(
    (
        *("build", "dist", "mlartifacts", "mlruns", "multirun", "node_modules", "outputs", "out"),
        *("site-packages", "venv", "wandb", "lightning_logs", "_version.py"),
    )
)
"""Folders and files that installing and training make: they are no code of the user's."""

SPACE_KEYS = frozenset(
    ("method", "metric", "program", "command", "run_cap", "seeds", "budget", "exclude", "retry")
)

DONE = frozenset({"finished", "running", "failed"})
"""States in which a trial is not run again."""


@dataclass(frozen=True)
class Attempt:
    """One run of a trial. `status` is MLflow's word; `ended` is train's, if it said one."""

    status: str
    start_ms: int = 0
    ended: str = ""
    id: str = ""
    value: float | None = None

    @property
    def finished(self) -> bool:
        """Whether it ran to its end: a loop that was asked to stop ends its run well, too."""
        return self.status == "FINISHED" and self.ended != "pre-empted"


@dataclass(frozen=True)
class State:
    """What the attempts of a trial come to: the tries that are left, where it is to be run."""

    name: str
    tries: int = 0
    attempts: tuple[Attempt, ...] = field(default=())


def state_of(
    attempts: Sequence[Attempt], retry: int, now_ms: float, stale_minutes: float = STALE_MINUTES
) -> State:
    """Say whether a trial is finished, running, failed, pre-empted or missing.

    A failed one is tried `retry` times more, one that was pre-empted always again. A run that says
    it is running, and has for longer than `stale_minutes`, has died.
    """
    kept = tuple(attempts)
    if any(item.finished for item in attempts):
        return State("finished", 0, kept)
    running = [item for item in attempts if item.status in {"RUNNING", "SCHEDULED"}]
    if any(now_ms - item.start_ms < stale_minutes * 60_000 for item in running):
        return State("running", 0, kept)
    failures = sum(item.status == "FAILED" and item.ended != "pre-empted" for item in attempts)
    if failures > retry:
        return State("failed", 0, kept)
    if failures and failures == len(attempts):
        return State("retry", retry + 1 - failures, kept)
    return State("preempted" if attempts else "missing", retry + 1 - failures, kept)


def code_version(folder: str, own: Sequence[str] = ()) -> str:
    """Return the last commit of the code, and a hash of what differs; nothing without a repository.

    `own` are paths relative to `folder` that are not code: committing them changes nothing, nor
    does what is written for people. Python files that nobody committed do.
    """
    head = head_commit(folder)
    if not head:
        return ""
    beside = [f":(exclude,literal){path}" for path in own]
    last = _git(folder, "log", "-1", "--format=%H", "HEAD", "--", ":/", *NO_CODE, *beside)
    version = last.decode("ascii", "replace").strip() or head
    changed = _git(
        folder, "diff", "--no-ext-diff", "--binary", "HEAD", "--", ":/", *NO_CODE, *beside
    )
    changed += b"".join(_untracked(folder, beside))
    return f"{version}+{hashlib.sha256(changed).hexdigest()[:12]}" if changed else version


def _untracked(folder: str, beside: Sequence[str]) -> Iterator[bytes]:
    """Yield names and contents of Python files that are neither committed, ignored nor made."""
    top = os.fsdecode(_git(folder, "rev-parse", "--show-toplevel")).rstrip("\n")
    which = (":(top,glob)**/*.py", *beside)
    listed = ("ls-files", "-z", "--others", "--exclude-standard", "--full-name", "--", *which)
    for name in sorted(filter(None, _git(folder, *listed).split(b"\0"))):
        parts = os.fsdecode(name).split("/")
        if parts[-1] in MADE or any(part in MADE or part.startswith(".") for part in parts[:-1]):
            continue
        with contextlib.suppress(OSError):
            content = Path(top, os.fsdecode(name)).read_bytes()
            yield name + b"\0" + hashlib.sha256(content).digest()


def head_commit(folder: str) -> str:
    """Return the commit that is checked out; nothing without a repository."""
    return _git(folder, "rev-parse", "HEAD").decode("ascii", "replace").strip()


def own_paths(folder: str, sweeps: str, space: str) -> tuple[str, ...]:
    """Return what is the sweep's own and no code, relative to the project: sweeps and spaces.

    Spaces of other sweeps lie beside its own. What lies outside the project is left out: git
    refuses to hear of it.
    """
    beside = sorted(Path(folder, space).parent.glob("*.y*ml")) if space else []
    others = [os.path.join(os.path.dirname(space), path.name) for path in beside if _is_space(path)]  # noqa: PTH118, PTH120  # as text
    paths = map(os.path.normpath, dict.fromkeys((sweeps, space, *others)))
    return tuple(path for path in paths if not path.startswith(("..", "/")))


def _is_space(path: Path) -> bool:
    """Tell a search space from a config, which the hash of a configuration knows of."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            keys = set(re.findall(r"^(\w+):", stream.read(100_000), re.MULTILINE))
    except OSError:
        return False
    return "parameters" in keys and bool(keys & SPACE_KEYS)


def _git(folder: str, *arguments: str) -> bytes:
    # A container job's checkout belongs to another user; a pager or a monitor could hang.
    safe = ["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "--no-pager"]
    try:
        done = subprocess.run(
            ["git", "-C", folder, *safe, *arguments], capture_output=True, check=False
        )
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""


def shown_version(version: str) -> str:
    """Return a version of the code as people are told of it."""
    commit, plus, _ = version.partition("+")
    return (commit[:7] or "no commit") + (" with changes" if plus else "")


def numbers_in(ranges: Sequence[str], total: int) -> list[int] | None:
    """Read `3`, `1-20` and `1-3,7`; None where nothing was asked for, so all is meant."""
    found: set[int] = set()
    for part in ",".join(ranges).split(","):
        text = part.strip()
        if not text:
            continue
        low, _, high = text.partition("-")
        if not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9})?", text):
            raise SystemExit(f"error: {text!r} is no trial; write 3, 1-20 or 1-3,7")
        first, last = int(low), int(high or low)
        if not 1 <= first <= last <= total:
            raise SystemExit(f"error: {text!r} is not within 1-{total}")
        found.update(range(first, last + 1))
    return sorted(found) if found else None


@dataclass(frozen=True)
class Sweep:
    """The manifest, and the folder it lies in."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def trials(self) -> Sequence[Mapping[str, Any]]:
        """Its rows."""
        rows: Sequence[Mapping[str, Any]] = self.manifest["trials"]
        return rows

    @classmethod
    def read(cls, folder: Path) -> Sweep:
        """Read the manifest beside this program."""
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            manifest["trials"][:1]
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "generate the sweep again with --replace"
            raise SystemExit(
                f"error: {folder}/manifest.json cannot be read ({error}); {hint}"
            ) from None
        return cls(folder, manifest)


class Tracking:
    """The user's MLflow."""

    def __init__(self, sweep: Sweep, commit: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient()
        self.sweep = sweep
        self.commit = commit
        self.elsewhere: dict[tuple[str, str], str] = {}
        self.seen: Mapping[tuple[str, str], Sequence[Attempt]] = {}

    def experiments(self) -> list[str]:
        """Return the ids to search in: the sweep's experiment, or all where none is named."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self.sweep.manifest["experiment"]
        if name:
            found = self.client.get_experiment_by_name(name)
            return [found.experiment_id] if found else []
        return [item.experiment_id for item in self.client.search_experiments()]

    def runs(self, condition: str) -> Iterable[Any]:
        """Yield runs page by page."""
        experiments = self.experiments()
        token = None
        while experiments:
            page = self.client.search_runs(
                experiments, condition, max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def attempts(self, digest: str = "") -> dict[tuple[str, str], list[Attempt]]:
        """Return the runs of this code and data, by configuration and seed; all, or of one."""
        found: dict[tuple[str, str], list[Attempt]] = {}
        metric = (self.sweep.manifest["metric"] or {}).get("name")
        which = f"= 'sha256:{digest}'" if digest else "LIKE 'sha256:%'"
        for run in self.runs(f"tags.`{TAG}config_hash` {which}"):
            tags, info = run.data.tags, run.info
            key = (tags[f"{TAG}config_hash"], tags.get(f"{TAG}seed", ""))
            attempt = Attempt(
                info.status,
                info.start_time or 0,
                tags.get(f"{TAG}ended", ""),
                info.run_id,
                run.data.metrics.get(metric) if metric else None,
            )
            if is_reusable(tags, self.sweep.manifest, self.commit):
                found.setdefault(key, []).append(attempt)
            elif attempt.finished and tags.get(f"{TAG}data", "") == self.sweep.manifest["data"]:
                self.elsewhere[key] = tags.get(f"{TAG}commit", "")
        self.seen = found
        return found

    def close(self, run: str, status: str) -> None:
        """End a run whose process is gone, as it ended."""
        if status == "KILLED":
            self.client.set_tag(run, f"{TAG}ended", "pre-empted")
        self.client.set_terminated(run, status)

    def close_dead(self, lines: Iterable[str]) -> None:
        """Close the runs of planned trials that say they are running, but those that go on.

        No process of this machine has them any more, and others' would have been left out.
        """
        by_name = {row["name"]: row for row in self.sweep.trials}
        for line in lines:
            name, _, run, *_ = line.split("\t")
            for item in self.seen.get(_key_of(by_name[name]), ()):
                dead = item.status == "RUNNING" and not has_life(self.sweep.folder, name)
                if dead and item.id != run:
                    self.close(item.id, "KILLED")

    def parent(self) -> str:
        """Return the run that all trials are nested in; make it where there is none."""
        name = self.sweep.manifest["sweep"]
        first = self._first_parent(name)
        if first:
            return first
        name_of = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self.sweep.manifest["experiment"]
        experiments = self.experiments()
        experiment = experiments[0] if experiments and name_of else "0"
        if name_of and not experiments:
            experiment = self.client.create_experiment(name_of)
        tags = {f"{TAG}sweep_parent": name, "mlflow.runName": f"sweep {name}"}
        run = self.client.create_run(experiment, tags=tags)
        self.client.set_terminated(run.info.run_id)
        time.sleep(PARENT_SECONDS)
        first = self._first_parent(name)
        if first != run.info.run_id:  # others began at the same moment; all take the oldest
            self.client.delete_run(run.info.run_id)
        return first

    def _first_parent(self, name: str) -> str:
        found = self.runs(f"tags.`{TAG}sweep_parent` = '{name}'")
        return min(
            ((run.info.start_time or 0, str(run.info.run_id)) for run in found), default=(0, "")
        )[1]


def is_reusable(tags: Mapping[str, str], manifest: Mapping[str, Any], commit: str) -> bool:
    """Tell whether a run is of this code and this data."""
    same_code = manifest["reuse_across_commits"] or tags.get(f"{TAG}commit", "") == commit
    return same_code and tags.get(f"{TAG}data", "") == manifest["data"]


def record_key(row: Mapping[str, Any], commit: str, data: str) -> str:
    """Return what a record names its trial by: configuration, seed, code and data, in one word."""
    parts = json.dumps([row["hash"], row["seed"], commit, data])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def recorded(folder: Path, name: str, key: str = "") -> list[Attempt]:
    """Return what was noted about a trial, a line per attempt; with a key, only what is its own.

    An attempt that runs begins now, or at 0 if its process is gone.
    """
    found: list[Attempt] = []
    own: list[bool] = []
    for word, *rest in map(str.split, _lines(folder / ".state" / name)):
        if word == "started":
            found.append(Attempt("RUNNING", int(time.time() * 1000) if _lives(rest) else 0))
            own.append(not key or rest[2:3] == [key])
        elif word == "ended" and found:
            found[-1] = Attempt(CODES.get(" ".join(rest), "FAILED"))
    return [attempt for attempt, wanted in zip(found, own, strict=True) if wanted]


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError:
        return []


def _lives(record: Sequence[str]) -> bool:
    """Tell whether the process of a record is alive; on another machine nobody knows."""
    host, pid = (*record, "", "")[:2]
    if host != socket.gethostname() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return b"run_sweep.sh" in words  # else the number was given to another process


def has_life(folder: Path, name: str) -> bool:
    """Tell whether a process of this machine runs a trial, as its last record says."""
    word, host, pid = (*(_lines(folder / ".state" / name) or [""])[-1].split(), "", "", "")[:3]
    return word == "started" and host == socket.gethostname() and _lives([host, pid])


def has_died(folder: Path, name: str) -> bool:
    """Tell whether the last attempt on this machine ended without a word."""
    found = recorded(folder, name)
    return bool(found) and found[-1].status == "RUNNING" and found[-1].start_ms == 0


def states(
    sweep: Sweep, tracking: Tracking | None, commit: str, row: Mapping[str, Any] | None = None
) -> dict[int, State]:
    """Return the state of every trial by its number, or of one."""
    retry, now = sweep.manifest["retry"], time.time() * 1000
    stale = float(os.environ.get("SWEEP_STALE_MINUTES", STALE_MINUTES))
    by_key = tracking.attempts(row["hash"] if row else "") if tracking else {}
    found = {}
    for item in [row] if row else sweep.trials:
        if tracking:
            attempts = by_key.get(_key_of(item), [])
            patience = 0.0 if has_died(sweep.folder, item["name"]) else stale
        else:
            key = record_key(item, commit, sweep.manifest["data"])
            attempts, patience = recorded(sweep.folder, item["name"], key), stale
        found[item["number"]] = state_of(attempts, retry, now, patience)
    return found


def _key_of(row: Mapping[str, Any]) -> tuple[str, str]:
    return f"sha256:{row['hash']}", "" if row["seed"] is None else str(row["seed"])


def say_elsewhere(sweep: Sweep, tracking: Tracking | None, known: Mapping[int, State]) -> None:
    """Say which trials are finished at another commit and not at this one."""
    seen = tracking.elsewhere if tracking else {}
    left = (row for row in sweep.trials if known[row["number"]].name != "finished")
    found = [seen[_key_of(row)] for row in left if _key_of(row) in seen]
    if found:
        commits = ", ".join(sorted(set(map(shown_version, found)))[:3])
        print(
            f"{len(found)} finished at another commit ({commits});"
            " generate with --reuse-across-commits to take them",
            file=sys.stderr,
        )


def plan(
    sweep: Sweep, ranges: Sequence[str], tracking: Tracking | None, commit: str, *, parent: str
) -> tuple[list[str], int]:
    """Return the trials to run as lines, and how many failed for good; say what is left out."""
    lines = []
    wanted = numbers_in(ranges, len(sweep.trials))
    known = states(sweep, tracking, commit)
    left: dict[str, int] = {}
    for row in sweep.trials:
        if wanted is not None and row["number"] not in wanted:
            continue
        state = known[row["number"]]
        if not is_left(state, named=wanted is not None):
            left[state.name] = left.get(state.name, 0) + 1
            continue
        lines.append(line_of(sweep, row, state, commit, parent))
    say_elsewhere(sweep, tracking, known)
    told = ", ".join(f"{count} {name}" for name, count in sorted(left.items()))
    if told:
        print(f"left out: {told}", file=sys.stderr)
    return lines, left.get("failed", 0)


def is_left(state: State, *, named: bool) -> bool:
    """Tell whether a trial is to be run.

    Whoever names one knows that nobody else runs it: SLURM starts a killed one again. One that has
    failed for good is run for whoever asks for that.
    """
    if state.name == "failed":
        return bool(os.environ.get("SWEEP_AGAIN"))
    return state.name not in DONE or (named and state.name == "running")


def line_of(
    sweep: Sweep, row: Mapping[str, Any], state: State, commit: str, parent: str = ""
) -> str:
    """Return what run_sweep.sh has to know of a trial: name, tries, `continued`, record, tags."""
    tags = json.dumps(tags_of(sweep, row, commit, parent), sort_keys=True)
    run = continued(sweep, row["name"], state.attempts)
    key = record_key(row, commit, sweep.manifest["data"])
    return f"{row['name']}\t{max(state.tries, 1)}\t{run}\t{key}\t{tags}"


@dataclass(frozen=True)
class Start:
    """A trial that run_sweep.sh is to begin: its line of the plan, and when that was made."""

    line: str
    asked: float
    pid: str
    named: bool


def begin(sweep: Sweep, start: Start, tracking: Tracking | None, commit: str) -> str:
    """Note that a trial begins; return its line as it is now, or nothing if another one has it.

    What MLflow said of it is asked anew, unless the plan was made a moment ago.
    """
    line = start.line
    name, *_, tags = line.split("\t")
    row = next(row for row in sweep.trials if row["name"] == name)
    key = record_key(row, commit, sweep.manifest["data"])
    with locked(sweep.folder / ".state"):
        taken = taken_by(sweep.folder, key, start)
        if not taken and (tracking or not tracked()):
            state = states(sweep, tracking, commit, row)[row["number"]]
            parent = json.loads(tags).get("mlflow.parentRunId", "")
            line = line_of(sweep, row, state, commit, parent)
            taken = "" if is_left(state, named=start.named) else state.name
        if taken:
            print(f"  {name} is {taken} meanwhile", file=sys.stderr)
            return ""
        with (sweep.folder / ".state" / name).open("a", encoding="utf-8") as stream:
            stream.write(f"started {socket.gethostname()} {start.pid} {key}\n")
    return line


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others that share the folder out; some network file systems have no locks."""
    with (folder / ".lock").open("w") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def taken_by(folder: Path, key: str, start: Start) -> str:
    """Say who else has a trial: a process that runs, or one that finished it since the plan.

    Of a trial that the caller named only processes of this machine are believed.
    """
    name = start.line.partition("\t")[0]
    path = folder / ".state" / name
    own = recorded(folder, name, key)
    if own and own[-1].finished and path.stat().st_mtime >= start.asked:
        return "finished"
    word, host, pid = (*(_lines(path) or [""])[-1].split(), "", "", "")[:3]
    here = host == socket.gethostname()
    if word == "started" and _lives([host, pid]) and (here or not start.named):
        return f"run by process {pid} on {host}"
    return ""


def continued(sweep: Sweep, name: str, attempts: Sequence[Attempt]) -> str:
    """Return the MLflow run that a trial goes on with: `+` if it has none, `-` to begin anew.

    It goes on where the attempt that its checkpoint belongs to was stopped. `attempts` are those
    of this code and these data, so the checkpoint of any other is not used.
    """
    base = Path(os.environ.get("SWEEP_CHECKPOINTS") or "outputs/sweeps")
    pointer = base / sweep.manifest["sweep"] / name / "checkpoints" / "latest.json"
    try:
        run = str(json.loads(pointer.read_text(encoding="utf-8")).get("run_id") or "")
    except (OSError, ValueError, AttributeError):
        return "-"
    known = {item.id: item for item in attempts if item.id}
    last = max(reversed(attempts), key=lambda item: item.start_ms, default=None)
    of = known.get(run) if run and known else last
    if of is None or (of.status in {"FINISHED", "FAILED"} and of.ended != "pre-empted"):
        return "-"
    return run or "+"


def ended(code: str, since: str, run: str, tracking: Tracking) -> None:
    """Close what a trial's process left open, for it was killed and could not say so itself.

    That are the runs with its tags that began after `since`, in seconds, and the one it continued.
    """
    tags = json.loads(os.environ["MLFLOW_RUN_CONTEXT"])
    digest = tags[f"{TAG}config_hash"]
    condition = f"tags.`{TAG}config_hash` = '{digest}' and attributes.status = 'RUNNING'"
    for found in list(tracking.runs(condition)):
        began = (found.info.start_time or 0) >= float(since) * 1000
        same = tags.items() <= found.data.tags.items()
        if (began and same) or found.info.run_id == run:
            tracking.close(found.info.run_id, CODES.get(code, "FAILED"))


def tags_of(sweep: Sweep, row: Mapping[str, Any], commit: str, parent: str) -> dict[str, str]:
    """Return the tags of a trial's run."""
    tags = {
        f"{TAG}sweep": sweep.manifest["sweep"],
        f"{TAG}trial": row["name"].partition("-")[0],
        f"{TAG}config_hash": f"sha256:{row['hash']}",
        f"{TAG}seed": "" if row["seed"] is None else str(row["seed"]),
        f"{TAG}commit": commit,
        f"{TAG}data": sweep.manifest["data"],
    }
    return tags | ({"mlflow.parentRunId": parent} if parent else {})


def best(sweep: Sweep, tracking: Tracking | None) -> None:
    """Write best.json: the configuration with the best mean of the metric over its seeds."""
    metric = sweep.manifest["metric"]
    if metric is None:
        raise SystemExit("no best.json: the sweep names no metric")
    if tracking is None:
        raise SystemExit(
            "no best.json: no MLflow is named; set MLFLOW_TRACKING_URI,"
            " or generate the sweep with --tracking-uri"
        )
    groups: dict[str, list[tuple[Mapping[str, Any], Attempt]]] = {}
    known = states(sweep, tracking, tracking.commit)
    for row in sweep.trials:
        done = [item for item in known[row["number"]].attempts if item.finished]
        if done and done[-1].value is not None and math.isfinite(done[-1].value):
            groups.setdefault(row["hash"], []).append((row, done[-1]))
    planned = Counter(row["hash"] for row in sweep.trials)
    first = _first(groups, metric["goal"], planned)
    if first is None:
        say_elsewhere(sweep, tracking, known)
        raise SystemExit(f"no best.json: no finished trial of this commit has {metric['name']}")
    finished = sum(state.name == "finished" for state in known.values())
    document = {
        "version": 1,
        "sweep": sweep.manifest["sweep"],
        "metric": metric,
        "trials": len(sweep.trials),
        "finished": finished,
        "best": first,
    }
    _write(sweep.folder / "best.json", json.dumps(document, indent=1, sort_keys=True) + "\n")
    print(f"wrote {sweep.folder / 'best.json'}", file=sys.stderr)


def _first(
    groups: Mapping[str, Sequence[tuple[Mapping[str, Any], Attempt]]],
    goal: str,
    planned: Mapping[str, int],
) -> dict[str, Any] | None:
    """Return the best; the fewer seeds are missing, the earlier it comes."""
    sign = -1.0 if goal == "maximize" else 1.0
    ranked = []
    for digest, pairs in groups.items():
        values = [attempt.value or 0.0 for _, attempt in pairs]
        mean = sign * math.fsum(values) / len(values)
        ranked.append((planned[digest] - len(values), mean, pairs[0][0]["number"], digest))
    if not ranked:
        return None
    _, mean, _, digest = min(ranked)
    pairs = groups[digest]
    return {
        "hash": f"sha256:{digest}",
        "mean": sign * mean,
        "values": [attempt.value for _, attempt in pairs],
        "seeds": [row["seed"] for row, _ in pairs],
        "planned": planned[digest],
        "trials": [row["name"] for row, _ in pairs],
        "runs": [attempt.id for _, attempt in pairs],
        "overrides": pairs[0][0]["overrides"],
    }


def _write(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def _code_of(sweep: Sweep) -> str:
    here = str(Path.cwd().resolve())
    sweeps = os.path.relpath(sweep.folder.parent, here)
    return code_version(here, own_paths(here, sweeps, sweep.manifest["space"]["file"]))


def tracked() -> bool:
    """Tell whether MLflow is named."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


def tracking_of(sweep: Sweep, commit: str) -> Tracking | None:
    """Return the user's MLflow, where one is named."""
    if not tracked():
        return None
    try:
        return Tracking(sweep, commit)
    except ImportError:
        hint = "MLFLOW_TRACKING_URI is set, and this Python has no mlflow"
        raise SystemExit(f"error: {hint}") from None


def _plan(sweep: Sweep, tracking: Tracking | None, commit: str, *ranges: str) -> Iterable[str]:
    """Return how many trials of those that are meant have failed for good, and the lines."""
    parent = tracking.parent() if tracking else ""
    lines, failed = plan(sweep, ranges, tracking, commit, parent=parent)
    if tracking:
        tracking.close_dead(lines)
    return [str(failed), *lines]


def _list(sweep: Sweep, tracking: Tracking | None, commit: str, *ranges: str) -> Iterable[str]:
    return plan(sweep, ranges, tracking, commit, parent="")[0]


def _begin(sweep: Sweep, tracking: Tracking | None, commit: str, *given: str) -> Iterable[str]:
    line, asked, pid, named = given
    start = Start(line, float(asked), pid, bool(named))
    return [begin(sweep, start, tracking, commit)]


def is_fresh(command: str, given: Sequence[str]) -> bool:
    """Tell whether a trial begins a moment after the plan was made, as in a job of its own."""
    return command == "begin" and time.time() - float(given[1]) < FRESH_SECONDS


def _ended(_sweep: Sweep, tracking: Tracking | None, _commit: str, *given: str) -> Iterable[str]:
    code, since, run = given
    if tracking:
        ended(code, since, run, tracking)
    return ()


def _parent(_sweep: Sweep, tracking: Tracking | None, _commit: str) -> Iterable[str]:
    return [tracking.parent()] if tracking else ()


def _best(sweep: Sweep, tracking: Tracking | None, _commit: str) -> Iterable[str]:
    best(sweep, tracking)
    return ()


COMMANDS: Mapping[str, Callable[..., Iterable[str]]] = {
    "plan": _plan,
    "list": _list,
    "begin": _begin,
    "ended": _ended,
    "parent": _parent,
    "best": _best,
}
"""What run_sweep.sh asks for; what they return is printed, a line each."""


def main(arguments: Sequence[str]) -> None:
    """Run one of the commands, or `commit`, which needs no MLflow."""
    out, sys.stdout = sys.stdout, sys.stderr  # libraries print; only answers may stand there
    sweep = Sweep.read(Path(__file__).resolve().parent)
    # Where the code is a copy without its history, as in a job of Ray, whoever copied it says.
    commit = os.environ.get("SWEEP_COMMIT") or _code_of(sweep)
    name, *rest = arguments
    if name == "commit":
        print(commit, file=out)
        return
    if tracked() and name in {"plan", "list", "best"}:
        print(f"{sweep.manifest['sweep']}: asking MLflow what is finished …", file=sys.stderr)
    try:
        tracking = None if is_fresh(name, rest) else tracking_of(sweep, commit)
        for line in COMMANDS[name](sweep, tracking, commit, *rest):
            print(line, file=out)
    except Exception as error:  # noqa: BLE001  # drivers and SDKs have roots of their own
        text = " ".join(str(error).split())[:300]
        raise SystemExit(f"error: MLflow cannot be read: {type(error).__name__}: {text}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
