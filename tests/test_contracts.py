"""YAML, documentation and code say the same: inputs, variables, options, outputs, pins, files."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from dev import docs
from dev.lint_model import Document, Step, as_mapping, documents
from mlactions.__main__ import WORDS
from mlactions.codex_home.request import OWN_EVENTS

ROOT = Path(__file__).resolve().parents[1]
LIBRARY: Mapping[str, Document] = {document.name: document for document in documents(ROOT)}
ACTIONS = {name: document for name, document in LIBRARY.items() if document.is_action}
WORKFLOWS = {name: document for name, document in LIBRARY.items() if not document.is_action}
COMMON_OUTPUTS = {"status", "bundle", "result", "report"}
# Options that no action offers, and why.
LOCAL = {
    "out": "on a runner results go to our own folder",
    "today": "repeats an old verdict on a laptop",
    "ask": "in a workflow `ask` is a job of its own",
    "verbose": "a job summary unfolds by itself",
    "check": "a pull request shows what would change",
    "allow": "a person who knows why does it on a laptop; nobody watches a schedule",
    "url": "in a workflow the servers are started",
    "double_run": "in a workflow user code runs in a job of its own",
    "sarif": "on a runner it stands in our own folder, and is an output",
    "write_baseline": "a pull request shows what becomes old, and a person commits it",
}
CALLERS = {"actions/ask/action.yml", "actions/propose/action.yml"}
"""The actions that call Codex."""

COMMAND_LINE_ONLY = {"codex-home", "doctor", "init"}
"""Words for people: who call Codex themselves, who set up a repository."""

COMMANDS = {
    "action.yml": (("evaluate",), ("compare",)),
    "actions/evaluate/action.yml": (("evaluate",),),
    "actions/compare/action.yml": (("compare",),),
    "actions/compare/update/action.yml": (("compare", "update"),),
    "actions/analyze/action.yml": (("analyze",),),
    "actions/audit/action.yml": (("audit", "check"),),
    "actions/audit/measure/action.yml": (("audit", "measure"),),
    "actions/ask/action.yml": (("ask", "prepare"), ("ask", "verify")),
    "actions/comment/action.yml": (("comment",),),
    "actions/discover/action.yml": (("discover",),),
    "actions/diagnose/action.yml": (("diagnose",),),
    "actions/diagnose/probe/action.yml": (("diagnose", "probe"),),
    "actions/drift/action.yml": (("drift",),),
    "actions/sweep/action.yml": (("sweep",),),
    "actions/sweep/next/action.yml": (("sweep", "next"),),
    "actions/sweep/status/action.yml": (("sweep", "status"),),
    "actions/train/action.yml": (("train",),),
    "actions/note/action.yml": (("note", "check"),),
    "actions/note/close/action.yml": (("note", "close"),),
    "actions/export/action.yml": (("export",),),
    "actions/export/measure/action.yml": (("export", "measure"),),
    "actions/export/verify/action.yml": (("export", "verify"),),
    "actions/export/smoke/action.yml": (("export", "smoke"),),
    "actions/export/retry/action.yml": (("export", "retry"),),
    "actions/propose/action.yml": (("propose", "prepare"), ("propose", "take")),
    "actions/propose/check/action.yml": (("propose", "check"),),
    "actions/propose/publish/action.yml": (("propose", "publish"),),
}
# A retry hands out no model, so nothing serves it.
USELESS: Mapping[tuple[str, ...], set[str]] = {
    ("compare", "update"): {"key"},
    ("export", "retry"): {"target", "base_image", "name"},
    ("audit", "check"): {"workers", "python", "timeout_minutes"},  # they belong to `double_run`
}
# Actions without a report of their own: they change a file, or leave the verdict to another job.
PARTIAL = {
    "actions/compare/update/action.yml",
    "actions/audit/measure/action.yml",
    "actions/diagnose/probe/action.yml",
    "actions/export/measure/action.yml",
}
# Actions for a workflow of one step, which the reusable workflows do not use.
FRONT_DOORS = {"action.yml", "actions/export/action.yml"}
REUSABLE = sorted(name for name in WORKFLOWS if "workflow_call" in WORKFLOWS[name].triggers)
HEADINGS = ["## Use", "## Inputs and outputs", "## Permissions", "## What it never does"]


def options(path: tuple[str, ...]) -> dict[str, Any]:
    """Return a command's options, and arguments, by the variable that sets each."""
    command: Any = importlib.import_module(WORDS[path[0]][0]).command
    for name in path[1:]:
        command = command.get_command(click.Context(command), name)
    found = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option | click.Argument):
            assert isinstance(parameter.envvar, str), f"{path}: {parameter.name} names no variable"
            found[parameter.envvar] = parameter
    return found


