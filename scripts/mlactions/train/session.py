"""One call of train, from checked settings to a sealed bundle."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlactions import mlflow_tags
from mlactions.confidential import shown_arguments
from mlactions.errors import Exit, UserError
from mlactions.evaluate.git import Git
from mlactions.evaluate.logfile import Log, tail
from mlactions.publish import empty_folder, publish
from mlactions.runner import Annotation, Runner
from mlactions.settings import Status
from mlactions.sweep.user.sweep_trials import code_version
from mlactions.text import one_line, plural
from mlactions.train.facts import facts
from mlactions.train.failure import classify
from mlactions.train.handshake import LATEST, alone, check_config, check_pointer, read_checkpoints
from mlactions.train.launch import launched, surrounding, time_left
from mlactions.train.machine import Surroundings
from mlactions.train.model import (
    Check,
    Checkpoint,
    Checkpoints,
    Ended,
    Plan,
    Result,
    Settings,
)
from mlactions.train.nvml import VISIBLE, Meter
from mlactions.train.preflight import checks, failed
from mlactions.train.render import render
from mlactions.train.result import FILES, LOG, PROGRESS, TELEMETRY, document, requeue
from mlactions.train.signals import Signals, noted
from mlactions.train.stacks import find_stacks
from mlactions.train.surroundings import look
from mlactions.train.telemetry import Recorder
from mlactions.train.told import Told
from mlactions.train.watch import Limits, Outcome, Sources, Watch

LOG_BYTES = 32 * 1024 * 1024
"""Of a longer log the first and the last half of that stay."""

_SCRATCH = ".scratch"
_LINE = 2000


@dataclass(frozen=True)
class Session:
    """A call's settings and collaborators. `environ` is what the user's command gets."""

    settings: Settings
    runner: Runner
    out: Path
    git: Git | None
    environ: Mapping[str, str]
    verbose: bool = False

    def run(self) -> int:
        """Look, run, seal; return the exit code. Raises Interrupted once all is sealed."""
        if self.settings.arguments:
            launched(self.settings, self.environ)  # what cannot be started is said at once
        empty_folder(self.out, "train", {*FILES, _SCRATCH}, scratch=_SCRATCH)
        self._progress.parent.mkdir(parents=True, exist_ok=True)
        signals = Signals()
        try:
            status = self._look_and_train(signals)
        finally:
            shutil.rmtree(self._progress.parent, ignore_errors=True)
        signals.check()
        return Exit.FAILED_CHECK if status is Status.FAIL else Exit.PASS

    @property
    def _progress(self) -> Path:
        return self.out / _SCRATCH / "progress.json"

    def _look_and_train(self, signals: Signals) -> Status:
        with noted(signals):
            found = read_checkpoints(self.settings.checkpoints)
            around = look(self.settings, self.environ, signals.event)
            judged = checks(self.settings, around, found)
            self._say_checks(judged)
            result = Result(
                self.settings, around, judged, before=found, after=found, commit=self._commit()
            )
            if not (self.settings.preflight_only or failed(judged) or signals.first):
                result = self._train(result, found, signals)
            shutil.rmtree(self._progress.parent, ignore_errors=True)
            return self._publish(result)

    def _commit(self) -> str:
        return (self.git.head() if self.git else None) or ""

    def _say_checks(self, judged: tuple[Check, ...]) -> None:
        for check in judged:
            if check.status in {"fail", "warn"}:
                level = "error" if check.status == "fail" else "warning"
                message = f"{check.found}. {check.advice}".strip()
                self.runner.mark(Annotation(level, message, f"preflight: {check.name}"))  # type: ignore[arg-type]
        passed = sum(check.status == "pass" for check in judged)
        self.runner.say(f"preflight: {passed} of {plural(len(judged), 'check')} passed")

    def _train(self, result: Result, found: Checkpoints, signals: Signals) -> Result:
        with alone(self.settings.checkpoints, self.settings.checkpoints_name):
            return self._train_alone(result, found, signals)

    def _train_alone(self, result: Result, found: Checkpoints, signals: Signals) -> Result:
        plan = self._plan(found, result.surroundings)
        start = f"step {plan.resumed.step}" if plan.resumed else "the beginning"
        self.runner.say(
            one_line(f"training from {start}: {' '.join(shown_arguments(plan.arguments))}")
        )
        ended = self._watched(plan, result.surroundings, signals)
        after = read_checkpoints(self.settings.checkpoints, hashed=ended.by != "signal")
        lines = _lines(self.out / LOG)
        stacks = find_stacks(lines) if ended.by == "stalled" else ()
        root = self.git.root if self.git else self.settings.folder
        failure = classify(ended, lines, stacks, root=root, folder=self.settings.folder)
        return replace(
            result,
            plan=plan,
            ended=ended,
            failure=failure,
            after=after,
            requeue=requeue(self.settings, ended, plan.resumed, after),
            log_tail=tuple(tail(self.out / LOG)),
            stacks=stacks,
            notes=plan.notes,
        )

    def _plan(self, found: Checkpoints, around: Surroundings) -> Plan:
        settings = self.settings
        resumed = found.latest if settings.resume else None
        if settings.resume:
            check_pointer(found, settings.checkpoints)
        check_config(resumed, settings.config_hash, settings.checkpoints)
        return Plan(
            arguments=launched(settings, self.environ),
            environ={**self.environ, **dict(self._handshake(resumed, around))},
            inside=surrounding(self.environ),
            resumed=resumed,
            refused=found.refused,
        )

    def _handshake(
        self, resumed: Checkpoint | None, around: Surroundings
    ) -> Iterator[tuple[str, str]]:
        """Yield the variables that a training may read; docs say what each is for."""
        settings = self.settings
        yield "MLACTIONS_CHECKPOINTS", str(settings.checkpoints)
        yield "MLACTIONS_PROGRESS", str(self._progress)
        yield "MLACTIONS_ATTEMPT", str(settings.attempt)
        if resumed is not None or not settings.resume:  # empty: begin anew
            path = str(settings.checkpoints / resumed.path) if resumed else ""
            yield "MLACTIONS_RESUME", path
        if settings.config_hash:
            yield "MLACTIONS_CONFIG_HASH", settings.config_hash
        if settings.allow_change:
            yield "MLACTIONS_ALLOW_CHANGE", "\n".join(settings.allow_change)
        if resumed is not None and resumed.run_id and "MLFLOW_RUN_ID" not in self.environ:
            yield "MLFLOW_RUN_ID", resumed.run_id  # MLflow's own: the run is continued
        context = self._context()
        if context:
            yield "MLFLOW_RUN_CONTEXT", context  # MLflow's own: tags of a new run
        if settings.tracking_uri and "MLFLOW_TRACKING_URI" not in self.environ:
            yield "MLFLOW_TRACKING_URI", settings.tracking_uri
        # A log that is held back looks like a stall; and a stalled process has to say where.
        defaults = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
        if around.visible and VISIBLE in self.environ:
            defaults["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # so that CUDA counts as NVML does
        for name, value in defaults.items():
            if name not in self.environ:
                yield name, value

    def _context(self) -> str:
        """Return the tags of a new run as JSON: ours, and before them those that were given."""
        try:
            given = json.loads(self.environ.get("MLFLOW_RUN_CONTEXT") or "{}")
            own = json.loads(given.pop(mlflow_tags.SWEEP_FILES, "null"))
            tags = {
                mlflow_tags.COMMIT: self._version(own),
                mlflow_tags.CONFIG_HASH: self.settings.config_hash,
            }
            return json.dumps({name: text for name, text in tags.items() if text} | given)
        except (ValueError, TypeError, AttributeError):
            return ""  # no tags as MLflow takes them, so what it says of them is the user's to read

    def _version(self, own: Sequence[str] | None) -> str:
        """Return the commit; for a trial the version of the code as its sweep looks for it."""
        if own is None:
            return self._commit()
        return code_version(str(self.settings.folder), [str(path) for path in own])

    def _watched(self, plan: Plan, around: Surroundings, signals: Signals) -> Ended:
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        settings = self.settings
        with ExitStack() as stack:
            stack.enter_context(self.runner.untrusted_output())
            log = stack.enter_context(Log(self.out / LOG, limit=LOG_BYTES, show=self.runner.say))
            recorder = stack.enter_context(Recorder(self.out / TELEMETRY, around.visible))
            table = stack.enter_context((self.out / PROGRESS).open("w", encoding="utf-8"))
            watch = Watch(
                limits=Limits(self._soft_limit(), settings.grace, settings.stalled_after),
                sources=Sources(settings.heartbeat, settings.checkpoints / LATEST, self._progress),
                log=log,
                recorder=recorder,
                meter=stack.enter_context(Meter(around.visible)),
                told=Told(self.runner, table),
            )
            outcome = _started(
                lambda: watch.run(
                    plan.arguments, folder=settings.folder, environ=plan.environ, stop=signals
                )
            )
        return Ended(
            code=outcome.code,
            by=outcome.by,
            seconds=outcome.seconds,
            peak_memory=outcome.peak,
            out_of_memory=outcome.out_of_memory,
            stop_signal=signals.first,
            started=started,
            telemetry=recorder.telemetry(),
            progress=watch.history.all(),
        )

    def _soft_limit(self) -> float | None:
        """Return the limit that was given, or what SLURM leaves, less the time to save."""
        left = time_left(self.environ, time.time())
        if self.settings.soft_limit is not None or left is None:
            return self.settings.soft_limit
        return max(left - self.settings.grace, 0.0)

    def _publish(self, result: Result) -> Status:
        made = document(result)
        for name, value in _outputs(made, self.settings.checkpoints):
            self.runner.output(name, value)
        failure = made["failure"]
        if failure and not result.requeue:
            message = f"{failure['evidence']} {failure['advice'][0]}"
            place = (failure["file"], failure["file_line"])
            self.runner.mark(Annotation("error", message, f"training: {failure['class']}", *place))
        publish(self.runner, self.out, made, render, facts(made), verbose=self.verbose)
        return Status(made["status"])


def _started(run: Callable[[], Outcome]) -> Outcome:
    """Run; a program that cannot be executed and a disk that takes no log are the user's."""
    try:
        return run()
    except OSError as error:
        told = f"it cannot be started and watched: {(error.strerror or 'failed').lower()}."
        hint = "A script needs a first line such as `#!/bin/sh`; `out` needs room for its log."
        raise UserError("bad input", f"`command`: {told}", hint) from error


def _outputs(made: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the outputs of this word beside those that every word has."""
    failure, found, attempt = made["failure"], made["checkpoint"], made["attempt"]
    yield "failure", failure["class"] if failure else ""
    yield "evidence", one_line(failure["evidence"]) if failure else ""
    yield "requeue", json.dumps(attempt["requeue"])
    yield "next-attempt", str(attempt["number"] + 1)
    for name, one in (("latest-checkpoint", found["latest"]), ("best-checkpoint", found["best"])):
        yield name, str(folder / one["path"]) if one else ""
    yield "run-id", (found["latest"] or {}).get("run_id", "")
    yield "gpu-hours", f"{made['cost']['gpu_hours']:.6f}"


def _lines(path: Path) -> list[str]:
    """Return a log's lines, the long ones cut: what classifies them looks at their beginnings."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError("cannot read", f"{error.strerror}.", file=str(path)) from error
    return [line.rpartition("\r")[2][:_LINE] for line in text.split("\n")]
