"""The audit: every file read once, every rule tried, programs followed across files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlactions.audit.effects import summarize
from mlactions.audit.files import Inventory
from mlactions.audit.model import Audit, Finding, Skip, Summary, Suppression
from mlactions.audit.programs import programs
from mlactions.audit.project import Project
from mlactions.audit.rules import CHECKS, dependencies, own, repository
from mlactions.audit.source import Source, UnreadableError, parse_source
from mlactions.audit.suppress import apply, read_plain, read_suppressions

_HEAD = 64
_CUBLAS = re.compile(r"CUBLAS_WORKSPACE_CONFIG")
_SETTING_BYTES = 1024 * 1024


@dataclass
class _Work:
    """What is gathered on the way through the files."""

    findings: list[Finding] = field(default_factory=list)
    suppressions: list[Suppression] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    lines: int = 0
    files: int = 0


def audit(inventory: Inventory) -> Audit:
    """Return everything that is found in the files of an inventory."""
    work = _Work(skipped=list(inventory.skipped))
    for path in (*inventory.python, *inventory.notebooks):
        _read_source(inventory.root, path, work)
    for path in (*inventory.requirements, *inventory.projects):
        _read_list(inventory, path, work)
    if inventory.tracked:
        work.findings += repository.check(list(_checkpoints(inventory)))
    found, findings = programs(Project(work.summaries), _settings(inventory))
    work.findings += findings
    work.findings += [_not_audited(skip) for skip in work.skipped]
    work.findings = _unique(iter(work.findings))
    kept, silenced, about = apply(work.findings, work.suppressions)
    return Audit(
        findings=tuple(sorted([*kept, *about], key=_order)),
        suppressed=tuple(sorted(silenced, key=lambda pair: _order(pair[0]))),
        programs=tuple(found),
        skipped=tuple(sorted(work.skipped, key=lambda skip: (skip.file, skip.place.line))),
        files=work.files,
        lines=work.lines,
        tests=inventory.tests,
    )


def check_source(source: Source) -> Iterator[Finding]:
    """Yield what the rules about one file find in it."""
    for check in CHECKS:
        yield from check(source)


def _read_source(root: Path, path: str, work: _Work) -> None:
    try:
        source = parse_source(path, (root / path).read_bytes())
        findings = list(check_source(source))
        suppressions = read_suppressions(source)
        summary = summarize(source)
    except UnreadableError as error:
        work.skipped.append(Skip(path, str(error)))
        return
    except OSError as error:
        work.skipped.append(Skip(path, f"it cannot be read ({error.strerror})"))
        return
    except RecursionError:
        work.skipped.append(Skip(path, "it is nested too deeply"))
        return
    work.files += 1
    work.lines += len(source.lines)
    work.findings += findings
    work.suppressions += suppressions
    work.summaries.append(summary)
    if source.notebook is not None:
        work.skipped += [Skip(path, why, place) for place, why in source.notebook.unread]


def _read_list(inventory: Inventory, path: str, work: _Work) -> None:
    """Audit a requirements file or a pyproject.toml."""
    try:
        text = (inventory.root / path).read_bytes().decode("utf-8-sig")
        check = (
            dependencies.check_project
            if path.endswith(".toml")
            else dependencies.check_requirements
        )
        work.findings += check(path, text, inventory.locks)
    except UnicodeDecodeError as error:
        work.skipped.append(Skip(path, f"byte {error.start} is not UTF-8"))
        return
    except OSError as error:
        work.skipped.append(Skip(path, f"it cannot be read ({error.strerror})"))
        return
    except (ValueError, RecursionError) as error:
        work.skipped.append(Skip(path, f"it cannot be parsed ({error})"[:200]))
        return
    work.suppressions += read_plain(path, text)
    work.files += 1


def _checkpoints(inventory: Inventory) -> Iterator[tuple[str, int, bytes]]:
    for path in inventory.checkpoints:
        full = inventory.root / path
        try:
            if full.is_symlink() or not full.is_file():
                continue
            with full.open("rb") as stream:
                yield path, full.stat().st_size, stream.read(_HEAD)
        except OSError:
            continue  # gone, or not ours to read: git has it all the same


def _settings(inventory: Inventory) -> frozenset[str]:
    """Return what files other than Python set for every program."""
    for path in inventory.settings:
        full = inventory.root / path
        try:
            if full.stat().st_size <= _SETTING_BYTES and _CUBLAS.search(
                full.read_text(encoding="utf-8", errors="replace")
            ):
                return frozenset({"cublas"})
        except OSError:
            continue
    return frozenset()


def _not_audited(skip: Skip) -> Finding:
    rule = own.NOT_AUDITED
    text = f"This was not audited: {skip.why}."
    return Finding(rule.id, rule.level, skip.file, skip.place, text, skip.why)


def _unique(findings: Iterator[Finding]) -> list[Finding]:
    """Two programs, or two calls, that share a line share the finding."""
    kept: dict[tuple[object, ...], Finding] = {}
    for item in findings:
        kept.setdefault((item.rule, item.file, item.place, item.message), item)
    return list(kept.values())


_RANK = {"error": 0, "warning": 1, "note": 2}


def _order(finding: Finding) -> tuple[int, str, int, int, str, str]:
    place = finding.place
    return (
        _RANK[finding.level],
        finding.file,
        place.cell or 0,
        place.line,
        finding.rule,
        finding.message,
    )


def nothing(found: Audit) -> bool:
    """Say whether nothing was audited at all."""
    return found.files == 0