def inputs(document: Document) -> Mapping[str, Any]:
    if document.is_action:
        return as_mapping(document.data.get("inputs"))
    return as_mapping(document.data["on"]["workflow_call"].get("inputs"))


def variable(name: str) -> str:
    return "INPUT_" + name.upper().replace("-", "_")


def environment(document: Document) -> dict[str, str]:
    """Return what an action's scripts get."""
    return {
        name: str(value)
        for _, step in document.steps()
        for name, value in as_mapping(step.data.get("env")).items()
    }


def test_every_action_is_known_here_and_every_word_has_one() -> None:
    assert sorted(ACTIONS) == sorted(COMMANDS)
    words = WORDS.keys() - COMMAND_LINE_ONLY
    assert {f"actions/{word}/action.yml" for word in words} <= set(ACTIONS)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_input_reaches_its_variable_and_nothing_else_does(name: str) -> None:
    document, given = ACTIONS[name], environment(ACTIONS[name])
    used = document.text[document.text.index("\nruns:") :]
    for input_name in inputs(document):
        assert re.search(rf"inputs\.{input_name}\b(?!-)", used), f"{input_name} is never used"
        if variable(input_name) in given:
            assert given[variable(input_name)] == f"${{{{ inputs.{input_name} }}}}"
    named = {variable(input_name) for input_name in inputs(document)}
    derived = {"INPUT_HAS_KEY", "INPUT_CODEX_OUTCOME"} if name in CALLERS else set()
    assert {key for key in given if key.startswith("INPUT_")} <= named | derived


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_variable_is_read_by_an_option(name: str) -> None:
    known = {key for path in COMMANDS[name] for key in options(path)}
    given = {key for key in environment(ACTIONS[name]) if key.startswith("INPUT_")}
    assert given <= known


@pytest.mark.parametrize("name", sorted(set(ACTIONS) - {"action.yml"}))
def test_every_option_is_an_input_or_local_for_a_reason(name: str) -> None:
    given = set(environment(ACTIONS[name]))
    for path in COMMANDS[name]:
        left_out = {option.name for key, option in options(path).items() if key not in given}
        left_out -= USELESS.get(path, set())
        assert left_out <= set(LOCAL), f"{path}: {left_out - set(LOCAL)}"


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_defaults_and_duties_of_inputs_are_those_of_the_options(name: str) -> None:
    found = {key: option for path in COMMANDS[name] for key, option in options(path).items()}
    for input_name, about in inputs(ACTIONS[name]).items():
        option = found.get(variable(input_name))
        default = str(about.get("default", ""))
        if option is None or "${{" in default or about.get("required") == "true":
            continue
        assert not option.required, input_name
        if isinstance(option.default, bool):
            assert default == str(option.default).lower(), input_name
        elif isinstance(option.default, str | int):
            assert default == str(option.default), input_name
        if isinstance(option.type, click.Choice) and default:
            assert default in option.type.choices, input_name


@pytest.mark.parametrize("name", sorted(set(ACTIONS) - PARTIAL))
def test_outputs_are_the_common_ones_and_come_from_the_step_of_the_same_name(name: str) -> None:
    outputs = as_mapping(ACTIONS[name].data["outputs"])
    assert set(outputs) >= COMMON_OUTPUTS
    package = ROOT / "scripts" / "mlactions"
    code = "".join(path.read_text() for path in sorted(package.rglob("*.py")))
    for output, about in outputs.items():
        assert re.fullmatch(
            rf"\$\{{\{{ steps\.(run|verify)\.outputs\.{output} \}}\}}", about["value"]
        )
        assert f'"{output}"' in code or f"{output}=%s" in ACTIONS[name].text, output
        assert about["description"]


def test_the_front_door_is_the_sum_of_evaluate_and_compare() -> None:
    parts = inputs(ACTIONS["actions/compare/action.yml"])
    evaluate = inputs(ACTIONS["actions/evaluate/action.yml"])
    for name, about in inputs(ACTIONS["action.yml"]).items():
        assert about in (parts.get(name), evaluate.get(name)), name


def test_the_whole_export_is_the_sum_of_its_parts() -> None:
    words = ("measure", "verify", "smoke")
    parts = [inputs(ACTIONS[f"actions/export/{word}/action.yml"]) for word in words]
    found = inputs(ACTIONS["actions/export/action.yml"])
    # What is about another job: its bundle, and whose commit that is.
    given = set(parts[0]) | set(parts[1]) - {"bundle", "head-sha"}
    assert set(found) == given | {"smoke", "serving-python"}
    for name in set(found) - {"smoke"}:
        assert found[name] in [part.get(name) for part in parts], name


