"""Let Codex explain a comparison that was just made: `compare --ask`, on a person's machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mlactions.ask import ask_locally, tell_locally
from mlactions.bundle import unfold
from mlactions.runner import Runner


def explain(
    runner: Runner,
    result: Path,
    metrics: Iterable[Path],
    base_ref: str,
    *,
    out: Path,
    repository: Path = Path(),
) -> None:
    """Ask about a result and the evaluations behind it; the checked answer lands in `out`.

    `repository` is the folder whose code Codex reads. The verdict stands whatever Codex says, or
    fails to say.
    """
    measured = (part for path in metrics for part in unfold(path))
    bundles = [result, *(part for part in measured if (part / "result.json").is_file())]
    checked = ask_locally(runner, bundles, out=out, base_ref=base_ref, repository=repository)
    tell_locally(runner, checked, out)
