"""Compose configs of a sweep. Runs in the user's Python, so it imports nothing of ours.

Arguments: the file of the question, the file for the answer; both JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Answer `{"groups", "configs", "values", "files"}`, or `{"error"}`, or `{"missing"}`."""
    question = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        answer = answered(question)
    except ImportError as error:
        answer = {"error": f"ImportError: {error}", "missing": error.name or ""}
    except Exception as error:  # noqa: BLE001  # whatever Hydra says, its user should read
        answer = {"error": told(error)}
    text = json.dumps(answer, default=str, ensure_ascii=False)
    Path(arguments[1]).write_text(text, encoding="utf-8", errors="surrogatepass")


def told(error: Exception) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """Compose what is asked for."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    sys.path.insert(0, str(Path.cwd()))
    for name in question["imports"]:
        importlib.import_module(name)  # resolvers and ConfigStore entries are registered there
    with hydra.initialize_config_dir(version_base=None, config_dir=question["config_dir"]):
        loader = GlobalHydra.instance().config_loader()
        groups = {key: loader.get_group_options(key.split("@")[0]) for key in question["keys"]}
        configs = [composed(question["config_name"], item) for item in question["choices"]]
        values = [tried(configs[item["choice"]][0], item) for item in question["values"]]
        files = [read_back(question["config_name"], item) for item in question["files"]]
    return {
        "groups": {key: options for key, options in groups.items() if options},
        "configs": [described for _, described in configs],
        "values": values,
        "files": files,
    }


def composed(name: str, overrides: list[str]) -> tuple[Any, dict[str, Any]]:
    """Return a config, and what there is to say of it."""
    import hydra
    from omegaconf import OmegaConf

    try:
        config = hydra.compose(config_name=name, overrides=overrides)
        return config, {"raw": OmegaConf.to_container(config, resolve=False)}
    except Exception as error:  # noqa: BLE001  # see main
        return None, {"error": told(error)}


def tried(config: Any, item: dict[str, Any]) -> str:
    """Set a value in a copy, as Hydra would; return the error, or nothing."""
    from copy import deepcopy

    from omegaconf import OmegaConf

    if config is None:
        return ""
    try:
        OmegaConf.update(deepcopy(config), item["name"], item["value"], force_add=item["add"])
    except Exception as error:  # noqa: BLE001  # see main
        return told(error)
    return ""


def read_back(name: str, item: dict[str, Any]) -> dict[str, Any]:
    """Compose an override file with the config; return what arrived at the given names."""
    config, described = composed(name, [f"+{item['group']}={item['file']}"])
    if config is None:
        return described
    found = {}
    for key in item["names"]:
        place: Any = described["raw"]
        for part in key.split("."):
            place = place.get(part) if isinstance(place, dict) else None
        found[key] = place
    return {"values": found}


if __name__ == "__main__":
    main(sys.argv[1:])
