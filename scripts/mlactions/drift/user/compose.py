"""Compose a Hydra config. Runs in the user's Python, so it imports nothing of ours.

Arguments: the folder of configs, the config's name, the file to write JSON to, then overrides.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Write `{"raw": …, "resolved": …, "sources": […]}`, or `{"error": …}`."""
    folder, name, out, *overrides = arguments
    try:
        answer = compose(folder, name, overrides)
    except ImportError as error:
        answer = {"error": f"No module named {error.name!r}", "missing": error.name}
    except Exception as error:  # noqa: BLE001  # whatever Hydra says, its user should read
        answer = {"error": f"{type(error).__name__}: {error}"}
    Path(out).write_text(json.dumps(answer, default=str), encoding="utf-8")


def compose(folder: str, name: str, overrides: list[str]) -> dict[str, Any]:
    """Return the composed config as written and as resolved, and the files it is made of."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    with hydra.initialize_config_dir(version_base=None, config_dir=folder):
        config = hydra.compose(config_name=name, overrides=overrides)
        loader = GlobalHydra.instance().config_loader()
        listed = loader.compute_defaults_list(name, overrides, RunMode.RUN)
        sources = [
            {"path": item.config_path, "package": item.package or ""}
            for item in listed.defaults
            if item.config_path
        ]
    return {
        "raw": OmegaConf.to_container(config, resolve=False),
        "resolved": resolved(config),
        "sources": sources,
    }


def resolved(config: Any) -> Any:
    """Return plain data; a value that cannot be resolved here stays as it is written."""
    from omegaconf import DictConfig, ListConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(config, resolve=True)
    except (OmegaConfBaseException, ValueError, TypeError):
        pass
    if isinstance(config, DictConfig):
        return {str(key): _child(config, key) for key in config}
    if isinstance(config, ListConfig):
        return [_child(config, index) for index in range(len(config))]
    return None


def _child(config: Any, key: Any) -> Any:
    from omegaconf import DictConfig, ListConfig, OmegaConf

    try:
        child = config[key]
    except Exception:  # noqa: BLE001  # a resolver of the user's may raise anything
        unresolved: Any = OmegaConf.to_container(config, resolve=False)
        return unresolved[key]
    return resolved(child) if isinstance(child, DictConfig | ListConfig) else child


if __name__ == "__main__":
    main(sys.argv[1:])
