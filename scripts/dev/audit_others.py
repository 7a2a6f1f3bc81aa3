"""How good the audit's rules are on code of others: labelled places in pinned packages.

`tests/cases/audit/others/<family>.yaml` lists places: package, file, line and rule, and what a
careful reader expects there, a `finding` or `none`. The packages lie in `.tools/audited`, where
`scripts/dev/audited.sh` installs them.

    audit_others.py            print the table, and each label that the audit does not meet
    audit_others.py --write    record the table, which the tests and the documentation hold
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlactions.audit.engine import audit
from mlactions.audit.files import take_stock

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "cases" / "audit" / "others"
TABLE = FOLDER / "table.md"
PACKAGES = ROOT / ".tools" / "audited"

Hit = tuple[str, str, int, str]


@dataclass(frozen=True)
class Label:
    """What is right at a place: that a rule speaks there, or that it is silent."""

    family: str
    package: str
    file: str
    line: int
    rule: str
    expected: str
    why: str

    @property
    def hit(self) -> Hit:
        """The finding that the label is about."""
        return self.package, self.file, self.line, self.rule

    def said(self) -> str:
        """Return it in one line."""
        return f"{self.package}/{self.file}:{self.line} {self.rule}: {self.why}"


@dataclass(frozen=True)
class Quality:
    """Of one family: its labels, and those that the audit meets or does not."""

    labels: int
    packages: int
    right: int
    wrong: tuple[Label, ...]
    missing: tuple[Label, ...]

    def row(self, name: str) -> str:
        """Return a row of the table."""
        expected = self.right + len(self.missing)
        found = self.right + len(self.wrong)
        return (
            f"| {name} | {self.labels} | {self.packages} | {expected} | {self.right}"
            f" | {len(self.wrong)} | {_share(self.right, found)} | {_share(self.right, expected)} |"
        )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "–"


def read_labels(folder: Path = FOLDER) -> tuple[Label, ...]:
    """Return every label. Raises TypeError for one that lacks a field or has another."""
    return tuple(
        Label(family=path.stem, **item)
        for path in sorted(folder.glob("*.yaml"))
        for item in yaml.safe_load(path.read_text(encoding="utf-8"))
    )


def folders(root: Path = PACKAGES) -> dict[str, Path]:
    """Return the folder of each pinned package."""
    pins = re.findall(r"^([\w.-]+)==(\S+)", (FOLDER / "packages.txt").read_text(), re.MULTILINE)
    return {name: root / f"{name}-{version}" for name, version in pins}


def find(packages: Iterable[str], root: Path = PACKAGES) -> frozenset[Hit]:
    """Audit packages, each as its authors would, and return what is found."""
    places = folders(root)
    return frozenset(
        (name, item.file, item.place.line, item.rule)
        for name in sorted(packages)
        for item in audit(take_stock(places[name], ["."])).findings
    )


def measure(labels: Sequence[Label], hits: frozenset[Hit]) -> dict[str, Quality]:
    """Return the quality of each family, and of all."""
    names = sorted({label.family for label in labels})
    parts = {name: [label for label in labels if label.family == name] for name in names}
    return {name: _quality(own, hits) for name, own in {**parts, "**all**": list(labels)}.items()}


def _quality(labels: Sequence[Label], hits: frozenset[Hit]) -> Quality:
    wanted = [label for label in labels if label.expected == "finding"]
    return Quality(
        labels=len(labels),
        packages=len({label.package for label in labels}),
        right=sum(label.hit in hits for label in wanted),
        wrong=tuple(item for item in labels if item.expected == "none" and item.hit in hits),
        missing=tuple(label for label in wanted if label.hit not in hits),
    )


def table(quality: Mapping[str, Quality]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield (
        "| family | labels | packages | labelled findings | found | false alarms | precision"
        " | recall |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, item in quality.items():
        yield item.row(name)


def main(arguments: Sequence[str]) -> None:
    """Print the table and what is wrong or missing, or record the table."""
    labels = read_labels()
    quality = measure(labels, find({label.package for label in labels}))
    text = "\n".join(table(quality)) + "\n"
    if "--write" in arguments:
        TABLE.write_text(text, encoding="utf-8", newline="\n")
        return
    print(text)
    for name, item in quality.items():
        if name != "**all**":
            print("\n".join(f"false alarm  {label.said()}" for label in item.wrong))
            print("\n".join(f"missed       {label.said()}" for label in item.missing))


if __name__ == "__main__":
    main(sys.argv[1:])
