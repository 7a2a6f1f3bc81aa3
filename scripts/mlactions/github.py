"""GitHub's REST interface, as far as we read and write it. The only module that knows ghapi."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Self, TypeVar

from mlactions import __version__
from mlactions.errors import UserError
from mlactions.github_data import Post, Pull, read_comment, read_issue, read_pull
from mlactions.retries import NO_REPLY, Failure, Patience

API_VERSION = "2022-11-28"
PER_PAGE = 100
TIMEOUT_SECONDS = 30.0

_MINIMIZE = (
    "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED})"
    " { minimizedComment { isMinimized } } }"
)
_HINTS = {
    NO_REPLY: "Check GITHUB_API_URL and the network, and run the job again.",
    200: "Check GITHUB_API_URL.",
    401: "Give the action a valid `token`.",
    403: "Give the job `permissions: pull-requests: write` (for an issue `issues: write`).",
    404: "Check the number; a token without access to the repository sees the same.",
    429: "Run the job again later.",
}

Result = TypeVar("Result")


@dataclass(eq=False)
class GitHubError(UserError):
    """GitHub refused a request, or did not answer; `status` is 0 then."""

    status: int = NO_REPLY
    rate_limited: bool = False

    @property
    def denied(self) -> bool:
        """True where the token may not do this: a fork's token, or a permission not given."""
        return self.status == 403 and not self.rate_limited  # noqa: PLR2004  # HTTP's "forbidden"


@dataclass(frozen=True)
class Connection:
    """Where GitHub is, which repository is meant, and the token that speaks for us."""

    repository: str
    token: str = field(repr=False)
    url: str = "https://api.github.com"

    @property
    def graphql_url(self) -> str:
        """`/graphql` beside the REST interface, which GitHub Enterprise Server has at `/api/v3`."""
        return self.url.rstrip("/").removesuffix("/v3") + "/graphql"


@dataclass(frozen=True)
class _Answer:
    data: Any
    more: bool = False


