"""The web application: health, metadata, inference, and limits on all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .engine import Engine
from .protocol import read_request, write_response
from .refusal import RefusedError
from .settings import Settings

_LOG = logging.getLogger("uvicorn.error")
_HEADER = "Inference-Header-Content-Length"


class Service:
    """One model behind HTTP. `failed` is called when the model cannot be loaded."""

    def __init__(self, engine: Engine, settings: Settings, failed: Callable[[], None]) -> None:
        self._engine = engine
        self._settings = settings
        self._failed = failed
        self._body_bytes = settings.body_bytes or engine.contract.body_bytes
        self._pool = ThreadPoolExecutor(settings.running, "model")
        self._under_way = 0
        self._ready = False

    def application(self) -> Starlette:
        """Return the ASGI application."""
        model = "/v2/models/{name}"
        routes = [
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2", self.server),
        ]
        for prefix in (model, model + "/versions/{version}"):
            routes += [
                Route(prefix, self.metadata),
                Route(prefix + "/ready", self.ready),
                Route(prefix + "/infer", self.infer, methods=["POST"]),
            ]
        handlers = {RefusedError: _refused, HTTPException: _http_error, Exception: _bug}
        return Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers)

    @asynccontextmanager
    async def _lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        """Load beside the event loop: a large model is alive long before it is ready."""
        loading = asyncio.create_task(self._load())
        yield
        self._ready = False
        loading.cancel()
        self._pool.shutdown(cancel_futures=True)

    async def _load(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._engine.load)
        except Exception as error:  # noqa: BLE001  # ONNX Runtime raises types of its own
            _LOG.critical("the model cannot be served: %s: %s", type(error).__name__, error)
            self._failed()
            return
        self._ready = True
        _LOG.info("ready: %s", self._engine.contract.name)

    async def live(self, _request: Request) -> Response:
        """Answer as long as the event loop turns."""
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Answer 200 once the model was loaded and run, 503 before."""
        self._check_name(request)
        return JSONResponse({"ready": self._ready}, 200 if self._ready else 503)

    async def server(self, _request: Request) -> Response:
        """Describe the server."""
        extensions = ["binary_tensor_data"]
        return JSONResponse({"name": "model_server", "version": "1", "extensions": extensions})

    async def metadata(self, request: Request) -> Response:
        """Describe the model."""
        self._check_name(request)
        return JSONResponse(self._engine.contract.metadata())

    async def infer(self, request: Request) -> Response:
        """Answer one request of the protocol, or say why not."""
        self._check_name(request)
        if not self._ready:
            raise RefusedError(503, "the model is still being loaded")
        if self._under_way >= self._settings.running + self._settings.waiting:
            raise RefusedError(503, "too many requests are under way; try again later")
        self._under_way += 1
        try:
            body = await self._body(request)
            return await self._answer(body, _json_bytes(request))
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            self._under_way -= 1

    async def _answer(self, body: bytes, json_bytes: int | None) -> Response:
        """Compute in a thread: reading numbers takes as long as a small model does."""
        options = self._engine.options()

        def compute() -> tuple[bytes, int | None]:
            given = read_request(body, self._engine.contract, json_bytes)
            arrays = self._engine.run(given.inputs, given.outputs, options)
            return write_response(given, self._engine.contract, arrays)

        try:
            async with asyncio.timeout(self._settings.request_seconds):
                answer, head = await asyncio.get_running_loop().run_in_executor(self._pool, compute)
        except TimeoutError:
            options.terminate = True
            raise RefusedError(504, "the model took too long") from None
        if head is None:
            return Response(answer, media_type="application/json")
        return Response(answer, headers={_HEADER: str(head)}, media_type="application/octet-stream")

    async def _body(self, request: Request) -> bytes:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RefusedError(415, "a compressed body is not accepted")
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._body_bytes:
            raise self._too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                async for part in request.stream():
                    parts.append(part)
                    size += len(part)
                    if size > self._body_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise RefusedError(408, "the body did not arrive in time") from None
        return b"".join(parts)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"the body is larger than {self._body_bytes} bytes")

    def _check_name(self, request: Request) -> None:
        name = request.path_params.get("name", self._engine.contract.name)
        version = request.path_params.get("version", "1")
        if name != self._engine.contract.name or version != "1":
            expected = self._engine.contract.name
            raise RefusedError(404, f"there is one model here: {expected}, version 1")


def _json_bytes(request: Request) -> int | None:
    text = request.headers.get(_HEADER)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 10:  # noqa: PLR2004  # digits that no body comes up to
        raise RefusedError(400, f"{_HEADER} is not a number")
    return int(text)


async def _refused(_request: Request, error: Any) -> Response:
    # What is left of a body that was not read to its end cannot be the next request.
    again = {"Retry-After": "1"} if error.status == 503 else {}  # noqa: PLR2004
    return JSONResponse({"error": error.message}, error.status, again)


async def _http_error(_request: Request, error: Any) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _bug(_request: Request, _error: Any) -> Response:
    return JSONResponse({"error": "internal error; see the server's log"}, 500)
