"""The steps of the codex-action stand-in; each reads its step's environment and nothing else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import NoReturn

PROVIDER = "codex-action-responses-proxy"
STRATEGIES = ("drop-sudo", "read-only", "unprivileged-user", "unsafe")
SANDBOXES = ("read-only", "workspace-write", "danger-full-access")
LEVELS = ("admin", "write", "maintain")


def stop(message: str) -> NoReturn:
    """End the step as a failure."""
    print(message, file=sys.stderr)
    raise SystemExit(1)


def set_output(name: str, value: str) -> None:
    """Set a step output; the delimiter is random, because the value is not ours."""
    delimiter = f"ghadelimiter_{uuid.uuid4()}"
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as file:
        file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def names(variable: str) -> set[str]:
    """Split a comma-separated input."""
    return {name.strip() for name in os.environ[variable].split(",") if name.strip()}


def check_access() -> None:
    """Let in whom the inputs name, and whoever may write to the repository."""
    actor = os.environ["GITHUB_ACTOR"]
    if {actor, "*"} & names("ALLOW_USERS"):
        return
    if actor.endswith("[bot]"):
        bots = {name.removesuffix("[bot]") for name in names("ALLOW_BOT_USERS")}
        if os.environ["ALLOW_BOTS"] == "true":
            bots.add("github-actions")
        if actor.removesuffix("[bot]") in bots:
            return
    level = permission(actor)
    if level not in LEVELS:
        stop(f"Actor '{actor}' is not permitted to run this action. Detected permission: '{level}'")
    print(f"Actor '{actor}' has {level} access.")


def permission(actor: str) -> str:
    """Ask the GitHub API what an account may do; `none` where it knows no such account."""
    repository = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
    request = urllib.request.Request(  # noqa: S310 - an address of the runner
        f"{repository}/collaborators/{actor}/permission",
        headers={"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "User-Agent": "stand-in"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - as above
            return str(json.load(reply)["permission"])
    except urllib.error.HTTPError:
        return "none"


def resolve_home() -> None:
    """Settle the Codex home and check that the pinned version is the one on PATH."""
    wanted = os.environ["CODEX_VERSION"]
    found = subprocess.check_output(
        ["codex", "--version"], env=codex_environment(), text=True
    ).split()[-1]
    if wanted != found:
        stop(f"codex-version is {wanted or 'empty'!r}, the CLI under test is {found}")
    default = os.environ.get("CODEX_HOME") or str(Path.home() / ".codex")
    home = Path(os.environ["CODEX_HOME_OVERRIDE"] or default).expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    info = home / f"{os.environ['GITHUB_RUN_ID']}.json"
    set_output("codex-home", str(home))
    set_output("server-info", str(info))
    # As in the action: a file that is not empty counts as a running proxy, even a stale one.
    set_output("proxy-runs", str(info.exists() and info.stat().st_size > 0).lower())


def write_config() -> None:
    """Point Codex at the proxy: provider name in front of the user's file, its table behind."""
    config = Path(os.environ["CODEX_HOME"]) / "config.toml"
    port = json.loads(Path(os.environ["SERVER_INFO"]).read_text())["port"]
    old = config.read_text() if config.exists() else ""
    head = f'# Added by codex-action.\nmodel_provider = "{PROVIDER}"\n\n\n'
    table = (
        f"\n\n# Added by codex-action.\n[model_providers.{PROVIDER}]\n"
        'name = "Codex Action Responses Proxy"\n'
        f'base_url = "http://127.0.0.1:{port}/v1"\nwire_api = "responses"\n'
    )
    config.write_text(head + old + table)


def read_prompt() -> str:
    """Return the prompt, of which there must be exactly one."""
    text, file = os.environ["PROMPT"], os.environ["PROMPT_FILE"]
    if text.strip() and file.strip():
        stop("Only one of `prompt` or `prompt-file` may be specified.")
    return text if text.strip() else Path(file).read_text()


def command_line(folder: Path, output: Path) -> list[str]:
    """Return the command of the real action, argument by argument."""
    environment = os.environ
    strategy, sandbox = environment["SAFETY_STRATEGY"], environment["SANDBOX"]
    if strategy not in STRATEGIES or sandbox not in SANDBOXES:
        stop(f"Invalid safety strategy {strategy!r} or sandbox {sandbox!r}")
    command = ["codex", "exec", "--skip-git-repo-check", "--cd", environment["WORKING_DIRECTORY"]]
    command += ["--output-last-message", str(output), *schema_arguments(folder)]
    if environment["MODEL"]:
        command += ["--model", environment["MODEL"]]
    if environment["EFFORT"]:
        command += ["--config", f'model_reasoning_effort="{environment["EFFORT"]}"']
    more = environment["CODEX_ARGS"]
    command += json.loads(more) if more.startswith("[") else shlex.split(more)
    return [*command, "--sandbox", "read-only" if strategy == "read-only" else sandbox]


def schema_arguments(folder: Path) -> list[str]:
    """Return the schema option; an inline schema goes through a file."""
    text, file = os.environ["OUTPUT_SCHEMA"], os.environ["OUTPUT_SCHEMA_FILE"]
    if text.strip() and file.strip():
        stop("Only one of `output-schema` or `output-schema-file` may be specified.")
    if text.strip():
        path = folder / "schema.json"
        path.write_text(text)
        return ["--output-schema", str(path)]
    return ["--output-schema", file] if file.strip() else []


def codex_environment() -> dict[str, str]:
    """Return what Codex gets: act passes a composite's inputs on as INPUT_*, GitHub does not."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INPUT_")}
    return {**kept, "CODEX_INTERNAL_ORIGINATOR_OVERRIDE": "codex_github_action"}


def run() -> None:
    """Run Codex with the prompt on standard input and hand on its final message."""
    if not Path(os.environ["SERVER_INFO"]).exists():
        stop("Failed to read server info: without openai-api-key there is no proxy")
    prompt = read_prompt()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(os.environ["OUTPUT_FILE"] or f"{folder}/output.md")
        command = command_line(Path(folder), output)
        print("Running:", json.dumps(command), flush=True)
        result = subprocess.run(
            command, input=prompt.encode(), env=codex_environment(), check=False
        )
        if result.returncode:
            stop(f"codex exited with code {result.returncode}")
        set_output("final-message", output.read_text())


STEPS = {
    "check-access": check_access,
    "resolve-home": resolve_home,
    "write-config": write_config,
    "run": run,
}

if __name__ == "__main__":
    STEPS[sys.argv[1]]()
