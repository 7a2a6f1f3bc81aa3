"""A remote MCP server on loopback, over streamable HTTP, as far as Codex speaks with one.

Tools are those of Hugging Face's own server: it hands more to who has a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.loopback import Handler, Loopback, Reply, Request

READING = ("hf_whoami", "hub_repo_search", "hub_repo_details", "hf_fs")
CHANGING = ("create_repo", "hf_jobs", "dynamic_space")


class RemoteMcp(Loopback):
    """The server; with a `token` it wants that one. `calls` are the tools that were called."""

    def __init__(self, token: str = "") -> None:
        super().__init__()
        self.token = token
        self.requests: list[Request] = []
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    @property
    def address(self) -> str:
        """Where Codex finds it."""
        return f"{self.url}/mcp"

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer one message."""
        self.requests.append(request)
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            handler.send(Reply(401, {"error": "who are you?"}))
        elif request.method != "POST":
            handler.send(Reply(405, {"error": "no stream of its own"}))
        else:
            message = json.loads(request.body)
            handler.send(self._answer(message))

    def _answer(self, message: Mapping[str, Any]) -> Reply:
        if "id" not in message:
            return Reply(202, None)
        parameters = message.get("params") or {}
        result: dict[str, Any]
        if message["method"] == "initialize":
            result = {
                "protocolVersion": parameters["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "hub", "version": "1"},
            }
        elif message["method"] == "tools/list":
            result = {"tools": [*_tools(READING, reads=True), *_tools(CHANGING, reads=False)]}
        elif message["method"] == "tools/call":
            self.calls.append((parameters["name"], parameters.get("arguments") or {}))
            result = {"content": [{"type": "text", "text": "found acme/vit-tiny"}]}
        else:
            error = {"code": -32601, "message": f"no method {message['method']}"}
            return Reply(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        headers = {"Mcp-Session-Id": "session-1"}
        return Reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, headers)


def _tools(names: Sequence[str], *, reads: bool) -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    return [
        {
            "name": name,
            "description": name,
            "inputSchema": schema,
            "annotations": {"readOnlyHint": reads, "destructiveHint": not reads},
        }
        for name in names
    ]
