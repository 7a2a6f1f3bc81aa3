"""The default target: our own small server on ONNX Runtime."""

from __future__ import annotations

from mlactions.export.serving.description import Description
from mlactions.export.serving.images import arguments, base
from mlactions.export.serving.placed import Target, dockerfile, requirements, server_sources

PORT = 8080

_DOCKERFILE = """
{arguments}
{base}
ENV ORT_DISABLE_TELEMETRY=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv
COPY requirements.txt ./
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--root-user-action=ignore", \\
    "--require-hashes", "--only-binary=:all:", "--requirement", "requirements.txt"]
COPY model.json ./
COPY model_server ./model_server
COPY model ./model

USER 10001:10001
ENV MODEL_SERVER_HOST=0.0.0.0 MODEL_SERVER_PORT={port}
EXPOSE {port}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \\
    CMD ["python", "-m", "model_server.healthy"]
CMD ["python", "-m", "model_server"]
"""

_README = """\
# {name} on ONNX Runtime

    docker build{build_arguments} --tag {tag} .
    docker run --rm --read-only --cap-drop ALL --publish 127.0.0.1:{port}:{port} {tag}
    curl http://127.0.0.1:{port}/v2/models/{name}/infer \
--header 'Content-Type: application/json' --data @../../golden/{golden}

Without a container, in a virtual environment of Python 3.11 or later:

    python -m pip install --require-hashes --requirement requirements.txt
    python -m model_server

It speaks the [Open Inference Protocol V2](https://github.com/kserve/open-inference-protocol),
as Triton and KServe do, with tensors as JSON or as bytes. `/health/live` and `/health/ready` are
for probes. It has no login and no TLS: put it behind something that does.

It refuses to start when a file of the model is not the one that was proven (model.json has the
checksums), and answers 4xx with a sentence to whatever the model was not exported for: another
type or shape, an axis outside its range, NaN.

| variable | default | what it sets |
|---|---|---|
| MODEL_SERVER_HOST | 127.0.0.1, in the image 0.0.0.0 | where it listens |
| MODEL_SERVER_PORT | {port} | the same |
| MODEL_SERVER_THREADS | processors | threads of ONNX Runtime for one request |
| MODEL_SERVER_RUNNING | processors | requests computed at a time |
| MODEL_SERVER_WAITING | 64 | requests in the queue; further ones get 503 at once |
| MODEL_SERVER_CONNECTIONS | 1024 | open connections |
| MODEL_SERVER_BODY_BYTES | {body} | largest request |
| MODEL_SERVER_BODY_SECONDS | 10 | to send the headers, and then the body |
| MODEL_SERVER_REQUEST_SECONDS | 30 | to compute an answer, the queue included |
| MODEL_SERVER_SHUTDOWN_SECONDS | 20 | for requests under way after SIGTERM |
"""


def onnxruntime_target(model: Description, images: dict[str, str], golden: str) -> Target:
    """Return the server, its locked requirements, a Dockerfile, and where the model goes."""
    missing = "python" not in images
    texts = {
        "Dockerfile": dockerfile(
            _DOCKERFILE.format(
                arguments=arguments(["python"], images), base=base("python", images), port=PORT
            )
        ),
        "Dockerfile.dockerignore": "**/__pycache__\n",
        "README.md": _README.format(
            name=model.name,
            tag=model.name.lower(),
            port=PORT,
            body=model.body_bytes,
            golden=golden,
            build_arguments=" --build-arg PYTHON_IMAGE=python@sha256:…" if missing else "",
        ),
        "model.json": model.text(),
        "requirements.txt": requirements("onnxruntime"),
        **server_sources(),
    }
    texts.pop("model_server/torchserve.py", None)
    return Target("onnxruntime", texts, {file.name: f"model/{file.name}" for file in model.files})
