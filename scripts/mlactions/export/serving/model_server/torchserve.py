"""A handler for TorchServe that runs the same checks and the same session as our own server.

TorchServe's BaseHandler would need torch for a model that needs none.
https://github.com/pytorch/serve/blob/master/docs/custom_service.md
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .contract import read_contract
from .engine import Engine
from .protocol import read_document, read_request, write_response
from .refusal import RefusedError
from .settings import processors


class OnnxHandler:
    """Answers requests of the Open Inference Protocol V2 at /predictions/NAME."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def initialize(self, context: Any) -> None:
        """Load the model of this archive; called once by each worker."""
        folder = Path(context.system_properties["model_dir"])
        engine = Engine(read_contract(folder / "model.json"), folder, processors())
        engine.load()
        self._engine = engine

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch of requests one by one: each is a batch itself."""
        try:
            answers = [self._answer(item) for item in data]
        except RefusedError as error:
            failure = importlib.import_module("ts.utils.util").PredictionException
            raise failure(error.message, error.status) from None
        for number in range(len(answers)):
            context.set_response_content_type(number, "application/json")
        return answers

    def _answer(self, item: Mapping[str, Any]) -> bytes:
        engine = self._engine
        if engine is None:
            raise RefusedError(503, "the model is not loaded")
        body = item.get("body", item.get("data"))
        if isinstance(body, bytes | bytearray):
            request = read_request(bytes(body), engine.contract)
        else:  # TorchServe has read what came as application/json
            request = read_document(body, engine.contract)
        if request.binary:
            raise RefusedError(400, "TorchServe's answer is JSON: outputs as bytes are not offered")
        arrays = engine.run(request.inputs, request.outputs, engine.options())
        return write_response(request, engine.contract, arrays)[0]
