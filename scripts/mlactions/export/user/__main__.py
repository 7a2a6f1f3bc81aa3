"""Start the exporting program inside the user's Python: `python …/export/user REQUEST`.

Our folder must not shadow a module of the user's, so the package gets a name of its own, and the
working directory takes the place of our folder in `sys.path`, as for `python -m`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import time
from pathlib import Path

NAME = "mlactions_export_user"


def main() -> None:
    """Import torch, then our package under its own name, and export."""
    started = time.perf_counter()
    Path(sys.argv[1]).with_name("started").touch()  # what `python` names is a Python
    sys.path[0] = str(Path.cwd())
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    with contextlib.suppress(ImportError):  # the program says what is missing
        importlib.import_module("torch")
    here = Path(__file__).resolve().parent
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # our folder stays as it is
    locations = [str(here)]
    spec = importlib.util.spec_from_file_location(
        NAME, here / "__init__.py", submodule_search_locations=locations
    )
    package = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]  # the file is ours
    sys.modules[NAME] = package
    program = importlib.import_module(f"{NAME}.program")
    sys.dont_write_bytecode = before
    program.main(Path(sys.argv[1]), time.perf_counter() - started)


if __name__ == "__main__":
    main()
