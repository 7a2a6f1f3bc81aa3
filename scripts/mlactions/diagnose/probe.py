"""`diagnose probe`: run named probes over the user's model and data. Runs user code: no key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from mlactions.bundle import MAX_FILE_BYTES, open_bundle, seal, write_json
from mlactions.diagnose.command import PROBE_WORD, PROBES_FILE
from mlactions.diagnose.probes import PROBES
from mlactions.environment import caller_environment, user_environment
from mlactions.errors import Exit, UserError
from mlactions.evaluate.git import Git
from mlactions.evaluate.logfile import Log, tail
from mlactions.evaluate.process import Ended, Limits, run
from mlactions.evaluate.provenance import find_program
from mlactions.evaluate.run import Stop, held_signals
from mlactions.publish import empty_folder, out_folder
from mlactions.runner import Annotation, Runner
from mlactions.schema import load_json, parse_json, validate
from mlactions.settings import Sections, lines_option, option, parse_duration_minutes
from mlactions.text import one_line

SCRATCH = ".scratch"
LOG = "probe.log"
STAGE = "[probe] "
GRACE_SECONDS = 5.0
MAX_STEPS = 10_000
CHECKED = "checked-answer.json"

_USER = Path(__file__).resolve().parent / "user"


@dataclass(frozen=True)
class ProbeSettings:
    """What the caller decides; `probes` are names in the order they run."""

    setup: str
    arguments: Mapping[str, Any]
    probes: tuple[str, ...]
    python: str
    folder: Path
    steps: int
    timeout: float


EXAMPLE = """
Example:

\b
  mlactions diagnose probe --setup src.probing:setup --out build/probe
  mlactions diagnose --log train.log --probes build/probe --out build/diagnose
