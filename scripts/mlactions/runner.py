"""The GitHub Actions runner: step outputs, annotations, the job summary. Plain text elsewhere.

Protocol: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TextIO

from mlactions.escaping import one_line, printable

Level = Literal["notice", "warning", "error"]

ANNOTATIONS_PER_STEP = 10
SUMMARY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Annotation:
    """A line GitHub shows beside the code: `file` as in the repository, `line` from 1."""

    level: Level
    message: str
    title: str = ""
    file: str | None = None
    line: int | None = None

    def cleaned(self) -> Annotation:
        """Return it without what hides or reorders text: names come from files of others."""
        file = None if self.file is None else printable(self.file)
        message, title = printable(self.message), printable(self.title)
        return replace(self, message=message, title=title, file=file)

    def command(self) -> str:
        """Return the workflow command, every field escaped."""
        fields = {"file": self.file, "line": self.line, "title": self.title}
        given = [f"{key}={_property(str(value))}" for key, value in fields.items() if value]
        return f"::{self.level}{' ' if given else ''}{','.join(given)}::{_data(self.message)}"

    def text(self) -> str:
        """Return the same for a terminal."""
        where = ":".join(str(part) for part in (self.file, self.line) if part)
        head = " ".join(part for part in (where, self.title) if part)
        return f"{self.level}: {head}{': ' if head else ''}{self.message}"


@dataclass
class Runner:
    """Where a command reports to. `environ` decides whether GitHub or a terminal listens."""

    environ: Mapping[str, str] = field(repr=False)
    stream: TextIO = sys.stderr
    _shown: dict[Level, int] = field(default_factory=dict)

    @property
    def on_github(self) -> bool:
        """True inside a GitHub Actions step."""
        return self.environ.get("GITHUB_ACTIONS") == "true"

    def say(self, line: str) -> None:
        """Print one progress line at once."""
        print(line, file=self.stream, flush=True)

    def annotate(self, annotation: Annotation) -> None:
        """Show an annotation; GitHub keeps ten per level and step, the rest stay log lines."""
        annotation = annotation.cleaned()
        shown = self._shown.get(annotation.level, 0)
        self._shown[annotation.level] = shown + 1
        if self.on_github and shown < ANNOTATIONS_PER_STEP:
            self.say(annotation.command())
        else:
            self.say(annotation.text() if not self.on_github else _inert(annotation.text()))

    def conclude(self, status: str, verdict: str) -> None:
        """Say how it ended, in the last line: names in it come from files of others."""
        line = one_line(f"{status.upper()}: {verdict}").replace("`", "")
        self.say(_inert(line) if self.on_github else line)

    def mark(self, annotation: Annotation) -> None:
        """Show a finding beside its line on GitHub; in a terminal the report already says it."""
        if self.on_github:
            self.annotate(annotation)

    def output(self, name: str, value: str) -> None:
        """Set a step output. The delimiter is random: no value can forge another output."""
        delimiter = f"mlactions_{secrets.token_hex(16)}"
        self._append("GITHUB_OUTPUT", f"{name}<<{delimiter}\n{value}\n{delimiter}\n")

    def summary(self, markdown: str) -> None:
        """Add to the job summary; GitHub refuses a step's whole summary above 1 MiB."""
        if len(markdown.encode()) >= SUMMARY_BYTES:
            markdown = "The report is too long for the job summary: see the artifact.\n"
        self._append("GITHUB_STEP_SUMMARY", markdown.rstrip() + "\n\n")

    @contextmanager
    def untrusted_output(self) -> Iterator[None]:
        """While user code prints, the runner obeys no workflow command."""
        token = secrets.token_hex(16)
        if self.on_github:
            self.say(f"::stop-commands::{token}")
        try:
            yield
        finally:
            if self.on_github:
                self.say(f"::{token}::")

    def _append(self, variable: str, text: str) -> None:
        path = self.environ.get(variable)
        if not path:
            return
        descriptor = os.open(Path(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "a", encoding="utf-8", newline="\n") as stream:
            stream.write(text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _inert(text: str) -> str:
    """Keep a log line from being read as a workflow command; `##[` is one anywhere in a line."""
    return " ".join(text.splitlines()).replace("::", ":\u200b:").replace("##[", "#\u200b#[")
