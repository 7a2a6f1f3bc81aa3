"""Run in the user's Python: build a model and count its parameters. Standard library only.

python count.py FACTORY ARGUMENTS OUTPUT     FACTORY is package.module:name, the rest are as named
"""

import importlib
import json
import sys
from typing import Any


def main(factory: str, arguments: str, output: str) -> None:
    """Write {"parameters": …, "trainable": …}; lazily made parameters have no size and raise."""
    sys.path[0] = ""  # the project's folder, in place of the one that this file is in
    module, _, name = factory.partition(":")
    made: Any = importlib.import_module(module)
    for part in name.split("."):
        made = getattr(made, part)
    weights = list(made(**json.loads(arguments)).parameters())
    document = {
        "parameters": sum(int(weight.numel()) for weight in weights),
        "trainable": sum(int(weight.numel()) for weight in weights if weight.requires_grad),
    }
    with open(output, "w", encoding="utf-8") as stream:  # noqa: PTH123  # as old Pythons do
        json.dump(document, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
