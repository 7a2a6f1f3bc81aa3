"""The audit on code of others: labelled places in pinned packages, held against the record."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dev.audit_others import (
    FOLDER,
    PACKAGES,
    TABLE,
    Hit,
    find,
    folders,
    measure,
    read_labels,
    table,
)
from dev.audited import main, read_pins
from mlactions.audit.rules import FAMILIES, RULES

LABELS = read_labels()

fetched = pytest.mark.skipif(
    not (PACKAGES / "ready").is_file(),
    reason="the pinned packages are not in .tools/audited: `make test` fetches them",
)


@pytest.fixture(scope="module")
def hits() -> frozenset[Hit]:
    return find({label.package for label in LABELS})


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"audit"}))
def test_a_family_has_thirty_labels_of_both_kinds(family: str) -> None:
    own = [label for label in LABELS if label.family == family]
    kinds = Counter(label.expected for label in own)
    assert set(kinds) == {"finding", "none"}
    assert len(own) >= 30
    assert min(kinds.values()) >= 5, kinds
    per_file = Counter((label.package, label.file) for label in own)
    assert max(per_file.values()) <= 8, per_file.most_common(1)


def test_labels_are_about_pinned_packages_and_rules_and_each_place_once() -> None:
    pinned = {pin.name for pin in read_pins((FOLDER / "packages.txt").read_text())}
    assert {label.package for label in LABELS} <= pinned
    assert not [label for label in LABELS if RULES[label.rule].family != label.family]
    assert not [hit for hit, times in Counter(label.hit for label in LABELS).items() if times > 1]
    assert not [label for label in LABELS if not label.why.strip()]


@fetched
def test_every_labelled_place_exists() -> None:
    lines: dict[tuple[str, str], int] = defaultdict(int)
    for package, file in {(label.package, label.file) for label in LABELS}:
        content = (folders()[package] / file).read_bytes()
        lines[package, file] = content.count(b"\n") + (not content.endswith(b"\n"))
    assert not [label.said() for label in LABELS if not 1 <= label.line <= lines[label.hit[:2]]]


@fetched
def test_precision_and_recall_are_those_of_the_record(hits: frozenset[Hit]) -> None:
    """`make docs` writes the record anew, also into the documentation."""
    assert "\n".join(table(measure(LABELS, hits))) + "\n" == TABLE.read_text(encoding="utf-8")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing about requests."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a package index with one archive, which holds a file and a link; yield its hash."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, link in (("thing-1.0/train.py", ""), ("thing-1.0/out.py", "/etc/passwd")):
            member = tarfile.TarInfo(name)
            member.size = 0 if link else 6
            member.type, member.linkname = (
                (tarfile.SYMTYPE, link) if link else (tarfile.REGTYPE, "")
            )
            archive.addfile(member, io.BytesIO(b"x = 1\n"))
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    root = tmp_path / "index"
    (root / "thing").mkdir(parents=True)
    (root / "thing-1.0.tar.gz").write_bytes(packed.getvalue())
    file = {"filename": "thing-1.0.tar.gz", "url": "../thing-1.0.tar.gz"}
    page = {"files": [{**file, "hashes": {"sha256": digest}}]}
    (root / "thing" / "index.html").write_text(json.dumps(page))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield digest
    server.shutdown()
    server.server_close()


def test_a_package_is_unpacked_once_without_links_and_as_if_committed(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pins, target = tmp_path / "packages.txt", tmp_path / "audited"
    assert main(["--pin", "Thing"]) == 0
    pins.write_text(capsys.readouterr().out)
    assert pins.read_text() == f"Thing==1.0 --hash=sha256:{index}\n"
    (target / "older-0.1").mkdir(parents=True)
    for _ in range(2):
        assert main([str(pins), str(target)]) == 0
    (unpacked,) = target.iterdir()
    listed = subprocess.check_output(["git", "-C", str(unpacked), "ls-files"], text=True)
    assert (unpacked.name, listed) == ("Thing-1.0", "train.py\n")


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"thing==1.0 --hash=sha256:{'0' * 64}", "no file with the pinned hash"),
        (f"absent==1.0 --hash=sha256:{'0' * 64}", "404"),
        ("thing==1.0", "no pin with a hash"),
    ],
)
def test_what_cannot_be_had_is_said(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pins = tmp_path / "packages.txt"
    pins.write_text(f"# why\n\n{line}\n")
    assert main([str(pins), str(tmp_path / "audited")]) == 1
    assert said in capsys.readouterr().err
