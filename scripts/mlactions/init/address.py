"""What goes into workflows, for everybody to read: servers' addresses, and no secrets. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from mlactions.codex_home.request import holds_password
from mlactions.confidential import without_secrets
from mlactions.errors import UserError

PASSWORD_IN_URL = re.compile(r"[a-z]://[^\s/@:$'\"]{0,200}:[^\s/@$'\"]{1,500}@", re.IGNORECASE)
"""Bounded, so that a line of any length is read once."""
_TOKEN_IN_URL = re.compile(r"://(?=[^\s/@]{0,200}\d)[\w-]{20,200}@")
"""A user alone, as long as no user's name is."""
_READ_LATER = re.compile(r"\$\{\{.*?\}\}|\$\{\w+\}|\$\w+|\$\([^()]*\)|\{\{?\w+\}\}?")
"""What is filled in when the workflow runs: variables, expressions, placeholders."""
_OPTION = re.compile(r"(?<!\S)--([A-Za-z][\w-]{0,80})[\s=]+(?=[^\s-])")
_NAMES_PLACE = re.compile(r".*[-_](file|path|dir|stdin|env|var|name|id)", re.IGNORECASE)
"""What tells where a secret lies, which is none."""


def shows_secret(text: str) -> bool:
    """Tell whether a text holds a password or a token itself, and no variable that does."""
    addresses = (text, _READ_LATER.sub("", text))
    if any(PASSWORD_IN_URL.search(item) or _TOKEN_IN_URL.search(item) for item in addresses):
        return True
    # A switch behind `password=` tells nothing; a port is no password, whatever `@` follows.
    inside = [found[0][2:] for found in _READ_LATER.finditer(text) if found[0].startswith("$(")]
    named = " ".join((_READ_LATER.sub("true", text), *inside)).replace("://", " ")
    named = _OPTION.sub(_as_setting, named)
    return without_secrets(named) != named


def _as_setting(option: re.Match[str]) -> str:
    return " " if _NAMES_PLACE.fullmatch(option[1]) else f"{option[1].replace('-', '_')}="


def check_open(name: str, text: str) -> str:
    """Return what a workflow may hold. Raises UserError, which says `name` and not the text."""
    if shows_secret(text):
        message = f"{name} holds a password or a token, and workflows are read by everybody."
        hint = "Take it out, and let the command read a variable or a file of the runner."
        raise UserError("bad input", message, hint)
    return text


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
