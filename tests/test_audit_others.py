"""The audit on code of others: labelled places in pinned packages, held against the record."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from dev.audit_others import (
    PACKAGES,
    TABLE,
    Hit,
    find,
    folders,
    measure,
    read_labels,
    table,
)
from mlactions.audit.rules import FAMILIES, RULES

LABELS = read_labels()

fetched = pytest.mark.skipif(
    not (PACKAGES / "ready").is_file(),
    reason="the pinned packages are not in .tools/audited: `make test` installs them",
)


@pytest.fixture(scope="module")
def hits() -> frozenset[Hit]:
    return find({label.package for label in LABELS})


OUTSIDE = {"dependencies", "repository"}
"""What these judge lies beside a package, not in it: they have our own snippets alone."""


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"audit"} - OUTSIDE))
def test_a_family_has_thirty_labels_of_both_kinds(family: str) -> None:
    own = [label for label in LABELS if label.family == family]
    kinds = Counter(label.expected for label in own)
    assert set(kinds) == {"finding", "none"}
    assert len(own) >= 30
    assert min(kinds.values()) >= 5, kinds
    per_file = Counter((label.package, label.file) for label in own)
    assert max(per_file.values()) <= 8, per_file.most_common(1)


def test_labels_are_about_pinned_packages_and_rules_and_each_place_once() -> None:
    assert {label.package for label in LABELS} == set(folders())
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
