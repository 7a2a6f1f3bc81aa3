"""Base images of the Dockerfiles: by digest, because a tag is whatever was pushed last."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlactions.errors import UserError

IMAGES = {"onnxruntime": ("python",), "triton": ("triton",), "torchserve": ("python", "java")}
"""The base images of each target, its own first."""

EXAMPLES = {
    "python": "python:3.12-slim",
    "triton": "nvcr.io/nvidia/tritonserver:25.10-py3",
    "java": "eclipse-temurin:17-jre",
}

_REFERENCE = re.compile(
    r"[a-z0-9][a-z0-9._:/-]{0,255}?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64}"
)


def read_images(lines: Iterable[str], targets: Iterable[str]) -> dict[str, str]:
    """Return references by image from lines like `python=python:3.12-slim@sha256:…`.

    A line without a name is the first target's own image.
    """
    chosen = tuple(targets)
    for target in chosen:
        if target not in IMAGES:
            hint = f"Use {', '.join(IMAGES)}."
            raise UserError("bad input", f"`target` is {target!r}.", hint)
    first = next((IMAGES[target][0] for target in chosen), "python")
    found: dict[str, str] = {}
    for line in lines:
        name, equals, reference = line.partition("=")
        name, reference = (name.strip(), reference.strip()) if equals else (first, line.strip())
        if name not in EXAMPLES or name in found:
            known = ", ".join(EXAMPLES)
            raise _bad(line, f"{name!r} is named twice or is none of {known}")
        if not _REFERENCE.fullmatch(reference):
            raise _bad(line, "an image is named by its digest")
        found[name] = reference
    return found


def _bad(line: str, why: str) -> UserError:
    return UserError(
        "bad input",
        f"`base-image` {line!r}: {why}.",
        "Write python=python:3.12-slim@sha256:<64 hex digits>; "
        "`docker buildx imagetools inspect python:3.12-slim` prints the digest.",
    )


def base(name: str, images: dict[str, str], alias: str = "") -> str:
    """Return the FROM of a Dockerfile; without a digest the image has to be a build argument."""
    tail = f" AS {alias}" if alias else ""
    if name in images:
        return f"FROM {images[name]}{tail}\n"
    return f"FROM ${{{name.upper()}_IMAGE}}{tail}\n"


def arguments(names: Iterable[str], images: dict[str, str]) -> str:
    """Return the build arguments, in front of the first FROM: those without a digest yet."""
    missing = [name for name in names if name not in images]
    return "".join(
        f"# By digest: --build-arg {name.upper()}_IMAGE={EXAMPLES[name]}@sha256:…\n"
        f"ARG {name.upper()}_IMAGE\n"
        for name in missing
    )
