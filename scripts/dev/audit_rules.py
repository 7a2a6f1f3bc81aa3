"""How good the audit's rules are: labelled snippets, precision and recall by family.

`tests/cases/audit/snippets/<family>.txt` holds snippets. `=== name` begins one, `--- path` a file
of it (`snippet.py` where none is named), `--- path BYTES` an empty file of that size. A line that
ends with `#~ rule` has to be found by that rule; `!lines N rule` says so for files that hold no
comments. Whatever else the family's rules find there is a false alarm.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.audit_others import TABLE
from mlactions.audit.engine import audit
from mlactions.audit.files import take_stock
from mlactions.audit.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "cases" / "audit" / "snippets"
_MARK = re.compile(r"\s*#~ ([a-z-]+)$")
_SIZED = re.compile(r"(.+) (\d+)")
_AT = re.compile(r"!lines (\d+) ([a-z-]+)")

Hit = tuple[str, int, str]


@dataclass(frozen=True)
class Snippet:
    """A few files, and what has to be found in them: file, line, rule."""

    family: str
    name: str
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    expected: frozenset[Hit]


@dataclass(frozen=True)
class Quality:
    """Of one family: snippets, and findings that are right, wrong and missing."""

    snippets: int
    right: int
    wrong: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def precision(self) -> float:
        """The share of findings that are right."""
        return self.right / (self.right + len(self.wrong)) if self.right else 0.0

    @property
    def recall(self) -> float:
        """The share of labels that were found."""
        return self.right / (self.right + len(self.missing)) if self.right else 0.0


def read_snippets(folder: Path = FOLDER) -> tuple[Snippet, ...]:
    """Return every labelled snippet."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        for part in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, body = part.partition("\n")
            found.append(_snippet(path.stem, name, body))
    return tuple(found)


def _snippet(family: str, name: str, body: str) -> Snippet:
    files: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    expected: set[Hit] = set()
    current = "snippet.py"
    for line in body.splitlines():
        if line.startswith("--- "):
            current = line[4:]
            if sized := _SIZED.fullmatch(current):
                current = sized[1]
                sizes[current] = int(sized[2])
            files.setdefault(current, [])
        elif at := _AT.fullmatch(line):
            expected.add((current, int(at[1]), at[2]))
        else:
            rows = files.setdefault(current, [])
            if mark := _MARK.search(line):
                expected.add((current, len(rows) + 1, mark[1]))
            rows.append(_MARK.sub("", line))
    texts = {path: "\n".join(rows) + "\n" for path, rows in files.items() if path not in sizes}
    return Snippet(family, name, texts, sizes, frozenset(expected))


def find(snippet: Snippet, folder: Path) -> frozenset[Hit]:
    """Return what the family's rules find in a snippet that is laid into an empty folder."""
    for path, text in snippet.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for path, size in snippet.sizes.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("wb") as stream:
            stream.truncate(size)
    if snippet.family == "repository":
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    found = audit(take_stock(folder, ["."])).findings
    return frozenset(
        (item.file, item.place.line, item.rule)
        for item in found
        if RULES[item.rule].family == snippet.family
    )


def measure(snippets: Sequence[Snippet]) -> dict[str, Quality]:
    """Return the quality of each family."""
    found: dict[str, Quality] = {}
    for family in sorted({snippet.family for snippet in snippets}):
        own = [snippet for snippet in snippets if snippet.family == family]
        right, wrong, missing = 0, [], []
        for snippet in own:
            with tempfile.TemporaryDirectory() as folder:
                hits = find(snippet, Path(folder))
            right += len(hits & snippet.expected)
            wrong += [_said(snippet, hit) for hit in sorted(hits - snippet.expected)]
            missing += [_said(snippet, hit) for hit in sorted(snippet.expected - hits)]
        found[family] = Quality(len(own), right, tuple(wrong), tuple(missing))
    return found


def _said(snippet: Snippet, hit: Hit) -> str:
    return f"{snippet.name}: {hit[0]}:{hit[1]} {hit[2]}"


def table(quality: Mapping[str, Quality]) -> Iterator[str]:
    """Yield the lines of the table in the documentation."""
    yield "| family | snippets | labelled findings | found | false alarms | precision | recall |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    total = Quality(
        sum(item.snippets for item in quality.values()),
        sum(item.right for item in quality.values()),
        tuple(text for item in quality.values() for text in item.wrong),
        tuple(text for item in quality.values() for text in item.missing),
    )
    for name, item in [*quality.items(), ("**all**", total)]:
        labels = item.right + len(item.missing)
        yield (
            f"| {name} | {item.snippets} | {labels} | {item.right} | {len(item.wrong)}"
            f" | {item.precision:.3f} | {item.recall:.3f} |"
        )


def documentation(name: str) -> Iterator[str]:
    """Yield a table of the documentation: `rules`, their `quality`, or that on code of `others`."""
    if name == "others":
        yield from TABLE.read_text(encoding="utf-8").splitlines()
        return
    if name == "quality":
        yield from table(measure(read_snippets()))
        return
    yield "| rule | level | what it finds |"
    yield "|---|---|---|"
    for rule in RULES.values():
        yield f"| [`{rule.id}`]({rule.link}) | {rule.level} | {rule.family}: {rule.title} |"


def main() -> None:
    """Print the table, and what is wrong or missing."""
    quality = measure(read_snippets())
    print("\n".join(table(quality)))
    for family, item in quality.items():
        for text in item.wrong:
            print(f"false alarm  {family}: {text}")
        for text in item.missing:
            print(f"missed       {family}: {text}")


if __name__ == "__main__":
    main()
