"""Strict reading of JSON and YAML: duplicate keys, alias bombs and oversized files are refused."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.strict_yaml import Keys, parse_yaml
from mlactions.yaml_lines import line_of

MAX_BYTES = 5 * 1024 * 1024
__all__ = [
    "Keys",
    "canonical",
    "line_of",
    "load_json",
    "load_yaml",
    "parse_json",
    "parse_yaml",
    "read_text",
    "resource",
    "schema",
    "validate",
]


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Return a UTF-8 file's text; missing, oversized, linked or binary files are user errors."""
    name = str(path)
    try:
        about = path.stat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            raise UserError("not a file", "this is a device, pipe or socket.", file=name)
        if about.st_size > max_bytes:
            raise UserError("file too large", f"more than {max_bytes:,} bytes.", file=name)
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError("file not found", "there is no such file.", file=name) from None
    except IsADirectoryError:
        raise UserError("not a file", "this is a folder.", file=name) from None
    except UnicodeDecodeError as error:
        raise UserError("not text", f"byte {error.start} is not UTF-8.", file=name) from None
    except OSError as error:
        raise UserError("cannot read", f"{error.strerror}.", file=name) from None


def load_yaml(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read one YAML document from a file."""
    return parse_yaml(read_text(path, max_bytes=max_bytes), name=str(path))


def load_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read one JSON document from a file."""
    return parse_json(read_text(path, max_bytes=max_bytes), name=str(path))


def parse_json(text: str, *, name: str) -> Any:
    """Parse JSON strictly. NaN and Infinity become floats, so that callers can name them.

    Raises UserError for syntax errors and duplicate keys.
    """

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _DuplicateKeyError(_first_duplicate([key for key, _ in pairs]))
        return found

    try:
        return json.loads(text, object_pairs_hook=mapping)
    except _DuplicateKeyError as error:
        raise UserError(
            "duplicate key",
            f"`{error.key}` is written twice in one object.",
            "Keep one of them.",
            file=name,
            line=_second_line(text, error.key),
        ) from None
    except json.JSONDecodeError as error:
        message = "the file is empty" if not text.strip() else error.msg[:1].lower() + error.msg[1:]
        raise UserError("not valid JSON", f"{message}.", file=name, line=error.lineno) from None
    except ValueError:
        # Python refuses to read integers of more than 4,300 digits: doing so takes quadratic time.
        raise UserError("not valid JSON", "a number has thousands of digits.", file=name) from None
    except RecursionError:
        raise UserError("not valid JSON", "nested too deeply.", file=name) from None


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _first_duplicate(keys: list[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _second_line(text: str, key: str) -> int | None:
    """Return the line on which an object has the key again. JSON is YAML, which knows its lines."""
    try:
        parse_yaml(text, name="")
    except UserError as error:
        if error.title == "duplicate key" and error.message.startswith(f"`{key}` "):
            return error.line
    return None


def resource(name: str) -> Path:
    """Return a file of this repository (`schemas/…`, `actions/…`), also when installed."""
    package = Path(__file__).resolve().parent
    checkout = package.parent.parent / name
    return checkout if checkout.exists() else package / "resources" / name


@cache
def schema(name: str) -> dict[str, Any]:
    """Return one of our JSON Schemas: a file next to the code, or under `schemas/`."""
    own = Path(__file__).resolve().parent / "schemas" / f"{name}.schema.json"
    path = own if own.exists() else resource(f"schemas/{name}.schema.json")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # our own file


def validate(document: Any, name: str, *, file: str) -> None:
    """Check a document against one of our schemas; the first violation becomes a UserError."""
    from jsonschema import Draft202012Validator  # 90 ms to import: only who validates pays
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema(name)).iter_errors(document))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or "the document"
        raise UserError(f"not a valid {name} file", f"{place}: {_short(error.message)}", file=file)


def _short(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"


def canonical(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON with one spelling for equal documents: sorted keys, no spaces, no NaN."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
