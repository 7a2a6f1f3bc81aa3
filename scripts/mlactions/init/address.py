"""Addresses of servers that go into workflows, for everybody to read. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from mlactions.codex_home.request import holds_password
from mlactions.errors import UserError


def check_address(text: str) -> str:
    """Return an address that a workflow may hold. Raises UserError, which does not repeat it."""
    if not text:
        return text
    if holds_password(text):
        message = "--tracking-uri holds a password or a token, and workflows are read by everybody."
        hint = "Leave it out, and add MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        raise UserError("bad input", message, hint)
    if not text.startswith(("https://", "http://", "databricks")):
        hint = "Runners reach a server: https://mlflow.example.org."
        raise UserError("bad input", f"--tracking-uri is {text!r}, which is no server.", hint)
    return text


def is_loopback(text: str) -> bool:
    """Tell an address that only this machine reaches; what is no address is none."""
    try:
        host = urlsplit(text).hostname or ""
        address = None if host == "localhost" or host.endswith(".localhost") else ip_address(host)
    except ValueError:
        return False
    return address is None or address.is_loopback or address.is_unspecified
