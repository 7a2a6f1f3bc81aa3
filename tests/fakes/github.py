"""A GitHub on loopback that remembers, and that holds every request and reply to GitHub's word.

    with FakeGitHub() as hub:                       # hub.url goes into GITHUB_API_URL
        hub.add_pull(7, head_sha="a" * 40)
        ...
        assert hub.comments(7)[0].body.startswith("<!--")

    python -m tests.fakes.github PORTFILE STATE.json

Requests are checked against GitHub's OpenAPI description (422 where they break it), and so are the
replies, where a break is a defect of the fake and fails the test. Written out by hand is what the
description lacks: tokens and their permissions, the length of a comment, pages, GraphQL. It proves
the form of what we send, not that GitHub would act on it.

As a program it starts from STATE.json (`pulls`, `comments`, `runs`, `faults`, `permissions`,
`repository`, see `load`) and keeps `comments` and `requests` of that file up to date.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tests.fakes import github_git, github_graphql, github_repository, github_threads
from tests.fakes.description import Description, Operation, UndescribedError, github
from tests.fakes.github_rules import Call, Refusal, perform
from tests.fakes.github_state import Comment, Fault, Identity, Pull, Run, Store
from tests.fakes.loopback import (
    Handler,
    Loopback,
    Reply,
    Request,
    until_stopped,
    write_atomically,
)

# Importing them is what registers their operations.
HANDLERS = (github_git, github_repository, github_threads)

ENTERPRISE = "/api/v3"
ENTERPRISE_GRAPHQL = "/api/graphql"
API_VERSIONS = frozenset({"2022-11-28", "2026-03-10"})
WRITE_TOKEN, READ_TOKEN = "ghs_write", "ghs_read"
RATE_LIMIT = 1000


@dataclass(frozen=True)
class Seen:
    """A request and the status that was sent for it (0: the connection was dropped)."""

    request: Request
    status: int

    @property
    def method(self) -> str:
        """GET, POST, PATCH, ..."""
        return self.request.method

    @property
    def path(self) -> str:
        """The path, with the prefix it came with."""
        return self.request.path


class FakeGitHub(Loopback):
    """One repository. `tokens` says whom each token speaks for; another token is refused."""

    def __init__(
        self,
        repository: str = "octo/digits",
        *,
        tokens: dict[str, Identity] | None = None,
        description: Description | None = None,
    ) -> None:
        super().__init__()
        self.store = Store(repository)
        self.tokens = tokens or {
            WRITE_TOKEN: Identity(),
            READ_TOKEN: Identity(writes=frozenset()),
        }
        self.requests: list[Seen] = []
        self.faults: list[Fault] = []
        self.state_file: Path | None = None
        self._description = description or github()

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    @property
    def enterprise_url(self) -> str:
        """The address as a GitHub Enterprise Server has it."""
        return self.url + ENTERPRISE

    def add_pull(self, number: int, head_sha: str, **more: Any) -> Pull:
        """Add a pull request, with the fields of `Pull`."""
        pull = Pull(number, head_sha, **{"repository": self.store.repository, **more})
        self.store.pulls[number] = pull
        return pull

    def push(self, number: int, head_sha: str) -> None:
        """Put new commits on a pull request."""
        self.store.pulls[number] = replace(self.store.pulls[number], head_sha=head_sha)

    def add_comment(
        self, number: int, body: str, login: str = "alice", account: str = "User"
    ) -> Comment:
        """Add a comment that is already there; `account` is `User` or `Bot`."""
        return self.store.add_comment(number, body, Identity(login, account))

    def add_run(self, number: int, head_sha: str, **more: Any) -> Run:
        """Add a workflow run, with the fields of `Run`."""
        self.store.runs[number] = Run(number, head_sha, **more)
        return self.store.runs[number]

    def comments(self, number: int) -> list[Comment]:
        """Return the comments of an issue or pull request, oldest first."""
        found = [item for item in self.store.comments.values() if item.number == number]
        return sorted(found, key=lambda item: item.id)

    def count(self, method: str, path: str = "") -> int:
        """How many requests there were with this method, and this text in the path."""
        return sum(item.method == method and path in item.path for item in self.requests)

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer one request and record it."""
        with self.lock:
            reply = self._answer(request)
            self.requests.append(Seen(request, reply.status if reply else 0))
            self._save()
        if reply is None:
            handler.drop()
        else:
            handler.send(reply)

    def _answer(self, request: Request) -> Reply | None:
        fault = self._next_fault(request)
        if fault and not fault.after:
            return _faulty(fault)
        try:
            reply = self._checked(request)
        except Refusal as refusal:
            reply = refusal.reply
        except UndescribedError as error:
            self.defects.append(str(error))
            return Reply(500, {"message": f"the fake GitHub broke its own rules: {error}"})
        return _faulty(fault) if fault else replace(reply, headers=self._with_limits(reply))

    def _next_fault(self, request: Request) -> Fault | None:
        for index, fault in enumerate(self.faults):
            if fault.matches(request.method, request.path):
                self.faults[index] = replace(fault, times=fault.times - 1)
                return fault
        return None

    def _checked(self, request: Request) -> Reply:
        """Answer a request that is let in, and check the reply as it leaves."""
        identity = self._admit(request)
        enterprise = request.path.startswith(ENTERPRISE + "/")
        prefix = ENTERPRISE if enterprise else ""
        address = f"{self.url}{prefix}/repos/{self.store.repository}"
        call = Call(self.store, identity, request, {}, address)
        if request.method == "POST" and request.path in ("/graphql", ENTERPRISE_GRAPHQL):
            return github_graphql.answer(call)
        operation = self._description.find(request.method, request.path.removeprefix(prefix))
        if operation is None or not self._is_ours(operation):
            raise Refusal(404, "Not Found", status="404")
        error = self._description.request_error(operation, request)
        if error:
            raise Refusal(422, f"Invalid request.\n\n{error}")
        return self._operate(operation, replace(call, parameters=operation.parameters))

    def _operate(self, operation: Operation, call: Call) -> Reply:
        try:
            reply = perform(operation.name, call)
            if reply.value is not None:
                filled = self._description.fill(operation, reply.status, reply.value)
                reply = replace(reply, value=filled)
            self._description.check_reply(operation, call.request, reply.status, reply.value)
        except Refusal as refusal:
            reply = refusal.reply
            if self._description.describes(operation, reply.status):
                self._description.check_reply(operation, call.request, reply.status, reply.value)
        return reply

    def _is_ours(self, operation: Operation) -> bool:
        owner, name = operation.parameters["owner"], operation.parameters["repo"]
        return f"{owner}/{name}".lower() == self.store.repository.lower()

    def _admit(self, request: Request) -> Identity:
        """Find the identity behind the token; who has none, or no name, stays outside."""
        headers = request.headers
        if not headers.get("user-agent"):
            raise Refusal(403, "Request forbidden by administrative rules: no User-Agent header.")
        version = headers.get("x-github-api-version")
        if version is not None and version not in API_VERSIONS:
            raise Refusal(400, f'"{version}" is not a supported version.')
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            raise Refusal(401, "Requires authentication", status="401")
        if token not in self.tokens:
            raise Refusal(401, "Bad credentials", status="401")
        return self.tokens[token]

    def _with_limits(self, reply: Reply) -> dict[str, str]:
        left = max(0, RATE_LIMIT - len(self.requests))
        limits = {"x-ratelimit-limit": str(RATE_LIMIT), "x-ratelimit-remaining": str(left)}
        return {**limits, **reply.headers}

    def load(self, state: dict[str, Any]) -> None:
        """Start from data: lists of the fields of `Pull`, `Run`, `Fault`, and of comments."""
        self.store.repository = state.get("repository", self.store.repository)
        self.store.permissions |= state.get("permissions", {})
        for pull in state.get("pulls", ()):
            self.add_pull(**pull)
        for run in state.get("runs", ()):
            self.add_run(run["id"], **{name: run[name] for name in run if name != "id"})
        for comment in state.get("comments", ()):
            self.add_comment(**comment)
        self.faults += [Fault(**fault) for fault in state.get("faults", ())]

    def _save(self) -> None:
        """Show other processes what happened."""
        if self.state_file is None:
            return
        comments = [
            {"number": c.number, "body": c.body, "login": c.author.login, "account": c.author.type}
            for c in self.store.comments.values()
        ]
        requests = [
            {"method": r.method, "path": r.path, "status": r.status, "body": r.request.json}
            for r in self.requests
        ]
        text = json.dumps({"comments": comments, "requests": requests}, indent=1)
        write_atomically(self.state_file, text)


def _faulty(fault: Fault) -> Reply | None:
    if fault.status == 0:
        return None
    return Reply(fault.status, {"message": fault.message}, fault.headers)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portfile", type=Path)
    parser.add_argument("state", type=Path)
    arguments = parser.parse_args()
    with until_stopped() as stop, FakeGitHub() as hub:
        if arguments.state.exists():
            hub.load(json.loads(arguments.state.read_text()))
        hub.state_file = arguments.state
        write_atomically(arguments.portfile, str(hub.port))
        stop.wait()


if __name__ == "__main__":
    main()
