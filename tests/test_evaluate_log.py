"""What is kept and shown of an evaluation's output."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.evaluate.logfile import Log, tail
from mlactions.evaluate.records import Place
from mlactions.evaluate.tracebacks import find_place, last_exception


def test_a_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with Log(path, limit=2000) as log:
        for number in range(10_000):
            log.write(f"line {number}\n".encode())

    text = path.read_text()
    assert text.startswith("line 0\nline 1\n")
    assert text.endswith("line 9998\nline 9999\n")
    assert re.search(r"\n… \d+,\d+ bytes left out …\n", text)
    assert len(text) < 2100


@given(st.lists(st.binary(max_size=3000), max_size=30))
def test_a_short_log_is_kept_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    shown: list[str] = []
    with Log(path, limit=400_000, show=shown.append) as log:
        for part in parts:
            log.write(part)

    assert path.read_bytes() == b"".join(parts)
    assert all("\n" not in line and "\x1b" not in line for line in shown)
    assert all(len(line) <= 2000 for line in tail(path))
    assert len(tail(path)) <= 40


def test_lines_are_shown_when_they_are_complete(tmp_path: Path) -> None:
    shown: list[str] = []
    with Log(tmp_path / "log", show=shown.append) as log:
        log.write("grö".encode()[:3])
        log.write("ö".encode()[1:] + b"\xff\nne")
        assert shown == ["grö\ufffd"]
        log.write(b"xt\r\n\x1b[31mred\x1b[0m\n10%\r50%\r100%\n::set-output name=x::y\nend")

    assert shown == ["grö\ufffd", "next", "red", "100%", "::set-output name=x::y", "end"]


def test_the_tail_shows_what_a_terminal_would(tmp_path: Path) -> None:
    path = tmp_path / "log"
    bar = "\r".join(f"\x1b[2K{n}%|███| loss {n}" for n in range(100))
    path.write_bytes(
        f"a\n{bar}\n\n".encode()
        + b"\xff\xfe \x00 \x1b]0;title\x07 bell\a\n"
        + b"y" * 5000
        + b"\n\n"
    )

    assert tail(path) == ["a", "99%|███| loss 99", "", "\ufffd\ufffd   bell", "y" * 1999 + "…"]


TRACEBACK = """
Traceback (most recent call last):
  File "{root}/scripts/evaluate.py", line 3, in <module>
    main()
  File "scripts/model.py", line 2, in forward
    x @ y
  File "{root}/.venv/lib/python3.12/site-packages/torch/nn.py", line 99, in f
    raise
  File "/usr/lib/python3.12/json.py", line 1, in loads
RuntimeError: shapes do not match

During handling of the above exception, another exception occurred:
"""


def test_a_traceback_ends_at_the_users_own_line(tmp_path: Path) -> None:
    for name in (
        "scripts/evaluate.py",
        "scripts/model.py",
        ".venv/lib/python3.12/site-packages/torch/nn.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    text = TRACEBACK.format(root=tmp_path)

    assert find_place(text, root=tmp_path, folder=tmp_path) == Place("scripts/model.py", 2)
    assert find_place(text, root=tmp_path, folder=tmp_path / "x") == Place("scripts/evaluate.py", 3)
    assert find_place("no traceback", root=tmp_path, folder=tmp_path) is None
    assert last_exception(text.splitlines()) == "RuntimeError: shapes do not match"
    assert last_exception(["some words", ""]) == "some words"
    assert last_exception([]) == ""


HINT = "Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            (
                "Error executing job with overrides: []\nTraceback (most recent call last):\n"
                '  File "train.py", line 3, in main\n    log(uri)\n'
                f"mlflow.UnsupportedUri: no store at 'x'\nis that a URI?\n\n{HINT}"
            ),
            "mlflow.UnsupportedUri: no store at 'x'",
        ),
        (f"torch.OutOfMemoryError: 2 GiB\n\n{HINT}", "torch.OutOfMemoryError: 2 GiB"),
        (
            (
                "Could not override 'lr'.\nKey 'lr' is not in struct\n    full_key: lr\n"
                f"    object_type=dict\n\n{HINT}"
            ),
            "Key 'lr' is not in struct",
        ),
        (
            (
                "Traceback (most recent call last):\n  File 'a.py', line 1\nStopIteration\n"
                "wandb: Synced 5 files"
            ),
            "StopIteration",
        ),
        (HINT, HINT),
    ],
)
def test_why_a_program_failed_is_not_what_it_printed_last(said: str, expected: str) -> None:
    assert last_exception(said.splitlines()) == expected


@given(st.text())
def test_no_log_breaks_the_search_for_a_place(text: str) -> None:
    find_place(f'File "{text}", line 1\n{text}', root=Path.cwd(), folder=Path.cwd())
