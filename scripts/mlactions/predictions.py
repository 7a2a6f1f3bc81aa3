"""The predictions file: one row per item, an `id` and one number per score, as CSV or JSON lines.

Whoever measures and whoever decides read it here, as strictly: what one accepts, the other can
pair. Rows are read one by one, in linear time.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mlactions.bundle import MAX_FILE_BYTES
from mlactions.metrics import as_json, kind, problem_of

ID = "id"
CORRECT = "correct"
MAX_ITEMS = 1_000_000
MAX_CHARACTERS = 10_000
"""Of one id or cell."""

_BOOLEANS = {"true": 1.0, "false": 0.0}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class PredictionsError(Exception):
    """Predictions that cannot be used: a reason code, and a sentence without its full stop.

    `line` counts from 1; None where the file as a whole is meant.
    """

    def __init__(self, reason: str, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.reason, self.message, self.line = reason, message, line


@dataclass(frozen=True, slots=True)
class Item:
    """What was predicted for one item: finite numbers by column, in the file's order."""

    id: str
    scores: Mapping[str, float]


def is_json_lines(path: Path) -> bool:
    """Tell the format by its first character: a file's name may be ours, its content is not."""
    with path.open("rb") as stream:
        return _starts_json(stream)


def read_predictions(path: Path) -> Iterator[Item]:
    """Yield every item of a file.

    Raises PredictionsError that names file, line and column: for an id that is missing or comes
    twice, a column that does, rows with other columns than the first, a value that is no finite
    number, a `correct` other than 0 and 1, and a file without an item or a score.
    """
    try:
        yield from _items(path)
    except PredictionsError as error:
        where = f"{path.name}, line {error.line}" if error.line else path.name
        raise PredictionsError(error.reason, f"{where}: {error.message}", error.line) from None


def _items(path: Path) -> Iterator[Item]:
    lines: dict[str, int] = {}
    columns: list[str] | None = None
    for line, row in _rows(path):
        item = _item(row, line)
        if columns is None:
            columns = [_text(name, "a column's name", line) for name in item.scores]
        elif item.scores.keys() != set(columns):
            raise _broken("its columns differ from the first row's", line)
        _remember(item.id, line, lines)
        yield item
    if not columns:
        raise PredictionsError("predictions-empty", "there is no row, or no score beside `id`")


def _remember(name: str, line: int, lines: dict[str, int]) -> None:
    before = lines.setdefault(name, line)
    if before != line:
        found = f"`id` {as_json(name)} is on line {before} already"
        raise PredictionsError("duplicate-id", found, line)
    if len(lines) > MAX_ITEMS:
        raise PredictionsError("predictions-too-many", f"more than {MAX_ITEMS:,} items", line)


def _item(row: dict[str, Any], line: int) -> Item:
    name = row.pop(ID, None)
    if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
        raise PredictionsError("no-id", "the row has no `id`, a text or a whole number", line)
    name = _text(str(name), "`id`", line)
    for column, value in row.items():
        number = float(value) if isinstance(value, bool) else value
        if reason := problem_of(number) or _not_binary(column, number):
            raise _broken(f"{_named(column)} is {_quoted(value)} ({reason})", line)
        row[column] = float(number)
    return Item(name, row)


def _text(text: str, what: str, line: int) -> str:
    if len(text) > MAX_CHARACTERS:
        raise _broken(f"{what} has more than {MAX_CHARACTERS:,} characters", line)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _broken(f"{what} holds half of a surrogate pair", line) from None
    return text


def _not_binary(column: str, number: float) -> str:
    return "not 0 or 1" if column == CORRECT and number not in {0, 1} else ""


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row with its line; every value as the file has it."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _broken(f"larger than {MAX_FILE_BYTES // 2**20} MiB", None)
        with path.open("rb") as stream:
            read = _json_lines if _starts_json(stream) else _csv
            stream.seek(0)
            yield from read(stream)
    except OSError as error:
        raise _broken(f"cannot be read: {(error.strerror or 'failed').lower()}", None) from None


def _starts_json(stream: BinaryIO) -> bool:
    return stream.read(256).removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"{")


def _decoded(stream: Iterable[bytes]) -> Iterator[str]:
    for number, raw in enumerate(stream, 1):
        try:
            yield (raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw).decode()
        except UnicodeDecodeError as error:
            raise _broken(f"byte {error.start} is not UTF-8", number) from None


def _json_lines(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(_decoded(stream), 1):
        if text.isspace():
            continue
        try:
            row = json.loads(text, object_pairs_hook=_mapping)
        except _TwiceError as error:
            raise _broken(f"{_named(error.args[0])} is written twice", number) from None
        except json.JSONDecodeError:
            raise _broken("not valid JSON", number) from None
        except ValueError:  # Python refuses integers of more than 4,300 digits
            raise _broken("a number has thousands of digits", number) from None
        except RecursionError:
            raise _broken("nested too deeply", number) from None
        if not isinstance(row, dict):
            raise _broken("not an object", number)
        yield number, row


class _TwiceError(Exception):
    pass


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError(_first_twice(key for key, _ in pairs))
    return found


def _first_twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # add() returns None


def _csv(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(MAX_CHARACTERS)
    reader = csv.reader(_decoded(stream), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise _broken(f"the column {_named(_first_twice(header))} comes twice", 1)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                message = f"{len(cells)} cells under {len(header)} columns"
                raise _broken(message, reader.line_num)
            pairs = zip(header, cells, strict=True)
            yield reader.line_num, {k: v if k == ID else _number(v) for k, v in pairs}
    except csv.Error as error:
        raise _broken(f"not valid CSV: {error}", reader.line_num) from None


def _number(text: str) -> float | str:
    """Read a cell; booleans are written in many ways, and are scores too."""
    known = _BOOLEANS.get(text.strip().lower())
    if known is not None:
        return known
    try:
        return text if "_" in text else float(text)
    except ValueError:
        return text


def _named(column: str) -> str:
    return f"`{as_json(column)[1:-1]}`"


def _quoted(value: Any) -> str:
    return f"a {kind(value)}" if isinstance(value, dict | list) else as_json(value)


def _broken(message: str, line: int | None) -> PredictionsError:
    return PredictionsError("predictions-broken", message, line)
