"""The Hub, asked through huggingface_hub: searches, look-ups and cards. Reads only.

API: https://huggingface.co/docs/huggingface_hub/package_reference/hf_api
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mlactions.discover.answers import plain, scanned
from mlactions.discover.model import (
    HOME,
    REVISION,
    Entry,
    Hit,
    HubError,
    Kind,
    NotReadError,
    Query,
    Reason,
    State,
    is_repository,
)
from mlactions.discover.reading import read_entry
from mlactions.environment import caller_environment
from mlactions.errors import UserError

Answer = TypeVar("Answer")

SECONDS = 30.0
MAX_BYTES = 64 * 1024 * 1024
MAX_CARD = 200_000
MAX_WAIT = 20.0
TOKEN = "HF_TOKEN"  # noqa: S105  # the variable's name
ENDPOINT = "HF_ENDPOINT"
WAITS = (0.5, 2.0)
"""Seconds before a request is sent again that may succeed a little later."""

_FAULTS = {
    401: ("unauthorized", "the Hub does not accept the token", f"Check {TOKEN}."),
    403: ("unauthorized", "the Hub denies access", f"Check what the token in {TOKEN} may read."),
    429: (
        "rate-limited",
        "the Hub limits the rate",
        f"Wait, or set {TOKEN}: accounts may ask more.",
    ),
}
_DENIED = "Invalid credentials in Authorization header"


def open_hub(environ: Mapping[str, str] | None = None) -> HuggingFace:
    """Return the Hub that the caller's HF_ENDPOINT names, with the token of HF_TOKEN."""
    environ = caller_environment(os.environ) if environ is None else environ
    if environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        hint = "Unset it, or leave this check out."
        raise HubError("offline", "HF_HUB_OFFLINE is set.", hint, state="unreachable")
    if importlib.util.find_spec("huggingface_hub") is None:
        message = "huggingface_hub is not in this environment."
        hint = (
            "scripts/run installs it for `discover`, and for `ask` where `mcp` names huggingface."
        )
        raise HubError("not installed", message, hint)
    endpoint = read_endpoint(environ.get(ENDPOINT, "").strip())
    return HuggingFace(endpoint, environ.get(TOKEN, "").strip())


def read_endpoint(text: str) -> str:
    """Return the address of a Hub without its last slash; empty means the one of Hugging Face."""
    if not text:
        return HOME
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        message = f"`{ENDPOINT}` is no address of a Hub."
        raise UserError("bad input", message, "Write for example https://huggingface.co.")
    if parts.username or parts.password:
        message = f"`{ENDPOINT}` holds a user name or a password, which reports would show."
        raise UserError("bad input", message, f"Put the token into {TOKEN}.")
    return text.rstrip("/")