@dataclass
class GitHub:
    """One repository on GitHub, for a `with` block. Every failure is a GitHubError that says why.

    Reads and edits are repeated where the failure may pass. Something new is created again only
    if `find`, which looks for it, finds nothing: a lost answer does not mean nothing happened.
    """

    connection: Connection
    patience: Patience = field(default_factory=Patience)
    say: Callable[[str], None] = lambda _line: None
    requests: int = 0
    _client: Any = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.transport.close()

    def list_comments(self, number: int) -> tuple[Post, ...]:
        """Return all comments of an issue or pull request."""
        return tuple(map(read_comment, self.pages("issues.list_comments", issue_number=number)))

    def create_comment(self, number: int, body: str, find: Callable[[], Post | None]) -> Post:
        """Write a comment, once."""
        return self.ask("issues.create_comment", read_comment, find, issue_number=number, body=body)

    def update_comment(self, post: Post, body: str) -> Post:
        """Replace a comment's text."""
        return self.ask("issues.update_comment", read_comment, comment_id=post.id, body=body)

    def minimize_comment(self, post: Post) -> bool:
        """Fold a comment away as outdated; False where the token or the server cannot."""
        variables = {"query": _MINIMIZE, "variables": {"id": post.node_id}}
        url = self.connection.graphql_url
        try:
            answer = self._patiently(lambda: self._api()(url, "POST", data=variables))
        except GitHubError:
            return False
        return isinstance(answer, Mapping) and not answer.get("errors")

    def list_issues(self, label: str) -> tuple[Post, ...]:
        """Return the open issues with a label, without the pull requests among them."""
        listed = self.pages("issues.list_for_repo", labels=label, state="open")
        return tuple(read_issue(item) for item in listed if "pull_request" not in item)

    def create_issue(
        self, title: str, body: str, label: str, find: Callable[[], Post | None]
    ) -> Post:
        """Open an issue, once."""
        return self.ask("issues.create", read_issue, find, title=title, body=body, labels=[label])

    def update_issue(self, post: Post, body: str, *, state: str = "open") -> Post:
        """Replace an issue's text, and close it with `state="closed"`."""
        return self.ask("issues.update", read_issue, issue_number=post.id, body=body, state=state)

    def pull(self, number: int) -> Pull:
        """Return a pull request as it is now."""
        return self.ask("pulls.get", read_pull, pull_number=number)

    def find_pulls(self, owner: str, branch: str, sha: str) -> tuple[Pull, ...]:
        """Return the open pull requests of a head branch, and only those at this very commit."""
        listed = self.pages("pulls.list", head=f"{owner}:{branch}", state="open")
        wanted = (owner.lower(), branch, sha)
        # GitHub ignores a `head` it cannot read and lists everything.
        return tuple(
            pull
            for pull in map(read_pull, listed)
            if (pull.head_owner.lower(), pull.head_branch, pull.head_sha) == wanted
        )

    def pages(self, operation: str, **settings: Any) -> Iterator[Any]:
        """Yield what an operation of ghapi lists, page by page."""
        for page in count(1):
            answer = self._patiently(
                partial(self._send, operation, page=page, per_page=PER_PAGE, **settings)
            )
            yield from answer.data
            if not answer.more:
                return

    def ask(
        self,
        operation: str,
        read: Callable[[Any], Result],
        find: Callable[[], Result | None] | None = None,
        **settings: Any,
    ) -> Result:
        """Call an operation of ghapi, such as `pulls.get`, and read what it answers."""
        return self._patiently(lambda: read(self._send(operation, **settings).data), find)

    def _patiently(
        self, send: Callable[[], Result], find: Callable[[], Result | None] | None = None
    ) -> Result:
        for attempt in count(1):
            try:
                return self._once(send)
            except Failure as failure:
                pause = self.patience.pause(failure, attempt)
                if pause is None:
                    raise _error(failure, self.patience) from None
                self.say(f"{failure}. Again in {pause:.0f} s.")
            self.patience.wait(pause)
            if find is not None and (found := find()) is not None:
                return found
        raise AssertionError  # count() does not end

    def _once(self, send: Callable[[], Result]) -> Result:
        from ghapi.core import APIError
        from httpx2 import HTTPError

        self.requests += 1
        try:
            return send()
        except APIError as error:
            raise _failure(error) from None
        except HTTPError as error:
            raise _failure(error.api_error()) from None  # type: ignore[attr-defined]  # ghapi adds it

    def _send(self, operation: str, **settings: Any) -> _Answer:
        group, _, name = operation.partition(".")
        response = getattr(getattr(self._api(), group), name)(**settings, raw_=True)
        try:
            data = response.json()
        except ValueError:
            endpoint = f"{response.request.method} {response.request.url.path}"
            raise Failure(endpoint, response.status_code, "the answer is not JSON") from None
        return _Answer(data, 'rel="next"' in response.headers.get("link", ""))

    def _api(self) -> Any:
        """Return the client; importing and building it takes 0.4 s, so only who asks pays."""
        if self._client is None:
            self._client = _connect(self.connection)
        return self._client


def _connect(connection: Connection) -> Any:
    from ghapi.core import GhApi
    from httpx2 import Client

    owner, _, repository = connection.repository.partition("/")
    # Without `authenticate` no other token or JWT of the environment is sent in place of ours.
    settings = {"gh_host": connection.url, "authenticate": False, "sync": True}
    client = GhApi(owner, repository, **settings)  # type: ignore[no-untyped-call]  # no types
    headers = {
        "Authorization": f"Bearer {connection.token}",
        "User-Agent": f"codex-ml-actions/{__version__}",
        "X-GitHub-Api-Version": API_VERSION,
    }
    client.transport.client = Client(
        headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=True
    )
    client.transport.retries = 0
    return client


def _failure(error: Any) -> Failure:
    """Read a `ghapi.core.APIError`."""
    response = error.response
    headers = {} if response is None else {k.lower(): v for k, v in response.headers.items()}
    message = error.message
    if isinstance(error.raw, Mapping):
        details = [item.get("message") for item in error.raw.get("errors") or () if item]
        message = "; ".join([message, *filter(None, details)])
    endpoint = error.endpoint or "request"
    return Failure(endpoint, error.status_code or NO_REPLY, " ".join(message.split()), headers)


def _error(failure: Failure, patience: Patience) -> GitHubError:
    hint = _HINTS.get(failure.status, "")
    if failure.rate_limited:
        wait = patience.asked_for(failure, 1)
        hint = f"GitHub asks to wait {wait:,.0f} s: run the job again after that."
    return GitHubError(
        "GitHub said no" if failure.status else "GitHub did not answer",
        f"{failure}.",
        hint,
        status=failure.status,
        rate_limited=failure.rate_limited,
    )
