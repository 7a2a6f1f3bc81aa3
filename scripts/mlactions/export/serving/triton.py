"""Triton: a model repository whose config.pbtxt says what the model file really takes and gives.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mlactions.export.serving.description import Description, Tensor
from mlactions.export.serving.images import arguments, base
from mlactions.export.serving.placed import Target, dockerfile

_DELAY_MICROSECONDS = 1000

_DOCKERFILE = """
{arguments}
{base}
ENV ORT_DISABLE_TELEMETRY=1
COPY {name} /models/{name}

USER 10001:10001
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \\
    CMD ["curl", "--fail", "--silent", "--max-time", "4", "http://127.0.0.1:8000/v2/health/ready"]
CMD ["tritonserver", "--model-repository=/models", "--disable-auto-complete-config", \\
    "--exit-on-error=true"]
"""

_README = """\
# {name} on Triton

`{name}/` is a model repository of one model; config.pbtxt was checked against the model file.

    docker build{build_arguments} --tag {tag} .
    docker run --rm --publish 127.0.0.1:8000:8000 {tag}
    curl http://127.0.0.1:8000/v2/models/{name}/infer \
--header 'Content-Type: application/json' --data @../../golden/{golden}

`export smoke --target triton --url http://127.0.0.1:8000` sends every golden request to it and
compares the answers with PyTorch's. {batching}
"""


def triton_target(model: Description, images: dict[str, str], golden: str) -> Target:
    """Return the model repository, a Dockerfile, and where the model goes."""
    largest = model.largest_batch
    texts = {
        f"{model.name}/config.pbtxt": config(model),
        "Dockerfile": dockerfile(
            _DOCKERFILE.format(
                arguments=arguments(["triton"], images),
                base=base("triton", images),
                name=model.name,
            )
        ),
        "README.md": _README.format(
            name=model.name,
            tag=model.name.lower(),
            golden=golden,
            build_arguments=""
            if "triton" in images
            else " --build-arg TRITON_IMAGE=nvcr.io/nvidia/tritonserver@sha256:…",
            batching=f"Requests are batched up to {largest}."
            if largest
            else "Requests are not batched: not every input and output begins with the batch.",
        ),
    }
    places = {file.name: f"{model.name}/1/{file.name}" for file in model.files}
    return Target("triton", texts, places)


def config(model: Description) -> str:
    """Return config.pbtxt. With batching, Triton adds the first axis itself: `dims` lack it."""
    largest = model.largest_batch
    lines = [
        f"name: {_quoted(model.name)}",
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {largest or 0}",
        *_tensors("input", model.inputs, skip=1 if largest else 0),
        *_tensors("output", model.outputs, skip=1 if largest else 0),
        "instance_group [ { kind: KIND_AUTO, count: 1 } ]",
    ]
    if largest and largest > 1:
        sizes = ", ".join(map(str, preferred_sizes(largest)))
        lines += [
            "dynamic_batching {",
            f"  preferred_batch_size: [ {sizes} ]",
            f"  max_queue_delay_microseconds: {_DELAY_MICROSECONDS}",
            "}",
        ]
    return "\n".join(lines) + "\n"


def preferred_sizes(largest: int) -> list[int]:
    """Return up to four batch sizes worth waiting for: the maximum, and its halves by powers."""
    powers = [2**exponent for exponent in range(1, 31) if 2**exponent < largest]
    return [*powers[-3:], largest]


def _tensors(field: str, tensors: tuple[Tensor, ...], *, skip: int) -> Iterator[str]:
    yield f"{field} ["
    for number, tensor in enumerate(tensors):
        sizes = tensor.shape[skip:]
        dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in sizes)
        # A scalar per sample: Triton has no empty `dims`, it wants one axis that is reshaped away.
        shape = f"dims: [ {dims} ]" if sizes else "dims: [ 1 ], reshape { shape: [ ] }"
        comma = "," if number + 1 < len(tensors) else ""
        datatype = f"TYPE_{tensor.datatype}"
        yield f"  {{ name: {_quoted(tensor.name)}, data_type: {datatype}, {shape} }}{comma}"
    yield "]"


def _quoted(text: str) -> str:
    return json.dumps(text)
