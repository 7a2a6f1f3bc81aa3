"""What holds secrets, told by its name and its looks: it is neither kept nor shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

from mlactions.values import canonical_key, dotted, flatten, parse

HIDDEN = "(hidden)"

_WORD = re.compile(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_SECRET_WORDS = frozenset(
    (
        *("password", "passwd", "passphrase", "passcode", "pwd", "secret", "secrets", "dsn"),
        *("credential", "credentials", "apikey", "accesskey", "privatekey", "secretkey"),
    )
)
_SECRET_PAIRS = frozenset(
    (
        *(("connection", "string"), ("conn", "str"), ("api", "key"), ("access", "key")),
        *(("private", "key"), ("secret", "key"), ("signing", "key"), ("encryption", "key")),
        *(("account", "key"), ("auth", "key"), ("shared", "key"), ("master", "key")),
        *(("deploy", "key"), ("ssh", "key"), ("license", "key")),
    )
)
_SERVICES = frozenset(
    (
        *("anthropic", "aws", "azure", "clearml", "cohere", "comet", "databricks", "gcp", "gcs"),
        *("gemini", "github", "gitlab", "google", "hf", "hub", "huggingface", "kaggle", "minio"),
        *("mlflow", "neptune", "openai", "s3", "sentry", "slack", "telegram", "wandb"),
    )
)
_TOKENS = frozenset({"token", "pat", "pass", "jwt", "bearer"})
_ORDINARY_TOKENS = frozenset(
    (
        *("pad", "padding", "eos", "bos", "sos", "unk", "unknown", "mask", "masked", "sep"),
        *("separator", "cls", "class", "dist", "distillation", "register", "prefix", "suffix"),
        *("additional", "special", "image", "audio", "video", "visual", "text", "word", "sub"),
        *("patch", "prompt", "total", "new", "num", "n", "per", "by", "each", "first", "last"),
        *("max", "min", "next", "prev", "start", "begin", "end", "stop", "query", "latent"),
        *("memory", "pool", "time", "summary", "sentinel", "space", "forward", "backward"),
        *("single", "multi"),
    )
)
Kind = Literal["secret", "perhaps", "open"]

_SPECIAL = re.compile(r"\[.{0,40}\]|<.{0,40}>", re.DOTALL)

_USER = re.compile(r"(?<=://)[^\s/?#@:'\"]*:[^\s'\"]*@")
"""`user:password@`: up to the last `@`, because clients take passwords with `/` and `@`."""

_KNOWN = re.compile(
    r"\b(?:sk-[\w-]{16,}|hf_\w{16,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}|xox[abeprs]-[\w-]{10,}|dapi[0-9a-f]{16,}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*)|-----BEGIN[A-Z ]* PRIVATE KEY-----.*",
    re.DOTALL,
)
_NAME = re.compile(r"([A-Za-z][\w.-]{1,80})[\"']?\s*[=:]\s*")
_VALUE = re.compile(r"\"[^\"]*\"?|'[^']*'?|[{(\[].*|[^\s,;&\"'{(\[)\]}]+", re.DOTALL)
"""What stands behind a name: text in quotes, a collection, whose end nobody can tell, or a word."""


def is_secret(name: str) -> bool:
    """Tell whether a setting of this name holds a secret; those of tokenizers are no secrets."""
    return _kind(canonical_key(name)) != "open"


def hides(name: str, value: Any) -> bool:
    """Tell whether a setting is a secret: by its name, unless its value cannot be one.

    A switch or nothing at all tells nothing. Where a name could be either, as `class_token` or
    `db_pass`, neither does a number, nor a tokenizer's `<pad>`.
    """
    kind = _kind(canonical_key(name))
    found = parse(value) if isinstance(value, str) else value
    if kind == "open" or found is None or isinstance(found, bool):
        return False
    if kind == "secret":
        return True
    return not (
        isinstance(found, int | float)
        or (isinstance(value, str) and _SPECIAL.fullmatch(value.strip()))
    )


@lru_cache(maxsize=16_384)
def _kind(name: str) -> Kind:
    """Return the weightiest of a name's places: what lies below a secret is one, too."""
    parts = name.split(".")
    kinds = {_kind_of_words(".".join(parts[: at + 1])) for at in range(len(parts))}
    return "secret" if "secret" in kinds else "perhaps" if "perhaps" in kinds else "open"


def _kind_of_words(name: str) -> Kind:
    words = [_singular(word.lower()) for word in _WORD.findall(name)]
    if not words or _SECRET_WORDS.intersection(words):
        return "secret" if words else "open"
    if any(pair in _SECRET_PAIRS for pair in pairwise(words)):
        return "secret"
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "key" and _SERVICES.intersection(words):
        return "perhaps"
    return "perhaps" if last in _TOKENS and before not in _ORDINARY_TOKENS else "open"


def _singular(word: str) -> str:
    return word[:-1] if word in {"keys", "tokens", "passwords", "pats", "jwts"} else word


def masked(params: Mapping[str, str]) -> dict[str, str]:
    """Return logged parameters: hidden where they are secrets, or where their values hold one."""
    return {name: shown(name, text) for name, text in params.items()}


def shown(name: str, text: str) -> str:
    """Return a logged value as it may be shown."""
    if hides(name, text):
        return HIDDEN
    value: Any = parse(text)
    if isinstance(value, dict | list):
        inside = ((f"{name}.{dotted(place)}", item) for place, item in flatten(value))
        return HIDDEN if any(hides(key, item) for key, item in inside) else without_secrets(text)
    if not isinstance(value, str):
        return text
    open_text = without_secrets(text)
    # What looks like a mapping, and is none that we can read, may go on behind what was found.
    return HIDDEN if open_text != text and text.lstrip()[:1] in {"{", "[", "("} else open_text


def shown_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return a command's arguments as they may be shown: `--name value` and `name=value`."""
    found: list[str] = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        option = before if before.startswith("-") and "=" not in before else ""
        is_value = option and not argument.startswith("-")
        hidden = is_value and hides(option.lstrip("-").replace("-", "_"), argument)
        found.append(HIDDEN if hidden else _shown_pair(argument))
    return tuple(found)


def _shown_pair(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if equals and hides(name.lstrip("-+~").replace("-", "_"), value):
        return f"{name}={HIDDEN}"
    return without_secrets(argument)


@lru_cache(maxsize=65_536)
def without_secrets(text: str) -> str:
    """Return a text with its secrets hidden: of URLs, of `password=…`, and of well-known looks."""
    found = _USER.sub(f"{HIDDEN}@", text) if "://" in text else text
    found = _KNOWN.sub(HIDDEN, found)
    return "".join(_without_named(found)) if "=" in found or ":" in found else found


def _without_named(text: str) -> Iterator[str]:
    """Yield the text, with the values hidden that stand behind names of secrets."""
    written = 0
    for name in _NAME.finditer(text):
        value = _VALUE.match(text, name.end())
        if value is None or name.start() < written or value[0].startswith(HIDDEN):
            continue
        if hides(name[1], value[0].strip("\"'")):
            yield text[written : name.end()] + HIDDEN
            written = value.end()
    yield text[written:]
