"""The process that meets the model: it reads the file, runs it, and answers line by line.

Started by `session` with the path of a request in JSON. A runtime that crashes takes this process
along and nothing else; what was answered before is kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Tell = Callable[[Mapping[str, Any]], None]


def main(request_file: str) -> None:
    """Do one request; every answer is on disk before the next step begins."""
    # Isolated mode leaves the package out of the path. Set before the runtime is imported: its
    # official builds report usage otherwise.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    with Path(request["answers"]).open("a", encoding="utf-8") as stream:

        def tell(answer: Mapping[str, Any]) -> None:
            stream.write(json.dumps(answer, ensure_ascii=True) + "\n")
            stream.flush()

        _do(request, tell)
        tell({"event": "end"})


def _do(request: Mapping[str, Any], tell: Tell) -> None:
    if request["mode"] != "inspect":
        from mlactions.export import inference

        inference.answer(request, tell)
        return
    from mlactions.export import graph

    model = Path(request["model"])
    tell({"event": "facts", **graph.inspect(model)})
    tell({"event": "checked", **graph.check(model)})


if __name__ == "__main__":
    main(sys.argv[1])
