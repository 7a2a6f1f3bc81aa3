"""Our own lint of workflows, templates and actions: agent misuse and mixed roles.

    lint_workflows.py [ROOT]      exit 1 when a rule is broken
    lint_workflows.py --rules     what is checked, and what goes wrong without it

General linters do not know these roles: zizmor, actionlint and the JSON Schemas run beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dev.lint_hygiene import HYGIENE, Rule
from dev.lint_model import Document, Problem, documents
from dev.lint_roles import ROLES

RULES: tuple[Rule, ...] = (*HYGIENE, *ROLES)


def lint(document: Document, rules: Iterable[Rule] = RULES) -> list[Problem]:
    """Return every broken rule of one file, in the order of its lines."""
    problems = [
        Problem(document.name, line, rule.name, f"{message} ({rule.why})")
        for rule in rules
        for line, message in rule.check(document)
    ]
    return sorted(set(problems), key=lambda problem: (problem.line, problem.rule, problem.message))


def main(arguments: list[str]) -> int:
    """Lint a repository; print every problem."""
    if arguments == ["--rules"]:
        for rule in RULES:
            print(f"{rule.name}: {rule.why}")
        return 0
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    found = documents(root)
    problems = [problem for document in found for problem in lint(document)]
    for problem in problems:
        print(problem)
    print(f"{len(found)} files, {len(RULES)} rules, {len(problems)} problems", file=sys.stderr)
    return 1 if problems or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
