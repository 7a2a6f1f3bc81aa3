"""`propose prepare`: a task, a work tree and a Codex home; nothing of the caller's is written."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlactions.ask.repository import Repository, open_repository
from mlactions.bundle import open_bundle, write_atomic
from mlactions.codex import Endpoint, sandbox_fault
from mlactions.codex_home import writing_config
from mlactions.codex_session import find_sessions
from mlactions.errors import UserError
from mlactions.propose.model import OWN, TASKS, Rules, Task
from mlactions.propose.workspace import Context, Place, make_room, write_context
from mlactions.schema import load_json, read_text, resource

MAX_PROMPT_BYTES = 64 * 1024
MAX_REQUEST = 16_000
"""Characters of the request, which whoever starts the workflow types."""

EVENT = "workflow_dispatch"

_BRANCH = re.compile(r"(?!.*(?:\.\.|//|@\{|\.lock$|/\.))[\w][\w./@+-]{0,199}(?<![./])")
_GIVEN = ("result.json", "facts.json", "report.md")


@dataclass(frozen=True)
class Order:
    """What is asked for, and where. `prompt_file` is a path of the repository."""

    task: str
    prompt_file: str
    request: str
    slug: str
    base: str
    bundles: Sequence[Path]
    repository: Path
    out: Path
    rules: Rules
    has_key: bool = True
    answered: frozenset[str] = frozenset()
    endpoint: Endpoint | None = None


def check_event(environ: Mapping[str, str]) -> None:
    """Refuse every event but a person's dispatch on a branch: the task is what that person says."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    event = environ.get("GITHUB_EVENT_NAME", "")
    if event != EVENT:
        raise UserError(
            "refused on this event",
            f"`propose` writes code, and this job was started by `{event or 'an unknown event'}`.",
            f"Start it with `{EVENT}` only: by hand, or from another program through the API.",
        )
    if environ.get("GITHUB_REF_TYPE", "branch") != "branch":
        raise UserError("bad input", "the workflow was started on a tag.", "Choose a branch.")


def prepare(order: Order, environ: Mapping[str, str]) -> Context:
    """Write prompt, answer schema, facts, Codex home, work tree and context; return the context."""
    check_event(environ)
    task = _task(order)
    repository = open_repository(order.repository)
    place = Place(order.out.resolve())
    _check_apart(place, repository)
    base = check_branch(order.base or _current(repository, environ))
    trusted = _trusted(repository, environ)
    prompt = _prompt(task, order, repository, trusted)
    make_room(place)
    config = writing_config(order.endpoint)
    write_atomic(place.home / "config.toml", config)
    place.tree.create(repository, repository.head)
    named = [*_facts(place, order), *_conventions(place, repository, trusted)]
    write_atomic(place.prompt, _composed(prompt, order, named, place))
    write_atomic(place.schema, read_text(resource("actions/propose/change.schema.json")))
    reason, detail = _why_not(order, environ)
    actor = environ.get("GITHUB_ACTOR", "")
    context = Context(
        reason=reason,
        detail=detail,
        task=task.name,
        slug=order.slug,
        commit=repository.head,
        base=base,
        prompt=order.prompt_file,
        actor=actor,
        declined=actor.endswith("[bot]") and actor.lower() not in order.answered,
        sessions=find_sessions(place.home),
        config=hashlib.sha256(config.encode()).hexdigest(),
        rules=order.rules,
    )
    write_context(place, context)
    return context


def _task(order: Order) -> Task:
    if bool(order.prompt_file) == bool(order.task):
        raise UserError(
            "bad input",
            "give `task` or `prompt-file`, one of them.",
            f"The tasks are {', '.join(TASKS)}.",
        )
    return OWN if order.prompt_file else TASKS[order.task]


def check_branch(name: str) -> str:
    """Accept the plain name of a branch."""
    if not _BRANCH.fullmatch(name):
        message = f"`base` is {name!r}, which is no plain name of a branch."
        raise UserError("bad input", message, "Write for example `main`.")
    return name


def _current(repository: Repository, environ: Mapping[str, str]) -> str:
    if environ.get("GITHUB_ACTIONS") == "true":
        return environ.get("GITHUB_REF_NAME", "")
    return repository.branch() or "main"


