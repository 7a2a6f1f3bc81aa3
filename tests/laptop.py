"""A laptop whose `codex` reaches a scripted model: the words' own `--ask`, typed at a prompt."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlactions.__main__ import run
from mlactions.runner import Runner
from tests.ask_cases import KEY, codex_cli, codex_path, write
from tests.fakes.model import FakeModel

# Only the address and the model are ours: the rest of the home is the one that the word made.
_CODEX = """\
#!/bin/sh
{{ printf 'model_provider = "proxy"\\nmodel = "scripted-model"\\n'
  cat "$CODEX_HOME/config.toml"
  printf '\\n[model_providers.proxy]\\nname = "proxy"\\nbase_url = "{url}/v1"\\n'
  printf 'wire_api = "responses"\\nrequest_max_retries = 0\\nstream_max_retries = 0\\n'
}} >"$CODEX_HOME/config.new"
mv "$CODEX_HOME/config.new" "$CODEX_HOME/config.toml"
exec {codex} "$@"
"""


@dataclass(frozen=True)
class Typed:
    """How a command ended: its exit code, and what the terminal showed."""

    code: int
    said: str


def typed(folder: Path, arguments: Sequence[str], model: FakeModel) -> Typed:
    """Type a command of ours where the real Codex CLI is on the PATH, in front of a model."""
    tools = folder / "laptop"
    program = write(tools / "codex", _CODEX.format(url=model.url, codex=codex_cli()))
    program.chmod(0o755)
    environ = {"PATH": f"{tools}:{codex_path()}", "HOME": str(folder), "CODEX_API_KEY": KEY}
    stream = io.StringIO()
    code = run(list(arguments), Runner({**environ, "COLUMNS": "100"}, stream))
    assert not any(KEY in request.everything for request in model.requests)
    return Typed(code, stream.getvalue())
