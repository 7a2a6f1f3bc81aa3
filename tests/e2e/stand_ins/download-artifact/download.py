"""Copy artifacts out of the store, by the rules of actions/download-artifact."""

from __future__ import annotations

import fnmatch
import os
import shutil
from pathlib import Path
from typing import NoReturn


def stop(message: str) -> NoReturn:
    """End the step as a failure."""
    print(f"::error::{message}")
    raise SystemExit(1)


def main() -> None:
    """Download one artifact, those of a pattern, or all."""
    environment = os.environ
    name, pattern = environment["NAME"], environment["PATTERN"]
    run = environment["RUN_ID"]
    if run != environment["OWN_RUN_ID"] and not environment["TOKEN"]:
        stop("Unable to download artifact(s): github-token is needed for another run")
    store = Path(environment["MLACTIONS_TEST_ARTIFACTS"]) / run
    there = sorted(item.name for item in store.iterdir()) if store.is_dir() else []
    if name and name not in there:
        stop(f"Unable to download artifact(s): Artifact not found for name: {name}")
    chosen = [name] if name else fnmatch.filter(there, pattern or "*")
    folder = Path(environment["GITHUB_WORKSPACE"]) / Path(environment["FOLDER"]).expanduser()
    merged = bool(name) or environment["MERGE_MULTIPLE"] == "true"
    for artifact in chosen:
        target = folder if merged else folder / artifact
        shutil.copytree(store / artifact, target, dirs_exist_ok=True)
    print(f"Total of {len(chosen)} artifact(s) downloaded to {folder}")
    with Path(environment["GITHUB_OUTPUT"]).open("a") as output:
        output.write(f"download-path={folder}\n")


if __name__ == "__main__":
    main()
