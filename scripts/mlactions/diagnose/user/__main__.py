"""Start the probes inside the user's Python: `python …/diagnose/user REQUEST`.

Our folder must not shadow a module of the user's, so the package gets a name of its own, and the
working directory takes the place of our folder in `sys.path`, as for `python -m`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "mlactions_diagnose_user"


def main() -> None:
    """Import our package under its own name, and probe."""
    Path(sys.argv[1]).with_name("started").touch()  # what `python` names is a Python
    sys.path[0] = str(Path.cwd())
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
    program.main(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