def _trusted(repository: Repository, environ: Mapping[str, str]) -> str:
    """Return the commit whose prompts and conventions count: the default branch's."""
    path = environ.get("GITHUB_EVENT_PATH", "")
    if environ.get("GITHUB_ACTIONS") != "true" or not Path(path).is_file():
        return repository.head
    event: Any = load_json(Path(path), max_bytes=32 * 1024 * 1024)
    about = event.get("repository") if isinstance(event, dict) else None
    branch = str((about or {}).get("default_branch") or "")
    commit = f"refs/remotes/origin/{branch}"
    if branch and repository.has(commit):
        return commit
    raise UserError(
        "no default branch",
        f"the default branch {branch or '(unknown)'} is not in this clone, and prompts and"
        " conventions are read from there.",
        "Check out with `fetch-depth: 0`.",
        file=str(repository.root),
    )


def _prompt(task: Task, order: Order, repository: Repository, trusted: str) -> str:
    if task is not OWN:
        shipped = read_text(resource(f"actions/propose/tasks/{task.name}.md"))
        return shipped.replace("{{slug}}", order.slug)
    path = PurePosixPath(order.prompt_file)
    if path.is_absolute() or ".." in path.parts:
        raise UserError("bad input", f"`prompt-file` is {order.prompt_file!r}.", "Name a file.")
    text = repository.show(trusted, path.as_posix(), limit=MAX_PROMPT_BYTES + 1)
    if text is None or len(text.encode()) > MAX_PROMPT_BYTES or not text.strip():
        found = "is not there" if text is None else "is empty or too long"
        raise UserError(
            "bad input",
            f"`prompt-file` {found} on the default branch.",
            f"Commit one of at most {MAX_PROMPT_BYTES:,} bytes.",
            file=order.prompt_file,
        )
    return text


def _check_apart(place: Place, repository: Repository) -> None:
    folder, root = place.folder, repository.root
    if folder.is_relative_to(root) or root.is_relative_to(folder):
        raise UserError(
            "bad input",
            "`--out` and the repository lie in one another.",
            "Codex works in a copy there. Name a folder outside, such as /tmp/propose.",
            file=str(folder),
        )


def _facts(place: Place, order: Order) -> list[str]:
    """Lay the request and the results beside the work tree; return what each file is."""
    if len(order.request) > MAX_REQUEST:
        message = f"`request` has more than {MAX_REQUEST:,} characters."
        raise UserError("bad input", message, "Commit a prompt file instead.")
    named = []
    if order.request.strip():
        document = json.dumps({"request": order.request}, indent=1, ensure_ascii=False)
        write_atomic(place.facts / "request.json", document + "\n")
        named.append("request.json: what the person who started this asks for, in their words")
    for number, folder in enumerate(order.bundles, start=1):
        bundle = open_bundle(folder)
        listed = {entry.path for entry in bundle.entries}
        for name in (name for name in _GIVEN if name in listed):
            target = place.facts / f"result-{number}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path(name), target)
        named.append(f"result-{number}/: what `{bundle.word}` found, with its facts")
    return named


def _conventions(place: Place, repository: Repository, trusted: str) -> list[str]:
    found = repository.show(trusted, "AGENTS.md", limit=32 * 1024)
    if not found:
        return []
    write_atomic(place.facts / "conventions.md", found)
    return ["conventions.md: the repository's own conventions; follow them where they fit"]


def _composed(task: str, order: Order, named: Sequence[str], place: Place) -> str:
    rules = order.rules
    place.facts.mkdir(exist_ok=True)
    values = {
        "task": task.strip(),
        "facts": str(place.facts),
        "files": "\n".join(f"- {line}" for line in named) or "- (nothing)",
        "slug": order.slug,
        "allow": "\n".join(f"  - `{glob}`" for glob in rules.allow),
        "max-files": f"{rules.max_files:,}",
        "max-lines": f"{rules.max_lines:,}",
        "max-bytes": f"{rules.max_bytes:,}",
        "tests": _TESTS if rules.tests else "",
    }
    template = read_text(resource("actions/propose/prompt.md"))
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda match: values[match[1]], template)


_TESTS = (
    "- Add tests that prove the change: each must fail on the code as it was and pass with your"
    " change. Both are tried."
)


def _why_not(order: Order, environ: Mapping[str, str]) -> tuple[str, str]:
    if not order.has_key:
        return "no-key", ""
    fault = sandbox_fault(environ)
    return ("sandbox-dead", fault) if fault else ("", "")
