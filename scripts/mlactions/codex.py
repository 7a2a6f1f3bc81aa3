"""The Codex CLI: what it is asked with, its command line, the sandbox it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from mlactions.errors import UserError

TESTED_VERSION = "0.169.0"
"""The Codex CLI that our tests call."""

KEY_VARIABLE = "CODEX_API_KEY"
"""Where `codex exec` looks for an API key when nobody has logged in."""

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9a-z.]+)?")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")
_ACCOUNT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98})(?:\[bot\])?")


@dataclass(frozen=True)
class Endpoint:
    """A Responses API other than OpenAI's: base address and query parameters (Azure's version)."""

    base_url: str
    query: tuple[tuple[str, str], ...] = ()


def parse_endpoint(text: str, *, field: str) -> Endpoint:
    """Read the full address of a Responses API, as codex-action takes it.

    Raises UserError unless it is http(s), ends in `/responses` and holds no credentials.
    """
    hint = "Write for example https://NAME.openai.azure.com/openai/v1/responses."
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UserError("bad input", f"`{field}` has characters that no address has.", hint)
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise UserError("bad input", f"`{field}` is no address: {error}.", hint) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UserError("bad input", f"`{field}` is {text!r}, not an http(s) address.", hint)
    if parts.username or parts.password or parts.fragment:
        raise UserError("bad input", f"`{field}` holds a user name, a password or a `#`.", hint)
    if not parts.path.endswith("/responses"):
        raise UserError("bad input", f"`{field}` is {text!r}; it must end in /responses.", hint)
    base = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/responses')}"
    return Endpoint(base, tuple(parse_qsl(parts.query, keep_blank_values=True)))


def exec_arguments(
    *,
    directory: Path,
    schema: Path,
    answer: Path,
    model: str = "",
    effort: str = "",
    sandbox: str = "read-only",
) -> list[str]:
    """Return the command line codex-action uses, with the prompt on standard input."""
    command = ["codex", "exec", "--skip-git-repo-check", "--cd", str(directory)]
    command += ["--output-last-message", str(answer), "--output-schema", str(schema)]
    command += ["--model", model] if model else []
    command += ["--config", f'model_reasoning_effort="{effort}"'] if effort else []
    return [*command, "--strict-config", "--sandbox", sandbox]


def check_version(text: str, *, field: str) -> str:
    """Accept one exact version: an empty one would let codex-action install the newest."""
    if not _VERSION.fullmatch(text):
        raise UserError(
            "bad input",
            f"`{field}` is {text!r}, not one exact version.",
            "Write for example 0.169.0.",
        )
    return text


def check_plain(text: str, *, field: str) -> str:
    """Accept an empty value or a model or effort name."""
    if text and not _PLAIN.fullmatch(text):
        raise UserError(
            "bad input",
            f"`{field}` is {text!r}.",
            "Use letters, digits and `.`, `_`, `:`, `/`, `-`, at most 100 characters.",
        )
    return text


def check_accounts(text: str, *, field: str) -> str:
    """Accept account names between commas; a wildcard would let anyone spend the key."""
    for name in (part.strip() for part in text.split(",")):
        if name and not _ACCOUNT.fullmatch(name):
            raise UserError(
                "bad input",
                f"`{field}` has {name!r}, which is no account name.",
                "Name each account, with commas between them; `*` is not allowed.",
            )
    return text


_PROBE = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true")
_SWITCHES = (
    ("user/max_user_namespaces", "0"),
    ("kernel/unprivileged_userns_clone", "0"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1"),
)


def sandbox_fault(
    environ: Mapping[str, str],
    *,
    probe: Sequence[str] = _PROBE,
    switches: Path = Path("/proc/sys"),
) -> str:
    """Say why Codex's sandbox cannot start on this machine, or nothing if it can.

    Without user namespaces every command of Codex fails and `codex exec` still exits 0. On
    GitHub's own runners codex-action lifts the restriction itself, so nothing is probed there.
    """
    if sys.platform != "linux" or environ.get("RUNNER_ENVIRONMENT") == "github-hosted":
        return ""
    closed = [f"{name} is {bad}" for name, bad in _SWITCHES if _read(switches / name) == bad]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return "; ".join(closed)
    if done.returncode == 0:
        return ""
    return "; ".join([*closed, " ".join(done.stderr.split())[:200]])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