class HuggingFace:
    """A Hub, its token and its patience; `sleep` and `waits` are passed in."""

    def __init__(
        self,
        endpoint: str,
        token: str = "",
        *,
        waits: tuple[float, ...] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._quiet()
        from huggingface_hub import HfApi, set_client_factory
        from huggingface_hub.utils import logging as words

        # It would print parts of cards, and a line of those can be a command to the runner.
        words.set_verbosity(logging.CRITICAL)
        set_client_factory(_client)
        self._endpoint, self._sleep = endpoint, sleep
        self._waits = WAITS if waits is None else waits
        # Without a token of ours none at all: one that was saved on this machine is not meant.
        self._api = HfApi(endpoint=endpoint, token=token or False)

    @staticmethod
    def _quiet() -> None:
        """Turn off what the library would say about this machine; it looks once, at its import."""
        for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
            os.environ[name] = "1"
        os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self._endpoint

    def search(self, kind: Kind, query: Query, limit: int) -> tuple[Hit, ...]:
        """Return the names that a search gives, the most downloaded first."""

        def ask() -> tuple[Hit, ...]:
            found = self._models(query, limit) if kind == "model" else self._data(query, limit)
            hits = (Hit(str(item.id), getattr(item, "downloads", None) or 0) for item in found)
            return tuple(hit for hit in hits if is_repository(hit.id))

        return self._patiently(ask)

    def _models(self, query: Query, limit: int) -> Any:
        # Only what is needed: with cards in it, one card of an odd form would break a whole page.
        return self._api.list_models(
            search=query.search or None,
            pipeline_tag=query.tag or None,
            filter=list(query.filters) or None,
            num_parameters=query.parameters or None,
            gated=False if query.open_only else None,
            sort="downloads",
            limit=limit,
            expand=["downloads"],
        )

    def _data(self, query: Query, limit: int) -> Any:
        return self._api.list_datasets(
            search=query.search or None,
            filter=list(query.filters) or None,
            gated=False if query.open_only else None,
            sort="downloads",
            limit=limit,
            expand=["downloads"],
        )

    def look_up(self, kind: Kind, name: str) -> Entry:
        """Return what the Hub says of one repository. Raises NotReadError."""

        def ask() -> Entry:
            if kind == "model":
                info: Any = self._api.model_info(
                    name, files_metadata=True, securityStatus=True, timeout=SECONDS
                )
            else:
                info = self._api.dataset_info(name, files_metadata=True, timeout=SECONDS)
            found = str(info.id)
            return read_entry(kind, plain(info), asked="" if found == name else name)

        if not is_repository(name):
            raise NotReadError(Reason("bad-name", "no repository of the Hub can be called that"))
        entry = self._patiently(ask, name)
        if not is_repository(entry.id):
            raise NotReadError(Reason("unreadable", "the Hub answers with another name"))
        return self._scanned(entry)

    def _scanned(self, entry: Entry) -> Entry:
        """Add what the Hub's scanner says of a data set's files; a model's answer holds it."""
        paths = [*(file.path for file in entry.pickles), *entry.closed]
        if entry.kind == "model" or not paths or not REVISION.fullmatch(entry.revision):
            return entry

        def ask() -> Entry:
            found = self._api.get_paths_info(
                entry.id, paths, expand=True, revision=entry.revision, repo_type="dataset"
            )
            return scanned(entry, paths, found)

        try:
            return self._patiently(ask, entry.id)
        except NotReadError:
            return replace(entry, unscanned=True)

    def card(self, entry: Entry) -> str:
        """Return README.md at the entry's revision; empty where there is none to be read."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils._http import get_session, hf_raise_for_status

        url = hf_hub_url(
            entry.id,
            "README.md",
            repo_type=entry.kind,
            revision=entry.revision,
            endpoint=self._endpoint,
        )

        def ask() -> str:
            response = get_session().get(url, headers=self._api._build_hf_headers())  # noqa: SLF001  # as its own methods do
            hf_raise_for_status(response)
            return str(response.text)[:MAX_CARD]

        try:
            return self._patiently(ask, entry.id)
        except NotReadError:
            return ""

    def _patiently(self, ask: Callable[[], Answer], name: str = "") -> Answer:
        """Ask, again after a while where that may help. Raises HubError or NotReadError."""
        import httpx
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        for wait in (*self._waits, None):
            try:
                return ask()
            except HfHubHTTPError as error:
                after = _retry_after(error.response)
                if wait is None or after is None or after > MAX_WAIT:
                    raise self._refused(error, name) from None
                self._sleep(max(wait, after))
            except (httpx.HTTPError, httpx.InvalidURL, OfflineModeIsEnabled, OSError) as error:
                if wait is None:
                    raise self._unreachable(error) from None
                self._sleep(wait)
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
                raise self._unreadable(error, name) from None
        raise AssertionError("the last attempt returns or raises")

    def _refused(self, error: Any, name: str) -> HubError | NotReadError:
        """Tell what an answer other than 200 is about: one repository, or all of the Hub."""
        status, headers = error.response.status_code, error.response.headers
        code, said = headers.get("X-Error-Code", ""), headers.get("X-Error-Message", "")
        if name and code == "GatedRepo":
            return NotReadError(Reason("gated", "it is gated, and this token was not let in"))
        if name and (status in {404, 410} or (status == 401 and said != _DENIED)):  # noqa: PLR2004  # Not Found; Unauthorized
            return NotReadError(
                Reason("not-found", "the Hub has no such repository, or a private one")
            )
        if name and status in {400, 403, 451}:
            return NotReadError(Reason("no-access", f"the Hub does not show it (status {status})"))
        title, state = "the Hub failed", "hub-failed"
        message, hint = f"it answered {status}.", "Try again later."
        if status in _FAULTS:
            state, title, hint = _FAULTS[status]
        return HubError(title, message, hint, state=_state(state))

    def _unreachable(self, error: Exception) -> HubError:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        message = f"{why.rstrip('.')}."
        hint = f"Check the network, and {ENDPOINT} if it is set."
        return HubError("the Hub cannot be reached", message, hint, state="unreachable")

    def _unreadable(self, error: Exception, name: str) -> HubError | NotReadError:
        if name:
            return NotReadError(Reason("unreadable", "the Hub's answer about it has an odd form"))
        message = f"its answer has another form ({type(error).__name__})."
        hint = f"Check {ENDPOINT}: is a Hub there?"
        return HubError("not the Hub", message, hint, state="hub-failed")


def _state(name: str) -> State:
    states: Mapping[str, State] = {"unauthorized": "unauthorized", "rate-limited": "rate-limited"}
    return states.get(name, "hub-failed")


def _retry_after(response: Any) -> float | None:
    """Return how long to wait for a better answer; None where none is to be expected."""
    if response.status_code not in {408, 429, 500, 502, 503, 504}:
        return None
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isascii() and asked.isdigit() else 0.0


def _client() -> Any:
    """Return a client with a time limit: some of the library's requests have none."""
    import httpx
    from huggingface_hub.utils._http import hf_request_event_hook

    def limit_time(request: httpx.Request) -> None:
        request.extensions["timeout"] = httpx.Timeout(SECONDS).as_dict()

    def limit_size(response: httpx.Response) -> None:
        size = response.headers.get("Content-Length", "")
        if size.isdigit() and int(size) > MAX_BYTES:
            raise ValueError("an answer of this size is not read")

    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [hf_request_event_hook, limit_time],
        "response": [limit_size],
    }
    return httpx.Client(event_hooks=hooks, follow_redirects=True, timeout=SECONDS)
