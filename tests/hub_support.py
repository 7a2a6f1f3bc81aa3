"""The real Hub MCP server with the Hub on loopback in place of the one its address is fixed to."""

from __future__ import annotations

import json
from pathlib import Path

from mlactions.codex_home.servers import HUB_PACKAGE, HUB_VERSION
from tests.ask_cases import codex_path, write

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = ROOT / "tests" / "e2e" / "stand_ins" / "hub" / "loopback.cjs"
INSTALLED = ROOT / ".tools" / "hub" / "node_modules" / HUB_PACKAGE


def hub_server(folder: Path) -> Path:
    """Return a folder for PATH with an `hf-mcp-server` that loads the stand-in, then the real one.

    The real package is installed beside the Codex CLI, by `codex_path`.
    """
    codex_path()
    program = json.dumps((INSTALLED / "dist/server/stdio.js").as_uri())
    start = f"#!/usr/bin/env node\nrequire({json.dumps(str(STAND_IN))});\nimport({program});\n"
    script = write(folder / "package/dist/server/stdio.js", start)
    script.chmod(0o755)
    about = {"name": HUB_PACKAGE, "version": HUB_VERSION}
    write(folder / "package/package.json", json.dumps(about))
    found = folder / "bin" / "hf-mcp-server"
    found.parent.mkdir()
    found.symlink_to(script)
    return found.parent
