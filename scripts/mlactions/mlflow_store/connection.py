"""HTTP to a tracking server: one kept connection, TLS, proxies, bounded retries."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from mlactions.mlflow_store.address import Address
from mlactions.mlflow_store.model import Counters, State, StoreError
from mlactions.mlflow_store.problems import Refused, cut
from mlactions.retries import NO_REPLY, Failure, Patience

TIMEOUT_SECONDS = 120.0
MAX_ANSWER_BYTES = 256 * 1024 * 1024
PIECE = 1024 * 1024

Result = TypeVar("Result")
Read = Callable[[http.client.HTTPResponse], Result]


@dataclass
class Connection:
    """One kept connection. What may pass is sent again; every other failure is a StoreError."""

    address: Address
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    patience: Patience = field(default_factory=lambda: Patience(attempts=4, total=60.0, first=0.5))
    counters: Counters = field(default_factory=Counters)
    _client: http.client.HTTPConnection | None = field(default=None, repr=False)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def get(self, path: str, /, **query: str | int) -> Any:
        """Return the JSON of a GET. Raises Refused for MLflow's own errors."""
        target = f"{path}?{urlencode(query)}" if query else path
        return self._patiently("GET", target, None, self._json)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON of a POST that only asks a question."""
        return self._patiently("POST", path, json.dumps(body).encode(), self._json)

    def download(self, path: str, read: Read[Result], /, **query: str | int) -> Result:
        """Hand the answer to a GET to `read`, once its status is known to be good."""
        return self._patiently("GET", f"{path}?{urlencode(query)}", None, read)

    def _patiently(
        self, method: str, target: str, body: bytes | None, read: Read[Result]
    ) -> Result:
        endpoint = f"{method} {target.partition('?')[0]}"
        for attempt in count(1):
            try:
                return self._once(method, target, body, read, endpoint)
            except Failure as failure:
                pause = self.patience.pause(failure, attempt)
                if pause is None:
                    raise self._given_up(failure) from None
            self.patience.wait(pause)
        raise AssertionError  # count() does not end

    def _once(
        self, method: str, target: str, body: bytes | None, read: Read[Result], endpoint: str
    ) -> Result:
        kept = self._client is not None
        with self._failures(endpoint):
            try:
                response = self._send(method, target, body)
            except (http.client.RemoteDisconnected, ConnectionError):
                if not kept:
                    raise
                self.close()  # servers close connections that rest; that is no failure yet
                response = self._send(method, target, body)
            self._check(response, endpoint)
            result = read(response)
            _must_be_whole(response)
            if not response.isclosed():
                self.close()  # what was not read would be taken for the next answer
            return result

    def _send(self, method: str, target: str, body: bytes | None) -> http.client.HTTPResponse:
        if self._client is None:
            self._client = self._open()
        headers = dict(self.address.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        target = self.address.path + target
        if self.address.proxy and not self.address.secure:
            host = f"{self.address.host}:{self.address.port}"
            target = f"http://{host}{target}"
        self.counters.requests += 1
        self._client.request(method, target, body=body, headers=headers)
        return self._client.getresponse()

    def _open(self) -> http.client.HTTPConnection:
        address = self.address
        host, port = address.host, address.port
        if address.proxy:
            proxy = urlsplit(address.proxy if "//" in address.proxy else f"//{address.proxy}")
            host, port = proxy.hostname or "", proxy.port or 3128
        if not address.secure:
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        client = http.client.HTTPSConnection(
            host, port, timeout=TIMEOUT_SECONDS, context=self.tls or ssl.create_default_context()
        )
        if address.proxy:
            client.set_tunnel(address.host, address.port)
        return client

    @contextmanager
    def _failures(self, endpoint: str) -> Iterator[None]:
        """Count the time, and turn what the network can do to us into Failure or StoreError."""
        began = time.perf_counter()
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            self.close()
            why = f"its certificate is not trusted: {error.verify_message}."
            hint = "Set MLFLOW_TRACKING_SERVER_CERT_PATH or SSL_CERT_FILE to the authority's file."
            raise self._unreachable(why, hint) from None
        except ssl.SSLError as error:
            self.close()
            if error.reason != "WRONG_VERSION_NUMBER":
                raise Failure(endpoint, NO_REPLY, str(error)) from None
            plain = self.address.url.replace("https://", "http://", 1)
            raise self._unreachable("it speaks no TLS.", f"Write `{plain}`.") from None
        except socket.gaierror:
            self.close()
            why = f"no address is known for the host {self.address.host!r}."
            raise self._unreachable(why, "Check the tracking URI.") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if isinstance(error, http.client.IncompleteRead):
                why = "the connection ended in the middle of an answer"
            raise Failure(endpoint, NO_REPLY, why) from None
        finally:
            self.counters.seconds += time.perf_counter() - began

    def _unreachable(self, why: str, hint: str) -> StoreError:
        title = "MLflow cannot be reached"
        return StoreError(title, f"{self.address.url}: {why}", hint, state="unreachable")

    def _check(self, response: http.client.HTTPResponse, endpoint: str) -> None:
        """Raise for every status but 200: Failure, Refused or StoreError."""
        status = response.status
        if status == http.client.OK:
            return
        headers = {name.lower(): value for name, value in response.getheaders()}
        body = response.read(MAX_ANSWER_BYTES).decode(errors="replace")
        code, message = _error(body)
        failure = Failure(endpoint, status, cut(message or body), headers)
        if status >= http.client.INTERNAL_SERVER_ERROR or status in {408, 429}:
            raise failure
        if error := self._not_for_us(status, body, headers):
            raise error
        if not code:
            raise self._given_up(failure)
        raise Refused(code, message)

    def _not_for_us(self, status: int, body: str, headers: Mapping[str, str]) -> StoreError | None:
        """Return the error of a server that does not let us in, None for any other answer."""
        url = self.address.url
        if "Invalid Host header" in body:
            hint = f"Start it with `mlflow server --allowed-hosts {self.address.host}:*`."
            message = f"{url} serves no requests for the host {self.address.host!r}."
            return StoreError("MLflow refused the host", message, hint, state="host-refused")
        if status in {401, 403, 407}:
            known = self.address.has_credentials
            what = "refused the credentials" if known else "asks for credentials"
            hint = (
                "Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"
                " MLFLOW_TRACKING_TOKEN, and what they may read."
                if known
                else "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"
                " MLFLOW_TRACKING_TOKEN, in the environment of this step."
            )
            message = f"{url} {what} (status {status})."
            return StoreError("no access to MLflow", message, hint, state="unauthorized")
        if "location" in headers:
            place = headers["location"].partition("?")[0]
            message = f"{url} leads to {cut(place)}, which is not followed with credentials."
            hint = "Write the address MLflow itself answers at; a log-in page needs a token."
            return StoreError("not an MLflow server", message, hint, state="not-mlflow")
        return None

    def _json(self, response: http.client.HTTPResponse) -> Any:
        body = response.read(MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            message = f"{self.address.url} sent more than {MAX_ANSWER_BYTES:,} bytes at once."
            raise StoreError("answer too large", message, state="failed")
        _must_be_whole(response)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self._not_mlflow("its answer is not JSON") from None

    def _given_up(self, failure: Failure) -> StoreError:
        if failure.status == NO_REPLY:
            hint = "Check the tracking URI, and that the server runs and lets this machine in."
            return self._unreachable(f"{failure.message}.", hint)
        if failure.status < http.client.INTERNAL_SERVER_ERROR and failure.status != 429:  # noqa: PLR2004  # HTTP's "too many requests"
            return self._not_mlflow(f"`{failure.endpoint}` ended with status {failure.status}")
        state: State = "failed"
        message = f"{self.address.url}: {failure}."
        return StoreError("MLflow failed", message, "Look into the server's log.", state=state)

    def _not_mlflow(self, why: str) -> StoreError:
        message = f"{self.address.url}: {why}."
        hint = "Write the address MLflow answers at, with the path it is served under, if any."
        return StoreError("not an MLflow server", message, hint, state="not-mlflow")


def _must_be_whole(response: http.client.HTTPResponse) -> None:
    """Raise IncompleteRead where the connection ended before the answer did.

    http.client itself raises only where all is read at once. What a reader chose not to read is
    still there.
    """
    if response.length and not response.read(1):
        raise http.client.IncompleteRead(b"", response.length)


def _error(body: str) -> tuple[str, str]:
    """Return MLflow's error code and message; empty where the body is something else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(found, dict) or not isinstance(found.get("error_code"), str | int):
        return "", ""
    return str(found["error_code"]), str(found.get("message", ""))
