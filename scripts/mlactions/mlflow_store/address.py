"""Where a tracking server is, and what every request to it says."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

from mlactions import __version__
from mlactions.errors import UserError
from mlactions.mlflow_store.model import StoreError


@dataclass(frozen=True)
class Address:
    """Where a tracking server is. `url` is safe to show, `headers` are not."""

    url: str
    secure: bool
    host: str
    port: int
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)

    @property
    def has_credentials(self) -> bool:
        """True where a request says who asks."""
        return "Authorization" in self.headers


def read_address(uri: str, environ: Mapping[str, str]) -> Address:
    """Read a tracking URI and the variables MLflow's own client knows.

    A user and password win over a token, as they do there; those in the URI win over both.
    """
    try:
        parts = urlsplit(uri.strip())
        port = parts.port
    except ValueError as error:
        raise _bad_uri(f"{error}") from None
    if not parts.hostname or parts.query or parts.fragment:
        raise _bad_uri("it names no host" if not parts.hostname else "it has a query or fragment")
    secure = parts.scheme == "https"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    user = unquote(parts.username or "") or environ.get("MLFLOW_TRACKING_USERNAME", "").strip()
    password = unquote(parts.password or "") or environ.get("MLFLOW_TRACKING_PASSWORD", "").strip()
    token = environ.get("MLFLOW_TRACKING_TOKEN", "").strip()
    headers = {"User-Agent": f"codex-ml-actions/{__version__}", "Accept": "application/json"}
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    if workspace := environ.get("MLFLOW_WORKSPACE", "").strip():
        headers["X-MLFLOW-WORKSPACE"] = workspace
    if not all(value.isprintable() and value.isascii() for value in headers.values()):
        raise UserError("bad input", "a credential holds characters that HTTP cannot carry.")
    return Address(
        url=shown,
        secure=secure,
        host=parts.hostname,
        port=port or (443 if secure else 80),
        path=quote(parts.path.rstrip("/"), safe="/%"),
        headers=headers,
        proxy=_proxy(parts.scheme, f"{parts.hostname}:{port or ''}", environ),
    )


def caution(uri: str, environ: Mapping[str, str]) -> str:
    """Return a warning where credentials would travel in the clear, else nothing.

    MLflow's own client sends them, too, and inside a network of one's own that may be wanted.
    """
    if not uri.strip().lower().startswith("http://"):
        return ""
    address = read_address(uri, environ)
    if not address.has_credentials or _is_local(address.host):
        return ""
    return (
        f"The credentials of MLflow go to {address.url} without TLS: whoever sits in between can"
        " read them. Write https:// if the server speaks it."
    )


def _is_local(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _bad_uri(why: str) -> StoreError:
    hint = "Write for example `https://mlflow.example.org` or `sqlite:///mlflow.db`."
    message = f"the tracking URI cannot be read: {why}."
    return StoreError("bad input", message, hint, state="bad-request")


def _proxy(scheme: str, host: str, environ: Mapping[str, str]) -> str:
    """Return the proxy for a host; a server of the machine itself is never behind one."""
    name = f"{scheme}_proxy"
    found = environ.get(name) or environ.get(name.upper(), "")
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    local = _is_local(host.rpartition(":")[0])
    bypassed = local or proxy_bypass_environment(host.rstrip(":"), {"no": excluded})
    return "" if bypassed else found


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return how certificates are checked: as the system does, or by the variables MLflow knows."""
    authority = environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH", "")
    client = environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH", "")
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if client:
            context.load_cert_chain(client)
    except OSError as error:
        names = "MLFLOW_TRACKING_SERVER_CERT_PATH or MLFLOW_TRACKING_CLIENT_CERT_PATH"
        message = f"{names} names no certificate that can be read: {error.strerror or error}."
        raise UserError("bad input", message) from None
    if environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