"""


@click.command(
    "probe", cls=Sections, epilog=EXAMPLE, short_help="Probe a model and its data in a few steps."
)
@option(
    "--setup",
    section="What is probed",
    metavar="MODULE:FUNCTION",
    required=True,
    help="Returns model, data, optimizer.",
)
@option(
    "--setup-arguments",
    section="What is probed",
    metavar="JSON",
    default="",
    help="Keyword arguments of it.",
)
@lines_option("--probes", section="How", metavar="NAME", help=f"Default all: {', '.join(PROBES)}.")
@option(
    "--answer",
    section="How",
    metavar="PATH",
    default="",
    help="Run the probes a checked answer asks for.",
)
@option(
    "--steps",
    section="How",
    type=click.IntRange(1, MAX_STEPS),
    default=60,
    help="Steps of short trainings.",
)
@option(
    "--python",
    section="What is probed",
    default="python",
    show_default=True,
    help="Your Python, with torch.",
)
@option(
    "--working-directory",
    section="What is probed",
    default=".",
    help="Folder that modules are imported from.",
)
@option("--timeout-minutes", section="How", default="15", help="Minutes all probes may take.")
@option("--out", type=click.Path(path_type=Path), help="Folder for what was measured.")
@click.pass_obj
def probe(runner: Runner, /, **given: Any) -> int:
    """Probe a model and its data in a few steps: does it learn, what is frozen, what is dead.

    Exit code 0: every probe ran or does not apply. 1: one failed. 2: bad input.
    """
    environ = user_environment(caller_environment(runner.environ))
    out = out_folder(given["out"], runner, PROBE_WORD)
    settings = read_probe_settings(given)
    if find_program(settings.python, folder=settings.folder, environ=environ) is None:
        message = f"`python` is {settings.python!r}, which is no program on PATH."
        raise UserError("bad input", message, "Name the Python that trains the model.")
    empty_folder(out, PROBE_WORD, {PROBES_FILE, LOG, SCRATCH}, scratch=SCRATCH)
    prober = Prober(settings, runner, out, environ)
    document = prober.run()
    _tell(runner, out, document)
    prober.stop.check()
    failed = document["failure"] or any(
        answer["outcome"] == "failed" for answer in document["probes"].values()
    )
    return Exit.FAILED_CHECK if failed else Exit.PASS


def read_probe_settings(given: Mapping[str, Any]) -> ProbeSettings:
    """Check what click parsed and could not check itself."""
    if given["setup"].count(":") != 1 or not all(given["setup"].split(":")):
        hint = "Write for example `src.probing:setup`."
        raise UserError("bad input", f"`setup` is {given['setup']!r}.", hint)
    text = given["setup_arguments"].strip()
    arguments = parse_json(text, name="setup-arguments") if text else {}
    if not isinstance(arguments, dict):
        raise UserError("bad input", "`setup-arguments` is no JSON object.", 'Write {"a": 1}.')
    return ProbeSettings(
        setup=given["setup"],
        arguments=arguments,
        probes=_names(given["probes"], given["answer"]),
        python=given["python"],
        folder=Path(given["working_directory"]).resolve(),
        steps=given["steps"],
        timeout=parse_duration_minutes(given["timeout_minutes"], field="timeout-minutes"),
    )


def _names(wanted: tuple[str, ...], answer: str) -> tuple[str, ...]:
    """Return the probes that were named, by the user and in an answer; without either all."""
    if not (wanted or answer):
        return tuple(PROBES)
    asked = asked_for(Path(answer)) if answer else ()
    names = tuple(dict.fromkeys((*wanted, *asked)))
    for name in names:
        if name not in PROBES:
            hint = f"There are: {', '.join(PROBES)}."
            raise UserError("bad input", f"`probes` has {name!r}.", hint)
    return names


def asked_for(path: Path) -> tuple[str, ...]:
    """Return the probes that the hypotheses of a checked answer name, those that held.

    One that had run when Codex was asked is not run again.
    """
    if path.is_dir():
        path = open_bundle(path).path(CHECKED)
    document = load_json(path, max_bytes=MAX_FILE_BYTES)
    validate(document, "checked-answer", file=str(path))
    entry = document.get("proposal")
    hypotheses = entry["document"]["hypotheses"] if entry and entry["word"] == "diagnose" else []
    names = [item["probe"] for item in hypotheses if _open(item)]
    return tuple(name for name in dict.fromkeys(names) if name in PROBES)


def _open(hypothesis: Mapping[str, Any]) -> bool:
    return bool(hypothesis["held"] and hypothesis["probe"] and not hypothesis["ran"])


@dataclass(frozen=True)
class Prober:
    """One run of the probes. `environ` is what the user's Python gets."""

    settings: ProbeSettings
    runner: Runner
    out: Path
    environ: Mapping[str, str]
    stop: Stop = field(default_factory=Stop)

    def run(self) -> dict[str, Any]:
        """Probe, and seal what was measured; also what a process that died had measured."""
        scratch = self.out / SCRATCH
        scratch.mkdir(parents=True)
        with held_signals(self.stop):
            try:
                request = scratch / "request.json"
                write_json(request, self._request())
                ended = self._ask(request) if self.settings.probes else None
                document = self._document(scratch, ended)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            validate(document, "diagnose-probe", file=PROBES_FILE)
            write_json(self.out / PROBES_FILE, document)
            seal(self.out, PROBE_WORD)
        return document

    def _request(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "setup": settings.setup,
            "setup_arguments": dict(settings.arguments),
            "probes": list(settings.probes),
            "steps": settings.steps,
        }

    def _ask(self, request: Path) -> Ended:
        """Run the user's Python in another thread: a signal only sets `stop`."""
        arguments = [self.settings.python, str(_USER), str(request)]
        limits = Limits(timeout=self.settings.timeout, grace=GRACE_SECONDS)
        environ = {"PYTHONHASHSEED": "0", **self.environ}
        with (
            self.runner.untrusted_output(),
            ThreadPoolExecutor(1) as pool,
            Log(self.out / LOG, show=self._show) as log,
        ):
            return pool.submit(
                run,
                arguments,
                folder=self.settings.folder,
                environ=environ,
                log=log,
                limits=limits,
                stop=self.stop.event,
            ).result()

    def _show(self, line: str) -> None:
        if line.startswith(STAGE):
            self.runner.say(f"probe: {one_line(line.removeprefix(STAGE))}")
        elif self.runner.on_github:
            self.runner.say(f"model | {line}")

    def _document(self, scratch: Path, ended: Ended | None) -> dict[str, Any]:
        response = scratch / "response.json"
        answer = load_json(response, max_bytes=MAX_FILE_BYTES) if response.is_file() else {}
        git = Git.find(self.settings.folder)
        return {
            "version": 1,
            "word": PROBE_WORD,
            "commit": (git.head() or "") if git else "",
            "setup": self.settings.setup,
            "arguments": json.dumps(dict(self.settings.arguments), sort_keys=True),
            "asked": list(self.settings.probes),
            "probes": answer.get("probes", {}),
            "failure": self._failure(answer, scratch, ended),
        }

    def _failure(
        self, answer: Mapping[str, Any], scratch: Path, ended: Ended | None
    ) -> dict[str, str] | None:
        if ended is None:
            return None
        if answer.get("status") == "bad-input":
            return {"title": answer["title"], "message": answer["message"], "hint": answer["hint"]}
        if ended.by == "itself" and ended.code == 0:
            return None
        if not (scratch / "started").exists():
            message = f"`{self.settings.python}` did not start our program."
            return {"title": "no Python", "message": message, "hint": "Name a Python."}
        last = " ".join(tail(self.out / LOG)[-1:])
        how = {"time-out": f"took more than {self.settings.timeout / 60:g} minutes"}.get(
            ended.by, "ran out of memory" if ended.out_of_memory else f"ended with {ended.code}"
        )
        message = f"The process {how}{f': {last[:300]}' if last else '.'}"
        return {"title": "the probes ended early", "message": message, "hint": f"See {LOG}."}


def _tell(runner: Runner, out: Path, document: Mapping[str, Any]) -> None:
    failure = document["failure"]
    failed = [n for n, answer in document["probes"].items() if answer["outcome"] == "failed"]
    status = "pass" if document["asked"] else "skipped"
    runner.output("status", "fail" if failure or failed else status)
    runner.output("bundle", str(out))
    if failure:
        text = f"{failure['message']} {failure['hint']}".strip()
        runner.annotate(Annotation("error", text, failure["title"]))
        return
    for name in failed:
        why = one_line(document["probes"][name]["why"])
        runner.annotate(Annotation("warning", f"{name}: {why}", "a probe failed"))
    count = len(document["probes"])
    runner.say(f"probe: {count} of {len(document['asked'])} ran; {out / PROBES_FILE}")
