"""What act reported, as data: one JSON object a line, none for a skipped job or step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EXIT_STATUS = re.compile(r"exit status (\d+)")
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Annotation:
    """A notice, warning or error; `fields` holds file, line, title and the like."""

    level: str
    message: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """One step. `path` leads through composites: the ids, or the index where a step has none."""

    path: tuple[str, ...]
    name: str
    stage: str
    outcome: str | None
    exit_code: int | None
    outputs: Mapping[str, str]
    log: str
    summary: str
    annotations: tuple[Annotation, ...]
    environment: Mapping[str, str]
    seconds: float | None


@dataclass(frozen=True)
class Job:
    """One job, or one leg of a matrix; `result` is success, failure, or None if it was cut off."""

    id: str
    name: str
    matrix: Mapping[str, Any]
    result: str | None
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether the job succeeded."""
        return self.result == "success"

    def step(self, *path: str, stage: str = "Main") -> Step:
        """Return the step with this path; a step that was skipped is not there (KeyError)."""
        for step in self.steps:
            if step.path == path and step.stage == stage:
                return step
        raise KeyError(f"{self.id} ran no step {path}; it ran {[s.path for s in self.steps]}")

    def ran(self, *path: str) -> bool:
        """Whether the step with this path ran."""
        return any(step.path == path and step.stage == "Main" for step in self.steps)

    @property
    def log(self) -> str:
        """Everything its steps printed."""
        return "".join(step.log for step in self.steps)

    @property
    def summary(self) -> str:
        """The job summary; a composite repeats what its last step wrote, so only leaves count."""
        # In its post stage act gives steps paths below a step that has none.
        paths = [step.path for step in self.steps if step.stage == "Main"]
        inner = {path[:length] for path in paths for length in range(1, len(path))}
        return "".join(step.summary for step in self.steps if step.path not in inner)

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The annotations of all steps."""
        return tuple(note for step in self.steps for note in step.annotations)


def read_events(output: str) -> list[Event]:
    """Return the JSON lines; anything else that act prints is not for us."""
    events: list[Event] = []
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def errors(events: Iterable[Event]) -> tuple[str, ...]:
    """List what act itself calls an error, such as an action it cannot fetch."""
    return tuple(e["msg"] for e in events if e.get("level") == "error" and e.get("msg"))


def unsupported(events: Iterable[Event]) -> list[str]:
    """List the jobs that act left out because it had no machine for them."""
    return [e["msg"] for e in events if "Skipping unsupported platform" in e.get("msg", "")]


def jobs(events: Iterable[Event]) -> tuple[Job, ...]:
    """Group the events of a run into jobs."""
    grouped: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if "job" in event:
            matrix = json.dumps(event.get("matrix") or {}, sort_keys=True)
            grouped.setdefault((event["job"], matrix), []).append(event)
    return tuple(_job(name, matrix, found) for (name, matrix), found in grouped.items())


def finished(line: str) -> str | None:
    """Return the id of the job that this line ends, None for a leg of a matrix: others go on."""
    event = next(iter(read_events(line)), {})
    return event["jobID"] if "jobResult" in event and not event.get("matrix") else None


def _job(name: str, matrix: str, events: list[Event]) -> Job:
    grouped: dict[tuple[tuple[str, ...], str], list[Event]] = {}
    for event in events:
        if event.get("stepID"):
            key = (tuple(event["stepID"]), event.get("stage", "Main"))
            grouped.setdefault(key, []).append(event)
    steps = tuple(_step(path, stage, found) for (path, stage), found in grouped.items())
    identifier = next((e["jobID"] for e in events if e.get("jobID")), name)
    return Job(identifier, name, json.loads(matrix), _last(events, "jobResult"), steps)


def _step(path: tuple[str, ...], stage: str, events: list[Event]) -> Step:
    exits = [EXIT_STATUS.fullmatch(e.get("msg", "")) for e in events if e.get("level") == "error"]
    codes = [int(match[1]) for match in exits if match]
    return Step(
        path=path,
        name=_last(events, "step") or "",
        stage=stage,
        outcome=_last(events, "stepResult"),
        exit_code=codes[-1] if codes else None,
        outputs=_pairs(events, "set-output"),
        log="".join(e["msg"] for e in events if e.get("raw_output")),
        summary="".join(e["content"] for e in events if e.get("command") == "summary"),
        annotations=tuple(
            Annotation(e["command"], e.get("arg", ""), e.get("kvPairs") or {})
            for e in events
            if e.get("command") in ("notice", "warning", "error")
        ),
        environment=_pairs(events, "set-env"),
        seconds=next((e["executionTime"] / 1e9 for e in events if "executionTime" in e), None),
    )


def _pairs(events: list[Event], command: str) -> dict[str, str]:
    return {e["name"]: e["arg"] for e in events if e.get("command") == command}


def _last(events: list[Event], key: str) -> str | None:
    found = [event[key] for event in events if key in event]
    return found[-1] if found else None
