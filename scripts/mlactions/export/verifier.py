"""One run of verify: every part asked in turn, and a result of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlactions.bundle import Bundle
from mlactions.environment import user_environment
from mlactions.evaluate.provenance import processor
from mlactions.export import graph, judge, latency, matrix, package, structure, task
from mlactions.export.exported import Exported
from mlactions.export.gates import Gate, read_gates
from mlactions.export.result import Failure, Finding, Mode, Result, Serving, Task
from mlactions.export.session import Workers
from mlactions.export.words import failure_verdict, verdict
from mlactions.runner import Runner
from mlactions.settings import Status

TASK_BATCH = 64
TIMEOUT_SECONDS = 1800.0
MADE = "made"
"""Folder in the scratch folder where what is handed out is made."""


@dataclass(frozen=True)
class Settings:
    """What the user chose for the verdict."""

    tolerances: tuple[str, ...] = ()
    mode: Mode = "scaled"
    providers: tuple[str, ...] = ()
    task_tolerance: float = 0.005
    targets: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    key: str = "export"
    timeout: float = TIMEOUT_SECONDS


@dataclass(frozen=True)
class Verifier:
    """One run: the bundle, what is asked of it, and where the proven model goes."""

    bundle: Bundle
    exported: Exported
    settings: Settings
    out: Path
    scratch: Path
    runner: Runner

    def result(self) -> Result:
        """Return the result; the model lies in the out folder if it passed."""
        if self.exported.status == "failed":
            return self._failed()
        names = [spec.name for spec in self.exported.outputs]
        chosen = (self.exported.precision, self.exported.quantize)
        gates = read_gates(self.settings.tolerances, self.settings.mode, *chosen, names)
        inspection = self._inspect()
        checks = structure.checks(self.exported, inspection, self.bundle.entries)
        missing = any(
            check.reason.startswith("external-data")
            for check in checks
            if check.status is Status.FAIL
        )
        runs = () if missing or inspection.graph is None else self._compare()
        cases = judge.case_results(self.exported, runs, gates)
        weighed = self._task(runs, names) if runs else None
        asked = self.settings.providers
        evidence = judge.Evidence(self.exported, checks, runs, cases, weighed, asked)
        findings = judge.judge(evidence)
        proven = judge.status_of(findings) is not Status.FAIL
        times, why = self._latency(runs) if proven else ((), "the model failed")
        packed, unserved = self._package(gates) if proven else ({}, ())
        findings = judge.sort([*findings, *unserved])
        status = judge.status_of(findings)
        return self._result(
            status=status,
            verdict=verdict(status, findings, cases),
            tolerances={name: gate.tolerance for name, gate in gates.items()},
            runtime=next((run.runtime for run in runs), ""),
            **packed,
            graph=inspection.graph,
            checks=checks,
            providers=tuple(run.provider for run in runs),
            cases=cases,
            latency=times,
            latency_note=why,
            task=weighed,
            findings=findings,
        )

    @property
    def workers(self) -> Workers:
        """Workers see the caller's variables without tokens and inputs."""
        environ = user_environment(dict(self.runner.environ))
        return Workers(self.bundle.folder.resolve(), self.scratch, environ, self.settings.timeout)

    def _failed(self) -> Result:
        failure = self.exported.failure
        assert failure is not None  # noqa: S101  # for the type checker: read_exported saw to it
        shown = Failure(
            kind=failure.kind,
            message=failure.message,
            file=failure.file,
            line=failure.line,
            module=failure.module,
            source=tuple((line.line, line.text) for line in failure.source),
            log_tail=failure.log_tail,
        )
        told = failure_verdict(shown)
        finding = Finding(
            "export-failed",
            "fail",
            told,
            file=failure.file,
            line=failure.line,
            module=failure.module,
        )
        return self._result(
            status=Status.FAIL,
            verdict=told,
            failure=shown,
            findings=(finding,),
            tolerances={},
            runtime="",
        )

    def _result(self, **found: Any) -> Result:
        exported, model = self.exported, self.exported.model
        about: dict[str, Any] = {}
        if model is not None:
            about = {
                "factory": model.factory,
                "class": model.class_name,
                "parameters": model.parameters,
            }
            about["parameter_bytes"] = model.parameter_bytes
        metadata = asdict(exported.metadata) | asdict(exported.provenance)
        shown = {name: str(value) for name, value in metadata.items() if value and name != "commit"}
        return Result(
            commit=exported.metadata.commit,
            key=self.settings.key,
            model=about,
            precision=exported.precision,
            quantize=exported.quantize,
            optimize=exported.optimize,
            opset=exported.opset,
            mode=self.settings.mode,
            provenance=shown,
            notes=exported.notes,
            **found,
        )

    def _inspect(self) -> graph.Inspection:
        """Read the file in a process of its own: it may be made to crash a parser."""
        read = self.workers.ask("inspect")
        document = read.first("facts")
        if document is None:
            return graph.Inspection(unreadable=f"reading it {read.outcome}: {read.detail}")
        checked = read.first("checked") or {"refused": f"the check {read.outcome}: {read.detail}"}
        given = {name: value for name, value in document.items() if name != "event"}
        given["refused"] = self.workers.shown(checked["refused"])
        return graph.read_back(given)

    def _compare(self) -> tuple[matrix.Compared, ...]:
        return matrix.compare_all(self.workers, self.settings.providers, self.exported)

    def _task(self, runs: Sequence[matrix.Compared], names: Sequence[str]) -> Task | None:
        data = self.exported.task
        used = [run.provider.name for run in runs if run.provider.state == "used"]
        if data is None or not used:
            return None
        high = next((a.high for a in self.exported.axes if a.name == "batch"), TASK_BATCH)
        folder = self.scratch / "task"
        answer = self.workers.ask(
            "predict",
            provider=used[0],
            outputs=list(names),
            inputs=str(self.bundle.path(data.inputs).resolve()),
            reference=str(self.bundle.path(data.reference).resolve()),
            samples=data.samples,
            batch=min(high, TASK_BATCH),
            folder=str(folder),
        )
        done, allowed = answer.first("predicted"), self.settings.task_tolerance
        if done is None or not done["ok"]:
            why = done["error"] if done else f"the worker {answer.outcome}: {answer.detail}"
            return task.failed(data.samples, allowed, self.workers.shown(why))
        about = {"classes": done["classes"], "alike": done["alike"]}
        return task.weigh(folder, done["metric"], allowed, samples=data.samples, **about)

    def _latency(self, runs: Sequence[matrix.Compared]) -> tuple[Any, str]:
        used = [run.provider.name for run in runs if run.provider.state == "used"]
        return latency.measure(self.workers, self.exported, used, processor())

    def _package(self, gates: Mapping[str, Gate]) -> tuple[dict[str, Any], tuple[Finding, ...]]:
        """Make what is handed out, in the scratch folder: nothing half made has its final name."""
        from mlactions.export.serving.description import NotServableError

        made, targets = self.scratch / MADE, self.settings.targets
        shutil.rmtree(made, ignore_errors=True)
        files = package.hand_out(self.bundle, self.exported, made)
        serving: tuple[Serving, ...] = ()
        unserved: tuple[Finding, ...] = ()
        try:
            serving = package.serve(
                self.bundle,
                self.exported,
                made,
                gates,
                targets=targets,
                images=self.settings.images,
                name=self.settings.name,
            )
        except (NotServableError, MemoryError) as refused:
            shutil.rmtree(made / "golden", ignore_errors=True)
            error = str(refused) or "a golden request does not fit into memory"
            message = f"No serving files were written: {error}, and no server could answer it."
            unserved = (Finding("not-servable", "warn", message),) if targets else ()
        package.write_sums(made)
        return {"files": files, "serving": serving}, unserved