@pytest.mark.parametrize("name", REUSABLE)
def test_every_input_of_a_reusable_workflow_is_described_and_used(name: str) -> None:
    workflow = WORKFLOWS[name]
    used = workflow.text[workflow.text.index("\njobs:") :]
    for given, about in inputs(workflow).items():
        assert about["description"], given
        assert about["type"] in {"string", "number", "boolean"}, given
        assert ("default" in about) != (about.get("required") == "true"), given
        assert re.search(rf"inputs\.{given}\b(?!-)", used), f"{given} is never used"


def own_calls() -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield every use of our own actions and workflows: file, callee, inputs, secrets."""
    for name, document in LIBRARY.items():
        for job in document.jobs:
            calls = [(job.data, "uses" in job.data)]
            calls += [(step.data, "uses" in step.data) for step in job.steps]
            for data, calls_something in calls:
                callee = _own(str(data["uses"])) if calls_something else None
                if callee is not None:
                    secrets = as_mapping(data.get("secrets"))
                    yield name, callee, as_mapping(data.get("with")), secrets


def _own(uses: str) -> str | None:
    path = uses.partition("@")[0]
    for prefix in ("$/", f"{docs.OWN}/"):
        if path.startswith(prefix):
            below = path.removeprefix(prefix)
            return below if below.endswith(".yml") else f"{below}/action.yml"
    return "action.yml" if path == docs.OWN else None


def test_our_own_actions_are_called_with_inputs_they_have() -> None:
    calls = list(own_calls())
    assert {callee for _, callee, _, _ in calls} >= set(ACTIONS) - FRONT_DOORS
    for name, callee, given, secrets in calls:
        known = inputs(LIBRARY[callee])
        assert set(given) <= set(known), f"{name} calls {callee}"
        required = {key for key, about in known.items() if about.get("required") == "true"}
        assert required <= set(given), f"{name} calls {callee}"
        if callee in REUSABLE:
            declared = LIBRARY[callee].data["on"]["workflow_call"]["secrets"]
            assert set(secrets) <= set(declared)


_OWN_EVENTS = re.compile(r"\$\{\{ contains\(fromJSON\('(\[.*\])'\), github\.event_name\) \}\}")
_GATED = re.compile(r"\$\{\{ needs\.\w+\.outputs\.own == 'true' && secrets\.[\w-]+ \|\| '' \}\}")


def test_credentials_stand_beside_codex_only_where_the_code_is_the_repository_s_own() -> None:
    found = []
    for name, document in WORKFLOWS.items():
        for job in document.jobs:
            for step in job.steps:
                if not step.runs_action("ask"):
                    continue
                environ = as_mapping(step.data.get("env")) | as_mapping(job.data.get("env"))
                held = [str(value) for value in environ.values() if "secrets." in str(value)]
                assert all(map(_GATED.fullmatch, held)), f"{name}: {held}"
                found += held
    assert len(found) >= 4, "MLflow's and the Hub's"


_INSTALLED = re.compile(
    r"\$\{\{ \(steps\.key\.outputs\.own == 'true' \|\| inputs\.install == ''\)"
    r" && secrets\.[\w-]+ \|\| '' \}\}"
)


def test_credentials_stand_beside_installed_code_only_where_it_is_the_repository_s_own() -> None:
    found = []
    for name, document in WORKFLOWS.items():
        for job in document.jobs:
            if not any("inputs.install" in str(step.data.get("env")) for step in job.steps):
                continue
            for step in job.steps:
                environ = as_mapping(step.data.get("env"))
                held = [value for key, value in environ.items() if key.startswith("MLFLOW_")]
                held = [str(value) for value in held if "secrets." in str(value)]
                assert all(map(_INSTALLED.fullmatch, held)), f"{name}, job {job.name}: {held}"
                found += held
    assert len(found) == 3, "those of drift"


def test_the_events_of_own_code_are_those_of_the_code() -> None:
    texts = [path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")]
    lists = [json.loads(found) for text in texts for found in _OWN_EVENTS.findall(text)]
    assert len(lists) >= 2
    assert all(set(names) == OWN_EVENTS for names in lists)


def test_every_artifact_that_is_fetched_was_kept() -> None:
    for name, document in WORKFLOWS.items():
        kept = [_artifact(s) for _, s in document.steps() if s.uses == "actions/upload-artifact"]
        for _, step in document.steps():
            if step.uses != "actions/download-artifact" or "run-id" in step.given:
                continue
            wanted = _artifact(step)
            if wanted == "x":
                continue  # an input or an output names it: it was kept elsewhere
            assert any(fnmatch(artifact, wanted) for artifact in kept), f"{name}: {wanted}"


def _artifact(step: Step) -> str:
    name = str(step.given.get("name") or step.given["pattern"])
    return re.sub(r"\$\{\{.*?\}\}", "x", name)


def test_one_pin_per_action() -> None:
    pins: dict[str, set[str]] = {}
    for document in LIBRARY.values():
        for match in re.finditer(r"uses: ([\w./-]+)@(\S+ # \S+)", document.text):
            name = docs.OWN if match[1].startswith(docs.OWN) else match[1]
            pins.setdefault(name, set()).add(match[2])
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_one_version_of_uv_and_no_cache() -> None:
    steps = [
        step
        for document in ACTIONS.values()
        for _, step in document.steps()
        if step.uses == "astral-sh/setup-uv"
    ]
    assert len(steps) == len(ACTIONS)
    assert {step.given["version"] for step in steps} == {"0.13.9"}
    assert {step.given["enable-cache"] for step in steps} == {"false"}


def test_dependabot_looks_into_every_folder_that_pins_an_action() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    actions = next(entry for entry in updates if entry["package-ecosystem"] == "github-actions")
    folders = {"/" + name.rpartition("/")[0] for name in ACTIONS} | {"/", "/workflows"}
    assert sorted(actions["directories"]) == sorted(folders)
    assert all(entry["cooldown"]["default-days"] >= 7 for entry in updates)


def test_prompts_and_answer_schema_are_there() -> None:
    for word in ("evaluate", "compare", "export", "ask"):
        name = f"{word}/prompt.md"
        assert (ROOT / "actions" / name).read_text().strip(), name
    assert '"additionalProperties": false' in (ROOT / "actions/ask/answer.schema.json").read_text()


def test_the_comment_for_forks_follows_the_template_gate() -> None:
    follower = WORKFLOWS["workflows/gate-fork-comment.yml"].data["on"]["workflow_run"]["workflows"]
    names = {WORKFLOWS[f"workflows/{name}.yml"].data["name"] for name in ("gate", "gate-jobs")}
    assert set(follower) == names


def test_the_written_out_gate_has_the_jobs_of_the_reusable_one() -> None:
    reusable = {job.name: job for job in WORKFLOWS[".github/workflows/gate.yml"].jobs}
    written = {job.name: job for job in WORKFLOWS["workflows/gate-jobs.yml"].jobs}
    assert list(written) == [name for name in reusable if name != "plan"]
    for name, job in written.items():
        assert job.permissions == reusable[name].permissions


def test_generated_documentation_is_up_to_date() -> None:
    assert docs.main(["--check"]) == 0


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_action_has_a_page_with_its_tables(name: str) -> None:
    page = ROOT / ("README.md" if name == "action.yml" else name.replace("action.yml", "README.md"))
    block = "gate" if name == "action.yml" else name.split("/", 1)[1].rpartition("/")[0]
    text = page.read_text()
    assert f"<!-- inputs:{block} -->" in text
    for input_name in inputs(ACTIONS[name]):
        assert f"| `{input_name}` |" in text, input_name
    if name != "action.yml":
        for heading in (
            "## Use",
            "## Inputs and outputs",
            "## Permissions",
            "## What it never does",
        ):
            assert heading in text, heading


def test_a_stale_block_is_written_anew_and_an_unknown_one_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "actions", tmp_path / "actions")
    stale = "a\n<!-- inputs:compare -->\nstale\n<!-- /inputs:compare -->\nb\n"
    filled = docs.fill(stale, tmp_path)
    assert "stale\n" not in filled
    assert "| `on-inconclusive` | `fail` |" in filled
    assert filled.startswith("a\n<!-- inputs:compare -->\n")
    assert filled.endswith("<!-- /inputs:compare -->\nb\n")
    assert docs.fill(filled, tmp_path) == filled
    with pytest.raises(KeyError):
        docs.fill("<!-- nonsense:x -->\n<!-- /nonsense:x -->\n", tmp_path)


def test_a_release_pins_every_use_of_our_own_and_nothing_else() -> None:
    text = (ROOT / "workflows/gate-jobs.yml").read_text()
    pinned = docs.pin(text, "a" * 40, "v9.8.7")
    uses = re.findall(r"uses: (\S+)@(\S+) # (\S+)", pinned)
    ours = {found[1:] for found in uses if found[0].startswith(docs.OWN)}
    assert ours == {("a" * 40, "v9.8.7")}
    before = re.findall(r"uses: (\S+)@(\S+) # (\S+)", text)
    assert [u for u in uses if u[1] != "a" * 40] == [u for u in before if u[1] != "0" * 40]
