"""A scripted model on loopback that speaks as much of the Responses API as the Codex CLI needs.

    with FakeModel(runs("ls"), says({"summary": "..."})) as model:   # one turn for each request
        ...                                     # model.endpoint goes into responses-api-endpoint
    assert "sk-" not in model.requests[0].everything

    python -m tests.fakes.model PORTFILE SCRIPT.json REQUESTS.jsonl

The last turn repeats. SCRIPT.json is a list of `Turn` fields (`{"text": ...}`, `{"status": 429}`,
`{"calls": [...]}`, `{"pattern": ..., "template": ...}`). Like the real service it answers 401 to a
wrong key and 400 to an answer schema that strict mode would not take.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.fakes.loopback import (
    Handler,
    Loopback,
    Reply,
    Request,
    until_stopped,
    write_atomically,
)
from tests.fakes.strict_schema import strict_schema_fault

PATH = "/v1/responses"


@dataclass(frozen=True)
class ModelRequest:
    """What Codex sent in one request."""

    request: Request

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        value: dict[str, Any] = self.request.json
        return value

    @property
    def everything(self) -> str:
        """All that reached the model, headers without the key included."""
        headers = {k: v for k, v in self.request.headers.items() if k != "authorization"}
        return json.dumps(headers) + self.request.text

    @property
    def prompt(self) -> str:
        """The last message of the user."""
        messages = [item for item in self.body["input"] if item.get("role") == "user"]
        return _text(messages[-1]["content"]) if messages else ""

    @property
    def tool_outputs(self) -> list[str]:
        """What the shell commands printed, in order."""
        outputs = [item for item in self.body["input"] if item["type"].endswith("_call_output")]
        return [_text(item["output"]) for item in outputs]

    @property
    def schema(self) -> dict[str, Any] | None:
        """The answer schema, None where Codex was given none."""
        form: dict[str, Any] = self.body.get("text", {}).get("format", {})
        return form.get("schema")


Answer = Callable[[ModelRequest], str]


@dataclass(frozen=True)
class Turn:
    """How one request is answered.

    `calls` are shell commands for Codex to run, `tools` calls of MCP servers (server, tool,
    arguments); `text` is a message; with none of them the turn ends without one. `status` other
    than 200 is an error. `delay` comes before the headers, `pause` between events (seconds);
    `drop` cuts the stream, `hang` never answers.
    """

    text: str | None = None
    calls: tuple[str, ...] = ()
    tools: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    answer: Answer | None = None
    status: int = 200
    code: str = "server_error"
    message: str = "scripted error"
    delay: float = 0.0
    pause: float = 0.0
    drop: bool = False
    hang: bool = False


def says(answer: object, *, pause: float = 0.0) -> Turn:
    """End with a message: text as it stands, anything else as JSON."""
    return Turn(text=answer if isinstance(answer, str) else json.dumps(answer), pause=pause)


def answers(answer: Answer) -> Turn:
    """End with a message that depends on what the model was shown."""
    return Turn(answer=answer)


def answers_from(pattern: str, template: str) -> Turn:
    """Put the first match of `pattern` in the prompt and tool outputs in place of `$MATCH`."""

    def answer(request: ModelRequest) -> str:
        shown = "\n".join([*request.tool_outputs, request.prompt])
        match = re.search(pattern, shown)
        return template.replace("$MATCH", match[0] if match else "nothing-found")

    return Turn(answer=answer)


def runs(*commands: str) -> Turn:
    """Ask Codex to run shell commands."""
    return Turn(calls=commands)


def uses(server: str, tool: str, **arguments: Any) -> Turn:
    """Ask Codex to call a tool of an MCP server."""
    return Turn(tools=((server, tool, arguments),))


def silent() -> Turn:
    """End without any message."""
    return Turn()


def fails(status: int, code: str = "server_error", message: str = "scripted error") -> Turn:
    """Answer with an HTTP error."""
    return Turn(status=status, code=code, message=message)


def hangs() -> Turn:
    """Take the request and never answer."""
    return Turn(hang=True)


def drops() -> Turn:
    """Begin to answer and cut the connection."""
    return Turn(text="this is cut", drop=True)


class FakeModel(Loopback):
    """The scripted model; `key` is the one API key it lets in (None: any)."""

    def __init__(self, *turns: Turn, key: str | None = None) -> None:
        super().__init__()
        self.turns = list(turns)
        self.key = key
        self.requests: list[ModelRequest] = []
        self.others: list[Request] = []
        self.record_file: Path | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    @property
    def endpoint(self) -> str:
        """The full address of the Responses API."""
        return self.url + PATH

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer by the script."""
        if request.method != "POST" or request.path != PATH:
            with self.lock:
                self.others.append(request)
            handler.send(_error(404, "not_found", f"no {request.method} {request.path} here"))
            return
        turn, seen = self._record(request)
        refusal = self._refusal(seen)
        if turn.hang:
            self.closing.wait()
            handler.drop()
        elif refusal or turn.status != 200:
            self.closing.wait(turn.delay)
            handler.send(refusal or _error(turn.status, turn.code, turn.message))
        else:
            self.closing.wait(turn.delay)
            self._stream(turn, seen, handler)

    def _record(self, request: Request) -> tuple[Turn, ModelRequest]:
        seen = ModelRequest(request)
        with self.lock:
            turn = self.turns[min(len(self.requests), len(self.turns) - 1)]
            self.requests.append(seen)
            if self.record_file:
                line = {"path": request.path, "headers": dict(request.headers), "body": seen.body}
                with self.record_file.open("a") as file:
                    file.write(json.dumps(line) + "\n")
        return turn, seen

    def _refusal(self, seen: ModelRequest) -> Reply | None:
        """Say what the real service would say before it thinks."""
        given = seen.request.headers.get("authorization", "")
        if self.key is not None and given != f"Bearer {self.key}":
            return _error(401, "invalid_api_key", "Incorrect API key provided.")
        fault = strict_schema_fault(seen.schema) if seen.schema is not None else None
        if fault:
            message = f"Invalid schema for response_format 'codex_output_schema': {fault}"
            return _error(400, "invalid_json_schema", message)
        return None

    def _stream(self, turn: Turn, seen: ModelRequest, handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        for event in self._events(turn, seen):
            if self.closing.wait(turn.pause):
                return
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            handler.wfile.write(data.encode())
            handler.wfile.flush()

    def _events(self, turn: Turn, seen: ModelRequest) -> Iterator[dict[str, Any]]:
        number = len(self.requests)
        identifier = f"resp_{number}"
        yield {"type": "response.created", "response": {"id": identifier}}
        if turn.drop:
            return
        for index, item in enumerate(_items(turn, seen, number)):
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        tokens = {"input_tokens": 100 * number, "output_tokens": 10, "total_tokens": 0}
        usage = {**tokens, "total_tokens": tokens["input_tokens"] + tokens["output_tokens"]}
        yield {"type": "response.completed", "response": {"id": identifier, "usage": usage}}


def _items(turn: Turn, seen: ModelRequest, number: int) -> list[dict[str, Any]]:
    """Write the output of a turn: tool calls, then a message."""
    items = [_call(command, f"call_{number}_{i}", seen) for i, command in enumerate(turn.calls)]
    items += [
        _tool(server, tool, arguments, f"tool_{number}_{i}", seen)
        for i, (server, tool, arguments) in enumerate(turn.tools)
    ]
    text = turn.answer(seen) if turn.answer else turn.text
    if text is not None:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        message = {"type": "message", "role": "assistant", "status": "completed"}
        items.append({**message, "id": f"msg_{number}", "content": content})
    return items


def _call(command: str, identifier: str, seen: ModelRequest) -> dict[str, Any]:
    """Write a shell call in the form of the tools on offer, which the model's name decides."""
    if _direct(seen):
        call = {"type": "function_call", "name": "exec_command", "call_id": identifier}
        return {**call, "arguments": json.dumps({"cmd": command, "login": False})}
    script = f"const r = await tools.exec_command({json.dumps({'cmd': command})}); text(r.output)"
    return _script(script, identifier)


def _tool(
    server: str, tool: str, arguments: Mapping[str, Any], identifier: str, seen: ModelRequest
) -> dict[str, Any]:
    """Write a call of an MCP server's tool in that form."""
    if _direct(seen):
        call = {"type": "function_call", "namespace": f"mcp__{server}", "name": tool}
        return {**call, "call_id": identifier, "arguments": json.dumps(arguments)}
    name = f"tools.mcp__{server}__{tool}"
    script = f"text(JSON.stringify(await {name}({json.dumps(arguments)})))"
    return _script(script, identifier)


def _direct(seen: ModelRequest) -> bool:
    return any(tool.get("name") == "exec_command" for tool in seen.body.get("tools", ()))


def _script(script: str, identifier: str) -> dict[str, Any]:
    call = {"type": "custom_tool_call", "namespace": "functions", "name": "exec"}
    return {**call, "call_id": identifier, "status": "completed", "input": script}


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"error": {"message": message, "type": code, "code": code}})


def _text(content: Any) -> str:
    """Return the text of a message or tool output: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def from_data(data: dict[str, Any]) -> Turn:
    """Make a turn of a script file."""
    if "pattern" in data:
        return answers_from(data["pattern"], data["template"])
    fields = {**data, "calls": tuple(data.get("calls", ()))}
    fields["tools"] = tuple((server, tool, given) for server, tool, given in data.get("tools", ()))
    if "text" in fields and not isinstance(fields["text"], str):
        fields["text"] = json.dumps(fields["text"])
    return Turn(**fields)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portfile", type=Path)
    parser.add_argument("script", type=Path)
    parser.add_argument("record", type=Path)
    arguments = parser.parse_args()
    turns = [from_data(turn) for turn in json.loads(arguments.script.read_text())]
    with until_stopped() as stop, FakeModel(*turns) as model:
        model.record_file = arguments.record
        write_atomically(arguments.portfile, str(model.port))
        stop.wait()


if __name__ == "__main__":
    main()
