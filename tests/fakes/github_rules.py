"""What every operation of the fake GitHub has in common: who asks, pages, limits, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlencode

from tests.fakes.github_state import Identity, Store
from tests.fakes.loopback import Reply, Request

BODY_LIMIT = 65_536
PAGE_DEFAULT, PAGE_LIMIT = 30, 100
DOCUMENTATION = "https://docs.github.com/rest"

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Call:
    """A well-formed request: who asks, for what. `address` is the repository's."""

    store: Store
    identity: Identity
    request: Request
    parameters: Mapping[str, str]
    address: str

    def number(self, name: str) -> int:
        """Return a path parameter that is a number."""
        return int(self.parameters[name])

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body, already checked against the description."""
        value: dict[str, Any] = self.request.json
        return value


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An answer that is not what was asked for."""

    def __init__(self, status: int, message: str, /, **more: Any) -> None:
        super().__init__(message)
        value = {"message": message, "documentation_url": DOCUMENTATION, **more}
        self.reply = Reply(status, value)


Operate = Callable[[Call], Reply]
OPERATIONS: dict[str, tuple[Operate, frozenset[str]]] = {}


def operation(name: str, *scopes: str) -> Callable[[Operate], Operate]:
    """Register an operation; a token that may write any of the scopes may call it."""

    def register(function: Operate) -> Operate:
        OPERATIONS[name] = (function, frozenset(scopes))
        return function

    return register


def perform(name: str, call: Call) -> Reply:
    """Run an operation, after GitHub's check of the token's permission."""
    function, scopes = OPERATIONS[name]
    if scopes and not scopes & call.identity.writes:
        raise Refusal(403, "Resource not accessible by integration", status="403")
    return function(call)


def page(call: Call, items: Iterable[Any], wrap: str | None = None) -> Reply:
    """One page of a list, with the Link header that leads to the others."""
    everything = list(items)
    size = min(max(int(call.request.query.get("per_page", PAGE_DEFAULT)), 1), PAGE_LIMIT)
    number = max(int(call.request.query.get("page", 1)), 1)
    last = max(1, -(-len(everything) // size))
    found = everything[(number - 1) * size : number * size]
    value = {"total_count": len(everything), wrap: found} if wrap else found
    return Reply(200, value, _links(call, number, last))


def _links(call: Call, number: int, last: int) -> dict[str, str]:
    """Write the Link header as GitHub does: absent where there is one page."""
    targets: dict[str, int] = {}
    if number > 1:
        targets |= {"prev": number - 1, "first": 1}
    if number < last:
        targets |= {"next": number + 1, "last": last}
    base = "/".join(call.address.split("/")[:3]) + call.request.path
    links = [
        f'<{base}?{urlencode({**call.request.query, "page": target})}>; rel="{relation}"'
        for relation, target in targets.items()
    ]
    return {"Link": ", ".join(links)} if links else {}


def limit_body(call: Call) -> None:
    """Refuse a body that is too long: a rule that the description lacks."""
    body = call.body.get("body")
    if isinstance(body, str) and len(body) > BODY_LIMIT:
        message = f"Body is too long (maximum is {BODY_LIMIT} characters)"
        unprocessable("Validation Failed", code="custom", field="body", message=message)


def unprocessable(message: str, /, **error: Any) -> NoReturn:
    """Refuse with 422."""
    raise Refusal(422, message, errors=[error])


def found(things: Mapping[int, Thing], number: int) -> Thing:
    """Find the thing with this number, or answer 404."""
    if number not in things:
        raise Refusal(404, "Not Found", status="404")
    return things[number]
