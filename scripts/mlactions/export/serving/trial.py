"""Try the servers of a verified export, and add what they did to its result."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.bundle import Bundle, write_atomic
from mlactions.errors import Exit, UserError
from mlactions.export.serving.golden import read_golden
from mlactions.export.serving.report import smoke_facts
from mlactions.export.serving.settings import SmokeSettings
from mlactions.export.serving.smoke import Smoke, smoke, smoke_running
from mlactions.export.serving.start import (
    Launch,
    protocol_address,
    start_onnxruntime,
    start_torchserve,
)
from mlactions.markdown import render as markdown
from mlactions.publish import Fact, Render, publish
from mlactions.runner import Runner
from mlactions.settings import Status


def run_smoke(
    runner: Runner,
    bundle: Bundle,
    out: Path,
    settings: SmokeSettings,
    render: Render,
    *,
    report_file: Path | None = None,
    verbose: bool = False,
) -> int:
    """Try the servers in `bundle`, publish its result with what they did; return the exit code.

    `out` may be the bundle's own folder: then its result is replaced.
    """
    result = _verified(bundle)
    facts = [Fact(**fact) for fact in bundle.json("facts.json")["facts"]]
    smokes = [
        _Trial(runner, bundle, out, settings).document(name) for name in _targets(bundle, settings)
    ]
    result = with_smoke(result, smokes)
    report = publish(runner, out, result, render, [*facts, *smoke_facts(smokes)], verbose=verbose)
    if report_file is not None:
        write_atomic(report_file, markdown(report))
    return Exit.FAILED_CHECK if result["status"] == Status.FAIL else Exit.PASS


def _verified(bundle: Bundle) -> Mapping[str, Any]:
    result: Mapping[str, Any] = bundle.json("result.json", schema="export-result")
    if result["status"] not in {Status.PASS, Status.WARN}:
        raise UserError(
            "nothing to try",
            f"the model was not proven: {result['verdict']}",
            "Name the folder that `export verify` wrote for a model that passed.",
            file=str(bundle.folder / "result.json"),
        )
    return result


def _targets(bundle: Bundle, settings: SmokeSettings) -> tuple[str, ...]:
    written = {
        entry.path.split("/")[1] for entry in bundle.entries if entry.path.startswith("serving/")
    }
    for target in settings.targets:
        if target not in written:
            raise UserError(
                "nothing to try",
                f"there are no files for {target}.",
                "Give verify the same `target`.",
                file=str(bundle.folder),
            )
    if not written:
        message = "verify was given no `target`: there are no serving files."
        raise UserError("nothing to try", message, file=str(bundle.folder))
    return settings.targets or tuple(sorted(written))


def with_smoke(result: Mapping[str, Any], smokes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return verify's result with the smoke test: worse where a server failed, never better.

    A server that was asked for and not tried is a warning: nobody knows that it serves.
    """
    skipped = [smoke for smoke in smokes if smoke["status"] == Status.SKIPPED]
    failed = [smoke for smoke in smokes if smoke["status"] == Status.FAIL]
    passed = [smoke["target"] for smoke in smokes if smoke["status"] == Status.PASS]
    if failed:
        first = failed[0]
        verdict = f"The {first['target']} server failed: {first['message']}. {result['verdict']}"
        status = str(Status.FAIL)
    else:
        served = f" Served by {' and '.join(passed)} with equal answers." if passed else ""
        verdict = f"{result['verdict']}{served}"
        status = str(Status.WARN) if skipped else result["status"]
    if skipped:
        named = ", ".join(f"{smoke['target']} ({smoke['message']})" for smoke in skipped)
        verdict = f"{verdict} Not tried: {named}."
    return {**result, "status": status, "verdict": verdict[:2000], "smoke": list(smokes)}


class _NotHereError(UserError):
    """A server that cannot be started from what is here."""


@dataclass(frozen=True)
class _Trial:
    """One run of the command over its targets."""

    runner: Runner
    bundle: Bundle
    out: Path
    settings: SmokeSettings

    def document(self, target: str) -> dict[str, Any]:
        """Try one target. What cannot be started here is skipped; a wrong setting is an error."""
        try:
            found = self._try(target)
        except _NotHereError as error:
            found = Smoke(target, Status.SKIPPED, message=error.message.rstrip("."))
        except UserError as error:
            if target in self.settings.targets or _targets(self.bundle, self.settings) == (target,):
                raise
            found = Smoke(target, Status.SKIPPED, message=error.message.rstrip("."))
        self.runner.say(f"smoke: {target}: {found.status} {found.message}".rstrip())
        return found.document()

    def _try(self, target: str) -> Smoke:
        name, golden = read_golden(self.bundle.folder)
        folder, plan = self.bundle.folder, self.settings.plan
        if self.settings.url is not None:
            host, port = self.settings.url
            address = protocol_address(host, port, name)
            return smoke_running(target, address, folder, golden, plan)
        log = self.out / "logs" / f"smoke-{target}.log"
        with _scratch() as scratch:
            return smoke(self._launch(target, name, scratch), folder, golden, plan, log)

    def _launch(self, target: str, name: str, scratch: Path) -> Launch:
        place = self.bundle.folder.resolve() / "serving" / target
        if target == "onnxruntime":
            return start_onnxruntime(place, name, scratch)
        if target == "torchserve" and self.settings.serving_python is not None:
            return start_torchserve(place, name, scratch, self.settings.serving_python)
        if target == "torchserve":
            raise _NotHereError(
                "cannot start TorchServe",
                "no Python with torchserve was named.",
                "Give `serving-python`.",
            )
        raise _NotHereError(
            "cannot start Triton",
            "it comes as a container only.",
            "Start it, then give `url`: serving/triton/README.md says how.",
        )


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlactions-smoke-", ignore_cleanup_errors=True) as name:
        yield Path(name)
