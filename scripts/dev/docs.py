"""Write the generated parts of the documentation: input and output tables, templates, and pins.

    docs.py                        fill every marked block from the YAML it names
    docs.py --check                change nothing; exit 1 when a block is out of date
    docs.py --pin SHA VERSION      let every template and example use this release of ours

A block stands between `<!-- KIND:NAME -->` and `<!-- /KIND:NAME -->`. KIND is `inputs` (an
action's inputs and outputs), `workflow` (those of a reusable workflow), `template` (all of it) or
`audit` (the rules of `audit`, and how good they are).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dev.lint_model import as_mapping, parse

ROOT = Path(__file__).resolve().parents[2]
OWN = "codex-ml-actions/codex-ml-actions"
_BLOCK = re.compile(
    r"(<!-- (?P<kind>[a-z]+):(?P<name>[a-z/-]+) -->\n).*?(<!-- /(?P=kind):(?P=name) -->)",
    re.DOTALL,
)
_PIN = re.compile(rf"({re.escape(OWN)}(?:/[\w./-]+)?)@[0-9a-f]{{40}} # v\d+\.\d+\.\d+")


def action_tables(root: Path, name: str) -> str:
    """Return the tables of an action; `gate` is the one at the root."""
    path = root / ("action.yml" if name == "gate" else f"actions/{name}/action.yml")
    action = parse(path.name, path.read_text(encoding="utf-8")).data
    return _tables(as_mapping(action.get("inputs")), as_mapping(action.get("outputs")))


def workflow_tables(root: Path, name: str) -> str:
    """Return the tables of a reusable workflow, its secrets among the inputs."""
    path = root / f".github/workflows/{name}.yml"
    call = parse(path.name, path.read_text(encoding="utf-8")).data["on"]["workflow_call"]
    secrets = {f"secrets: {key}": value for key, value in as_mapping(call.get("secrets")).items()}
    return _tables({**call["inputs"], **secrets}, as_mapping(call.get("outputs")))


def template(root: Path, name: str) -> str:
    """Return a template as a code block."""
    return (
        f"```yaml\n{(root / f'workflows/{name}.yml').read_text(encoding='utf-8').rstrip()}\n```\n"
    )


def audit_tables(_root: Path, name: str) -> str:
    """Return the audit's `rules`, their `quality` on snippets, or that on code of `others`."""
    from dev import audit_rules  # only where a document has such a block

    lines = audit_rules.documentation(name)
    return "\n".join(["", *lines, "", ""])


KINDS: Mapping[str, Callable[[Path, str], str]] = {
    "inputs": action_tables,
    "workflow": workflow_tables,
    "template": template,
    "audit": audit_tables,
}


def _tables(
    inputs: Mapping[str, Mapping[str, str]], outputs: Mapping[str, Mapping[str, str]]
) -> str:
    lines = ["", "| input | default | what it does |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {_default(about)} | {_cell(about['description'])} |"
        for name, about in inputs.items()
    ]
    if outputs:
        lines += ["", "| output | what it says |", "|---|---|"]
        lines += [
            f"| `{name}` | {_cell(about['description'])} |" for name, about in outputs.items()
        ]
    return "\n".join([*lines, "", ""])


def _default(about: Mapping[str, str]) -> str:
    if about.get("required") == "true":
        return "**required**"
    default = about.get("default", "")
    if "${{" in default:
        return "from the event" if "github.event" in default else _code(default[3:-2].strip())
    return _code(default) if default else ""


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _cell(text: str) -> str:
    """Return one line for a table cell; `<` is markup only outside of code."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def fill(text: str, root: Path = ROOT) -> str:
    """Return a document with every marked block written anew; an unknown kind is an error."""

    def block(match: re.Match[str]) -> str:
        made = KINDS[match["kind"]](root, match["name"])
        return f"{match[1]}{made}{match[4]}"

    return _BLOCK.sub(block, text)


def pin(text: str, sha: str, version: str) -> str:
    """Return a file with every use of our own actions at one commit."""
    return _PIN.sub(rf"\g<1>@{sha} # {version}", text)


def documents(root: Path = ROOT) -> list[Path]:
    """List every file that may hold a block."""
    folders = ("*.md", "docs/**/*.md", "actions/**/*.md", "workflows/*.md")
    return [path for pattern in folders for path in sorted(root.glob(pattern))]


def main(arguments: list[str]) -> int:
    """Write, check or pin."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--pin", nargs=2, metavar=("SHA", "VERSION"))
    options = parser.parse_args(arguments)
    if options.pin:
        sha, version = options.pin
        if not (re.fullmatch(r"[0-9a-f]{40}", sha) and re.fullmatch(r"v\d+\.\d+\.\d+", version)):
            parser.error("give the full commit and a version such as v1.2.3")
        for path in sorted((ROOT / "workflows").glob("*.yml")) + documents():
            _write(path, pin(path.read_text(encoding="utf-8"), sha, version), check=False)
    changed = [path for path in documents() if _write(path, fill(path.read_text()), options.check)]
    verdict = "out of date: run `make docs`" if options.check else "written"
    for path in changed:
        print(f"{path.relative_to(ROOT)}: {verdict}")
    return 1 if changed and options.check else 0


def _write(path: Path, text: str, check: bool) -> bool:
    if path.read_text(encoding="utf-8") == text:
        return False
    if not check:
        path.write_text(text, encoding="utf-8", newline="\n")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
