"""Open what is not HTTP with MLflow's own client, and make certain that this writes nothing.

In a folder of runs, the store that MLflow gave up, the client itself makes an empty `.trash`.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import warnings
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlactions.mlflow_store.model import StoreError
from mlactions.mlflow_store.problems import Refused, cut

_NO_DATABRICKS = "Databricks credential"
_LOG_IN = "Set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile: `databricks://PROFILE`."
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
# What MLflow's client and the libraries below it read, where the caller has it.
_PASSED_ON = re.compile(r"(MLFLOW|DATABRICKS|AWS|AZURE|GOOGLE|PG)[A-Z]*_?\w*|no_proxy|NO_PROXY")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_HOST_PLACES = "DATABRICKS_HOST, or the profile in ~/.databrickscfg"
CONNECT_SECONDS = 30.0

_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "60",
}
"""Seconds and times, unless the caller says otherwise: by itself the client waits 8 minutes."""

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # it is only read
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def connect(uri: str, environ: Mapping[str, str]) -> Any:
    """Import MLflow and return its client, once it is certain that this writes nothing."""
    os.environ |= {key: value for key, value in environ.items() if _PASSED_ON.fullmatch(key)}
    os.environ |= {**_QUIET, **{key: environ.get(key, own) for key, own in _PATIENCE.items()}}
    warnings.filterwarnings("ignore", module=r"(mlflow|sqlalchemy|alembic)\b.*")
    _check_scheme(uri)
    if uri.startswith("databricks"):
        _must_listen(uri, environ)
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        message = f"{shown(uri)} is no HTTP address, and MLflow's client is not installed."
        hint = "Install `codex-ml-actions[mlflow]`, or name an MLflow server."
        raise StoreError("MLflow is missing", message, hint, state="no-client") from None
    for name in ("alembic", "databricks.sdk"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with translated(shown(uri)):
        _must_exist(uri)
        registry = environ.get("MLFLOW_REGISTRY_URI")
        try:
            return MlflowClient(tracking_uri=_absolute(uri), registry_uri=registry)
        except MlflowException as error:
            message = f"{shown(uri)}: {cut(error.message)}."
            raise StoreError("bad input", message, state="bad-request") from None


def _check_scheme(uri: str) -> None:
    """Refuse what no client of MLflow's reads runs from."""
    scheme, separator, _ = uri.partition("://")
    if uri.startswith(("databricks-uc", "uc:")):
        message = f"{shown(uri)} names Unity Catalog, which holds models and no runs."
        hint = "Write `databricks`; set MLFLOW_REGISTRY_URI to `databricks-uc` for its models."
        raise StoreError("bad input", message, hint, state="bad-request")
    known = (*_DATABASES, "databricks", "file")
    if separator and scheme.partition("+")[0] not in known:
        message = f"MLflow has no store at {scheme}://."
        hint = (
            "Write for example `https://mlflow.example.org`, `sqlite:///mlflow.db` or `databricks`."
        )
        raise StoreError("bad input", message, hint, state="bad-request")


def _must_listen(uri: str, environ: Mapping[str, str]) -> None:
    """Refuse a workspace where nobody listens: the SDK would try for five minutes.

    Not behind a proxy, which is what connects there.
    """
    host = _workspace(uri, environ)
    if not host or any(environ.get(name) for name in _PROXIES):
        return
    try:
        parts = urlsplit(host if "//" in host else f"https://{host}")
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        message = f"{shown(uri)}: {shown(host)}: {error}."
        hint = f"Check the host ({_HOST_PLACES}), and that the workspace lets this machine in."
        raise StoreError("MLflow cannot be reached", message, hint, state="unreachable") from None


def _workspace(uri: str, environ: Mapping[str, str]) -> str:
    """Return the host of a workspace as the SDK finds it: the profile's, or the variable's."""
    profile = uri.partition("://")[2].partition("/")[0].partition(":")[0]
    host = environ.get("DATABRICKS_HOST", "").strip()
    if host and not profile:
        return host
    name = profile or environ.get("DATABRICKS_CONFIG_PROFILE", "").strip() or "DEFAULT"
    file = environ.get("DATABRICKS_CONFIG_FILE", "").strip() or "~/.databrickscfg"
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(Path(file).expanduser(), encoding="utf-8")
        return parser.get(name, "host", fallback="").strip()
    except (ConfigError, OSError, RuntimeError, UnicodeDecodeError):
        return ""  # the SDK says what is wrong with the file


def _absolute(uri: str) -> str:
    """Return a URI that stays the same in another folder: MLflow keeps what it opened by URI."""
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
    return str(Path(uri).absolute()) if _is_folder(uri) else uri


def _is_folder(uri: str) -> bool:
    return "://" not in uri and not uri.startswith(("databricks", "file:"))


def _must_exist(uri: str) -> None:
    """Refuse a database or folder that MLflow would create, or fill with its tables."""
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme == "file" or _is_folder(uri):
        folder = Path(unquote(urlsplit(uri).path) if scheme == "file" else uri)
        if not any(folder.glob("*/meta.yaml")):
            raise _absent(uri, "there is no such folder, or it holds no experiment")
    if scheme not in _DATABASES:
        return
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.engine import make_url

    file = make_url(uri).database or ""
    if scheme == "sqlite" and not Path(file).is_file():
        raise _absent(uri, "there is no such file")
    engine = create_engine(uri)
    try:
        if not inspect(engine).has_table("experiments"):
            raise _absent(uri, "the database holds no tables of MLflow")
    finally:
        engine.dispose()


def _absent(uri: str, why: str) -> StoreError:
    hint = "Check the tracking URI; a relative path starts at the working directory."
    return StoreError(
        "MLflow cannot be reached", f"{shown(uri)}: {why}.", hint, state="unreachable"
    )


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn what the client and the libraries below it raise into our errors."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except StoreError:
        raise
    except MlflowException as error:
        if _NO_DATABRICKS in str(error.message):
            message = f"{uri}: no Databricks workspace, or no credentials for it, are configured."
            raise StoreError(
                "no access to MLflow", message, _LOG_IN, state="unauthorized"
            ) from None
        raise Refused(str(error.error_code), str(error.message)) from None
    except ImportError as error:
        message = f"{uri} needs the package {error.name!r}."
        hint = "Name an MLflow server instead: it has the driver, and HTTP needs none."
        raise StoreError("a driver is missing", message, hint, state="no-client") from None
    except Exception as error:  # noqa: BLE001  # drivers and SDKs have roots of their own
        message = f"{uri}: {cut(f'{type(error).__name__}: {error}')}."
        hint = "Check the tracking URI and the credentials in the environment."
        raise StoreError("MLflow cannot be reached", message, hint, state="unreachable") from None


def shown(uri: str) -> str:
    """Return a URI without its user, its password and its query, where drivers take them, too.

    A password may hold `/`, `?` and `@`: rather too much is left out than too little.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    if scheme.partition("+")[0] not in {"sqlite", "file"}:
        rest = re.sub(r"^[^:/]*(?::[^@]*)?@", "", rest)
        rest = rest.partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{rest.partition('?')[0]}"
