"""MLflow, read only: over plain REST where the URI is HTTP, else through MLflow's own client.

The only package that talks to MLflow. No method that writes exists.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlactions.mlflow_store.model import (
    Artifact,
    Counters,
    Dataset,
    Experiment,
    ModelVersion,
    Point,
    Run,
    State,
    Store,
    StoreError,
)

__all__ = [
    "Artifact",
    "Counters",
    "Dataset",
    "Experiment",
    "ModelVersion",
    "Point",
    "Run",
    "State",
    "Store",
    "StoreError",
    "caution",
    "open_store",
]


def open_store(uri: str, environ: Mapping[str, str]) -> Store:
    """Return the store at a tracking URI; use it in a `with` block.

    `environ` is the caller's environment: MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN and the like
    are read from it. Nothing is sent before the first question.
    """
    uri = uri.strip()
    if not uri:
        hint = "Write for example `https://mlflow.example.org` or `sqlite:///mlflow.db`."
        raise StoreError("bad input", "the tracking URI is empty.", hint, state="bad-request")
    if uri.lower().startswith(("http://", "https://")):
        from mlactions.mlflow_store.rest import RestStore

        return RestStore.at(uri, environ)
    from mlactions.mlflow_store.client import ClientStore  # MLflow's import takes seconds

    return ClientStore.at(uri, environ)


def caution(uri: str, environ: Mapping[str, str]) -> str:
    """Return a warning where credentials would travel in the clear, else nothing."""
    from mlactions.mlflow_store.address import caution as in_the_clear

    return in_the_clear(uri, environ)
