"""Lines per second and memory of an audit over a large tree, beside ruff with every rule."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from bench.measure import ROOT, race, table
from dev.audit_rules import read_snippets

LAUNCHER = str(ROOT / "scripts" / "run")
RUFF = str(ROOT / ".venv" / "bin" / "ruff")
LINES = 200_000
ROUNDS = 3
PER_FOLDER = 40
_NAME = re.compile(r"\bdef ([a-z_]\w*)")
_SHAPES = ("examples/digits/**/*.py", "scripts/mlactions/compare/*.py", "bench/*.py")


def shapes() -> list[str]:
    """Return sources as people write them: the example, tools, and the labelled snippets."""
    files = sorted(path for pattern in _SHAPES for path in ROOT.glob(pattern))
    texts = [path.read_text(encoding="utf-8") for path in files if ".venv" not in path.parts]
    named = (text for snippet in read_snippets() for text in snippet.files.items())
    snippets = [text for name, text in named if name.endswith(".py")]
    # Several snippets make a file of usual length.
    joined = ["\n\n".join(snippets[at : at + 12]) for at in range(0, len(snippets), 12)]
    return [text for text in (*texts, *joined) if text.strip()]


def generate(folder: Path) -> int:
    """Write files until there are enough lines; functions of each copy get names of their own."""
    lines = copy = 0
    sources = shapes()
    while lines < LINES:
        source = sources[copy % len(sources)]
        for name in sorted(set(_NAME.findall(source))):
            if not name.startswith("__") and name != "main":
                source = re.sub(rf"\b{name}\b", f"{name}_{copy % 997}", source)
        place = folder / f"package_{copy // PER_FOLDER}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"module_{copy}.py").write_text(source, encoding="utf-8")
        lines += source.count("\n") + 1
        copy += 1
    return lines


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder / "tree")
        contestants = {
            "`audit`": [LAUNCHER, "audit", "tree", "--include-tests", "--out", "out"],
            "ruff, `--select ALL`": [
                *(RUFF, "check", "--isolated", "--no-cache", "--exit-zero"),
                *("--select", "ALL", "--preview", "--output-format", "json"),
                *("--output-file", "ruff.json", "tree"),
            ],
        }
        found = race(contestants, folder, runs=ROUNDS, accept=(0, 1))
        result = json.loads((folder / "out" / "result.json").read_text())
        said = len(json.loads((folder / "ruff.json").read_text()))
    lines, files = result["lines"], result["files"]
    counted = sum(result["counts"].values())
    ours = found["`audit`"]
    print("## An audit of a large tree, beside ruff\n")
    print(
        f"**{lines / ours.median:,.0f} lines a second and {ours.peak_bytes / 2**20:,.0f} MiB:"
        f" {lines:,} lines in {ours.median:.1f} s.**\n"
    )
    print(
        f"{files:,} files put together from real shapes: the example, this library's own tools, and"
        f" the labelled snippets, each copy with names of its own. Whole processes in turns, median"
        f" of {ROUNDS} after one that warms up. `audit` reads every file once, follows each"
        f" program through the files it reaches, and writes report, SARIF and facts: {counted:,}"
        f" findings. ruff is Rust, uses both processors and none of its rules is about a training's"
        f" reproducibility; it stands here for scale, with {said:,} findings.\n"
    )
    rows = [
        [
            label,
            f"{timing.median:.2f} s",
            f"{timing.median_cpu:.2f} s",
            f"{lines / timing.median:,.0f}",
            f"{timing.peak_bytes / 2**20:,.0f} MiB",
        ]
        for label, timing in found.items()
    ]
    print(table(["", "seconds", "processor", "lines a second", "peak memory"], rows))


if __name__ == "__main__":
    main()
