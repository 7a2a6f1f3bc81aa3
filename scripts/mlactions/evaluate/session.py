"""One run of evaluate, from checked settings to a sealed bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlactions import markdown
from mlactions.bundle import write_atomic
from mlactions.errors import Exit, UserError
from mlactions.evaluate.documents import Measured, count, write_documents
from mlactions.evaluate.git import Git
from mlactions.evaluate.measure import Measurer
from mlactions.evaluate.plan import Plan, make_plan, shards
from mlactions.evaluate.provenance import find_program
from mlactions.evaluate.records import Outcome
from mlactions.evaluate.render import render
from mlactions.evaluate.result import facts_of, result_document
from mlactions.evaluate.run import Stop, held_signals
from mlactions.evaluate.settings import Settings
from mlactions.evaluate.template import check_names
from mlactions.publish import empty_folder, publish
from mlactions.runner import Annotation, Runner
from mlactions.schema import load_yaml
from mlactions.settings import Status
from mlactions.text import one_line

_SCRATCH = ".scratch"
_OURS = frozenset({"evaluation.json", "metrics", "base", "logs", "predictions", _SCRATCH})


@dataclass(frozen=True)
class Session:
    """A run's settings and collaborators. `environ` is what the user's command gets."""

    settings: Settings
    runner: Runner
    out: Path
    git: Git | None
    environ: Mapping[str, str]
    report_file: Path | None
    verbose: bool = False

    def run(self) -> int:
        """Plan, evaluate, seal; return the exit code. Raises Interrupted once all is sealed."""
        ours = [path for path in (self.out, self.report_file) if path is not None]
        plan = make_plan(self.settings, self.git, self.environ, ours=ours)
        self._check(plan)
        prepare_folder(self.out)
        self._announce(plan)
        stop = Stop()
        measurer = Measurer(
            self.settings, self.runner, self.out, self.git, self.environ, self.preferred
        )
        with held_signals(stop):
            try:
                measured = measurer.measure(plan, stop)
            finally:
                shutil.rmtree(self.out / _SCRATCH, ignore_errors=True)
            status = self._publish(replace(measured, interrupted=stop.number is not None))
        stop.check()
        return Exit.FAILED_CHECK if status is Status.FAIL else Exit.PASS

    def _check(self, plan: Plan) -> None:
        check_names(self.settings.template, [c.config.stem for c in plan.selected])
        program = self.settings.template.arguments[0]
        found = find_program(program, folder=self.settings.folder, environ=self.environ)
        if found is None and not self.settings.matrix_only:
            raise UserError(
                "bad input",
                f"`command` starts with {program!r}, which is no program on PATH.",
                "Install it in an earlier step, or write its path.",
            )

    def _announce(self, plan: Plan) -> None:
        base = f" since {plan.base[:12]}" if plan.base else ""
        self.runner.say(
            f"{count(len(plan.choices), 'config')}: {len(plan.selected)} to evaluate,"
            f" {len(plan.skipped)} unchanged{base}."
        )
        for note in plan.notes:
            self.runner.say(one_line(f"note: {note}"))

    def preferred(self, model: str = "") -> Sequence[str]:
        """Return the metrics that the baseline names, of one model or of all, in its order."""
        try:
            document: Any = load_yaml(self.settings.folder / self.settings.baseline)
            models = document["models"]
            chosen = [models[model]] if model else models.values()
            return [str(name) for rules in chosen for name in rules["metrics"]]
        except (UserError, KeyError, TypeError, AttributeError):
            return []  # only the order of what is shown depends on it

    def _publish(self, measured: Measured) -> Status:
        write_documents(self.out, measured)
        matrix = None
        if self.settings.matrix_only:
            paths = [choice.config.path for choice in measured.plan.selected]
            matrix = shards(paths, self.settings.max_shards)
            self.runner.output("matrix", json.dumps(matrix, ensure_ascii=True))
        result = result_document(
            measured, key=self.settings.key, preferred=self.preferred(), matrix=matrix
        )
        annotate(self.runner, measured)
        facts = facts_of(measured)
        report = publish(self.runner, self.out, result, render, facts, verbose=self.verbose)
        if self.report_file is not None:
            write_atomic(self.report_file, markdown.render(report))
        return Status(result["status"])


def annotate(runner: Runner, measured: Measured) -> None:
    """Show each failure beside the line its traceback ends at; a broken base is a warning."""
    for record in measured.records:
        if record.ok or record.outcome in {Outcome.INTERRUPTED, Outcome.NOT_RUN}:
            continue
        place = record.place if record.task.side == "head" else None
        runner.mark(
            Annotation(
                "error" if record.task.side == "head" else "warning",
                f"{record.task.label} ended {record.outcome}: {record.detail}",
                "evaluation failed",
                place.file if place else None,
                place.line if place else None,
            )
        )


def prepare_folder(out: Path) -> None:
    """Empty the folder of an earlier run; anything that is not ours is refused, not removed.

    A user's own `logs` and `metrics` have the same names: what counts is who sealed the folder.
    """
    empty_folder(out, "evaluate", _OURS, scratch=_SCRATCH)
    try:
        (out / _SCRATCH).mkdir(parents=True)
    except OSError as error:
        message = f"`out` cannot be made: {error.strerror}."
        raise UserError("bad input", message, "Name another folder.", str(out)) from None
