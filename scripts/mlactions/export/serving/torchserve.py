"""TorchServe: a model archive with a handler on ONNX Runtime, a configuration, a Dockerfile.

TorchServe was archived in August 2025: https://github.com/pytorch/serve
"""

from __future__ import annotations

from collections.abc import Sequence

from mlactions.export.serving.description import Description
from mlactions.export.serving.images import arguments, base
from mlactions.export.serving.placed import Target, dockerfile, requirements, server_sources

ARCHIVED = (
    "TorchServe was archived in August 2025: no planned updates, bug fixes or security patches. "
    "Use it only where it runs already."
)
PORT = 8080
TORCH = "2.13.0"
STORE = "model-store"
SOURCES = "archive"

_HANDLER = '''\
"""The entry point that TorchServe looks for: a module with exactly one class."""

from __future__ import annotations

from model_server.torchserve import OnnxHandler


class Handler(OnnxHandler):
    """Answers requests of the Open Inference Protocol V2."""
'''

_HEALTHY = '''\
"""Exit 0 when TorchServe on this machine is healthy; it wants its token even for that."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path


def main(port: int = {port}) -> int:
    """Ask for /ping with the token that TorchServe wrote into its folder when it started.

    The token ends after an hour: then being refused is all that can be had, and a sign of life.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        key = json.loads(Path("key_file.json").read_text(encoding="utf-8"))["inference"]["key"]
        connection.request("GET", "/ping", headers={{"Authorization": f"Bearer {{key}}"}})
        answer = connection.getresponse()
        refused = b"InvalidKeyException" in answer.read()
        return 0 if answer.status == http.client.OK or refused else 1
    except (OSError, http.client.HTTPException, KeyError, ValueError):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
'''

_DOCKERFILE = """
# {archived}
{arguments}
{java}
{base}
COPY --from=java /opt/java/openjdk /opt/java/openjdk
ENV JAVA_HOME=/opt/java/openjdk ORT_DISABLE_TELEMETRY=1 TEMP=/srv/run TMPDIR=/srv/run \\
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
# The worker imports torch; the build for processors is 200 MB, the default one several thousand.
# Without a hash: PyTorch's index has another wheel for each Python and machine, and this image may
# be built on any. It computes nothing here: ONNX Runtime, which does, is pinned below.
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--root-user-action=ignore", \\
    "--only-binary=:all:", "--index-url", "https://download.pytorch.org/whl/cpu", "torch=={torch}"]
COPY requirements.txt ./
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--root-user-action=ignore", \\
    "--require-hashes", "--requirement", "requirements.txt"]
COPY config.properties healthy.py ./
COPY {store} ./{store}
RUN ["install", "--directory", "--owner=10001", "--group=10001", "/srv/run"]

USER 10001:10001
WORKDIR /srv/run
EXPOSE {port}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \\
    CMD ["python", "/srv/healthy.py"]
CMD ["torchserve", "--start", "--foreground", "--ncs", "--model-store", "/srv/{store}", \\
    "--ts-config", "/srv/config.properties"]
"""

_README = """\
# {name} on TorchServe

**{archived}**

    docker build{build_arguments} --tag {tag} .
    docker run --rm --name {tag} --publish 127.0.0.1:{port}:{port} {tag}
    token=$(docker exec {tag} python -c \
"import json; print(json.load(open('key_file.json'))['inference']['key'])")
    curl http://127.0.0.1:{port}/predictions/{name} --header "Authorization: Bearer $token" \
--header 'Content-Type: application/json' --data @../../golden/{golden}

TorchServe writes tokens into key_file.json when it starts; they end after an hour
(`token_expiration_min` in config.properties), and its management API on loopback gives new ones:
`GET /token?type=inference` with the key named `API`. `{sources}/` holds what was packed into
`{store}/{name}.mar` with `torch-model-archiver`, but for the model itself.
"""


def torchserve_target(model: Description, images: dict[str, str], golden: str) -> Target:
    """Return what the archive is made of, the configuration, a Dockerfile; the archive follows."""
    missing = [name for name in ("python", "java") if name not in images]
    texts = {
        "Dockerfile": dockerfile(
            _DOCKERFILE.format(
                archived=ARCHIVED,
                arguments=arguments(["java", "python"], images),
                java=base("java", images, "java"),
                base=base("python", images),
                torch=TORCH,
                store=STORE,
                port=PORT,
            )
        ),
        "README.md": _README.format(
            name=model.name,
            tag=model.name.lower(),
            port=PORT,
            archived=ARCHIVED,
            golden=golden,
            store=STORE,
            sources=SOURCES,
            build_arguments="".join(f" --build-arg {n.upper()}_IMAGE=…" for n in missing),
        ),
        "config.properties": properties(model),
        "healthy.py": _HEALTHY.format(port=PORT),
        "requirements.txt": requirements("torchserve"),
        **{f"{SOURCES}/{path}": text for path, text in archive_sources(model).items()},
    }
    return Target("torchserve", texts)


def archive_sources(model: Description) -> dict[str, str]:
    """Return what goes into the archive beside the model, by path."""
    names = ("__init__", "contract", "engine", "protocol", "refusal", "settings", "tensors")
    modules = server_sources((*(f"{name}.py" for name in names), "torchserve.py"))
    return {"handler.py": _HANDLER, "model.json": model.text(folder=""), **modules}


def properties(model: Description) -> str:
    """Return config.properties: tokens on, models fixed, management on loopback only."""
    settings = {
        **_addresses(f"http://0.0.0.0:{PORT}", (8081, 8082)),
        "disable_token_authorization": "false",
        "token_expiration_min": "60",
        "enable_model_api": "false",
        "enable_envvars_config": "false",
        "install_py_dep_per_model": "false",
        "load_models": f"{model.name}.mar",
        "default_workers_per_model": "1",
        "default_response_timeout": "120",
        "max_request_size": str(model.body_bytes),
        "max_response_size": str(model.body_bytes),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _addresses(inference: str, others: Sequence[int]) -> dict[str, str]:
    management, metrics = others
    return {
        "inference_address": inference,
        "management_address": f"http://127.0.0.1:{management}",
        "metrics_address": f"http://127.0.0.1:{metrics}",
    }


def on_loopback(written: str, ports: Sequence[int]) -> str:
    """Return a config.properties with other addresses: loopback only, and free ports."""
    addresses = _addresses(f"http://127.0.0.1:{ports[0]}", ports[1:])
    kept = [line for line in written.splitlines() if line.partition("=")[0] not in addresses]
    return "".join(f"{line}\n" for line in kept + [f"{n}={v}" for n, v in addresses.items()])
