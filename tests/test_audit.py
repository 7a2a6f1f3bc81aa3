"""The audit's command: verdicts, baselines, the double run, SARIF, history, and what agents say."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dev.audit_rules import read_snippets
from mlactions.__main__ import run
from mlactions.ask.repository import Repository
from mlactions.audit import twice
from mlactions.audit.baseline import fingerprint
from mlactions.audit.model import Finding, Place
from mlactions.audit.proposal import check_proposal, render_proposal
from mlactions.audit.render import render
from mlactions.audit.score import score
from mlactions.errors import UserError
from mlactions.html import render as html
from mlactions.markdown import render as markdown
from mlactions.runner import Runner
from mlactions.schema import validate
from tests.test_sarif import FOLDER, validated

UNSEEDED = """
import torch

def main():
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters())
    model(torch.ones(1)).backward()
    optimizer.step()

if __name__ == "__main__":
    main()
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name if "/" in name else name.replace("__", "/").replace("_py", ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def command(*arguments: str, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    stream = io.StringIO()
    code = run(["audit", *arguments], Runner(environ or {}, stream))
    return code, stream.getvalue()


def result_of(out: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    validate(result, "audit-result", file="result.json")
    return result


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def commit(folder: Path, message: str = "change") -> str:
    options = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(folder)]
    if not (folder / ".git").exists():
        subprocess.run(["git", *options, "init", "-q", "-b", "main"], check=True)
    subprocess.run(["git", *options, "add", "-A"], check=True)
    subprocess.run(["git", *options, "commit", "-q", "-m", message], check=True)
    head = ["git", *options, "rev-parse", "HEAD"]
    return subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()


def test_an_error_fails_and_names_the_place(here: Path) -> None:
    write(here, train_py=UNSEEDED)
    code, said = command("--out", "out")
    result = result_of(here / "out")
    assert (code, result["status"]) == (1, "fail")
    assert "train.py:10: a training program sets no seed." in said
    assert result["programs"][0]["seeds"] == "nothing"


def test_a_seeded_program_passes(here: Path) -> None:
    write(here, train_py=UNSEEDED.replace("def main():", "def main():\n    torch.manual_seed(1)"))
    assert command("--out", "out")[0] == 0
    result = result_of(here / "out")
    assert result["status"] == "pass"
    assert result["score"] == 100


def test_several_programs_are_followed_from_their_starts(here: Path) -> None:
    seeded = UNSEEDED.replace("def main():", "def main():\n    torch.manual_seed(1)")
    write(here, train_py=seeded, tune_py=seeded)
    assert "2 training programs followed from their starts." in command("--out", "out")[1]


def test_the_help_names_the_command_that_measures(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--help",), ("check", "--help")):
        assert command(*arguments)[0] == 0
        said = capsys.readouterr().out
        assert re.search(r"\nCommands:\n  measure  Run a command twice", said)
        assert "--write-baseline" in said


def test_a_warning_fails_only_where_that_is_asked_for(here: Path) -> None:
    write(here, load_py="import torch\ntorch.load('a')\n")
    assert command("--out", "out")[0] == 0
    assert command("--out", "out", "--fail-on", "warn")[0] == 1
    assert result_of(here / "out")["status"] == "warn"


@pytest.mark.parametrize("files", [{"notes.txt": "x"}, {"tests/test_a.py": "x = 1"}, {"a.py": "("}])
def test_nothing_to_audit_is_no_pass(files: dict[str, str], here: Path) -> None:
    for name, text in files.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(text)
    code, said = command("--out", "out")
    assert (code, result_of(here / "out")["status"]) == (1, "fail")
    assert "Nothing was audited" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing",), "there is no `missing`"),
        (("../..",), "leads out of the working directory"),
        (("--write-baseline",), "has no `--baseline`"),
        (("--trend", "x"), "`trend` is 'x'"),
        (("--baseline", "none.json"), "none.json"),
        (("--working-directory", "nowhere"), "no folder"),
        (("--measured", "m", "--double-run", "x"), "exclude each other"),
        (("--double-run", "a | b"), "needs a shell"),
        (("--double-run", "a {outptu}"), "no placeholder"),
        (("--double-run", "a", "--workers", "2"), "two counts"),
        (("--double-run", "no-such-program-anywhere"), "No such file"),
    ],
)
def test_bad_input_is_said(arguments: tuple[str, ...], said: str, here: Path) -> None:
    write(here, a_py="x = 1\n")
    code, text = command(*arguments, "--out", "out")
    assert code == 2
    assert said in text


def test_a_baseline_knows_findings_after_lines_moved(here: Path) -> None:
    write(here, a_py="import torch\ntorch.load('a')\ntorch.load('b')\n")
    command("--baseline", "old.json", "--write-baseline", "--out", "out")
    text = "import torch\n\n\ndef f():\n    torch.load('b')\ntorch.load('a')\ntorch.load('c')\n"
    write(here, a_py=text)
    command("--baseline", "old.json", "--out", "out")
    result = result_of(here / "out")
    assert [item["quote"] for item in result["findings"]] == ["torch.load('c')"]
    assert result["baseline"]["known"] == 2
    assert result["score"] < 100  # what is old is still there


def test_a_known_finding_answers_once_and_mended_ones_are_named(here: Path) -> None:
    write(here, a_py="import torch\ntorch.load(x)\n", b_py="import torch\ntorch.load(y)\n")
    command("--baseline", "old.json", "--write-baseline", "--out", "out")
    write(here, a_py="import torch\ntorch.load(x)\ntorch.load(x)\n", b_py="x = 1\n")
    command("--baseline", "old.json", "--out", "out")
    result = result_of(here / "out")
    assert len(result["findings"]) == 1
    assert result["baseline"]["gone"] == [{"rule": "torch-load-unsafe", "file": "b.py"}]


def test_on_a_pull_request_the_baseline_of_the_base_counts(here: Path) -> None:
    write(here, a_py="x = 1\n")
    base = commit(here)
    write(here, a_py="import torch\ntorch.load(x)\n")
    command("--baseline", "old.json", "--write-baseline", "--out", "out")
    command("--baseline", "old.json", "--base-ref", base, "--out", "out")
    assert len(result_of(here / "out")["findings"]) == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "findings": []}', '{"a": 1, "a": 2}'])
def test_a_broken_baseline_is_bad_input(text: str, here: Path) -> None:
    write(here, a_py="x = 1\n")
    (here / "old.json").write_text(text)
    code, said = command("--baseline", "old.json", "--out", "out")
    assert code == 2
    assert "old.json" in said


def test_the_fingerprint_survives_what_does_not_matter() -> None:
    one = Finding("r", "warning", "a.py", Place(3), "message", "torch.load( x )", 3, 3)
    other = one.at(place=Place(9, 2), message="reworded", quote="torch.load(  x )", level="note")
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(one.at(file="b.py"))


def test_the_score_halves() -> None:
    note = Finding("r", "note", "a.py", Place(1), "")
    assert score([]) == 100
    assert score([note] * 50) == 50
    assert score([note.at(level="error")] * 5) == 50


def test_the_score_over_commits_is_that_of_each_tree(here: Path) -> None:
    write(here, a_py="import torch\ntorch.load(x)\n")
    commit(here)
    write(here, a_py="import torch\n")
    commit(here)
    command("--trend", "5", "--out", "out")
    trend = result_of(here / "out")["trend"]
    assert [(point["warning"], point["score"]) for point in trend] == [
        (1, 95.9),
        (0, 100),
        (0, 100),
    ]
    assert "Score over time" in (here / "out/report.md").read_text()


def test_sarif_and_annotations_name_files_as_the_repository_does(here: Path) -> None:
    write(here, ml__a_py="import torch\ntorch.load(x)\n")
    commit(here)
    environ = {"GITHUB_ACTIONS": "true", "RUNNER_TEMP": str(here / "temp")}
    code, said = command("--working-directory", "ml", "--sarif", "a.sarif", environ=environ)
    log = json.loads((here / "a.sarif").read_text())
    (found,) = log["runs"][0]["results"]
    place = found["locations"][0]["physicalLocation"]
    assert (code, place["artifactLocation"]["uri"]) == (0, "ml/a.py")
    assert place["region"]["startLine"] == 2
    assert "::warning file=ml/a.py,line=2," in said
    assert log == json.loads((here / "temp/mlactions/audit/audit.sarif").read_text())


def test_sarif_is_what_the_standard_and_github_ask_for(here: Path, tmp_path: Path) -> None:
    for number, snippet in enumerate(read_snippets()):
        for name, text in snippet.files.items():
            write(here, **{f"s{number}/{name}": text})
    command("--out", "out")
    log = json.loads((here / "out/audit.sarif").read_text())
    assert len(log["runs"][0]["results"]) > 150
    assert validated(log, tmp_path) == ""
    schema = next(FOLDER.glob("node_modules/@microsoft/*/sarif-2.1.0.json"))
    Draft202012Validator(json.loads(schema.read_text(encoding="utf-8-sig"))).validate(log)


def test_the_same_tree_gives_the_same_bytes(here: Path) -> None:
    write(here, train_py=UNSEEDED, a_py="import torch\ntorch.load(x)\n")
    texts = []
    for name in ("one", "two"):
        command("train.py", "a.py", "--out", name)
        texts.append((here / name / "result.json").read_bytes())
    assert texts[0] == texts[1]


SCRIPT = """
import json, os, sys
sys.path.insert(0, {helper!r})
from mlactions_record import record
out, workers = sys.argv[1], sys.argv[2]
for step in range(6):
    loss = 1.0 / (step + 1)
    if step >= {step}:
        {change}
    record(step, {{"head.weight": loss * 2, "tail.weight": 3.0}}, {{"loss": loss}})
found = {{"loss": loss, "seconds": os.getpid()}}
open(os.path.join(out, "metrics.json"), "w").write(json.dumps(found))
"""
HELPER = str(Path(__file__).resolve().parents[1] / "scripts")


def twice_here(here: Path, step: int, change: str, *more: str) -> tuple[int, dict[str, Any]]:
    write(here, run_py=SCRIPT.format(helper=HELPER, step=step, change=change))
    line = f"{sys.executable} run.py {{output}} {{workers}}"
    code, _ = command("--double-run", line, "--python", sys.executable, "--out", "out", *more)
    return code, result_of(here / "out")


def test_equal_runs_pass(here: Path) -> None:
    code, result = twice_here(here, 9, "pass")
    measured = result["measured"]
    assert (code, measured["status"]) == (0, "pass")
    assert [item["equal"] for item in measured["comparisons"]] == [True, True]
    assert measured["comparisons"][0]["steps"] == 6
    assert measured["comparisons"][0]["metrics"] == 1  # the process id is no result


def test_the_first_step_that_differs_is_named(here: Path) -> None:
    code, result = twice_here(here, 4, "loss += int.from_bytes(os.urandom(4), 'big')")
    (again, _) = result["measured"]["comparisons"]
    assert (code, result["status"]) == (1, "fail")
    assert again["first"] == {"step": 4, "metric": "loss", "tensor": "head.weight"}
    assert "first at step 4, in metric loss and tensor head.weight" in result["verdict"]


def test_a_difference_between_worker_counts_is_a_warning(here: Path) -> None:
    code, result = twice_here(here, 2, "loss += int(workers)")
    assert (code, result["status"]) == (0, "warn")
    assert "one with 2 workers differs: first at step 2" in result["measured"]["verdict"]


def test_a_run_that_fails_proves_nothing(here: Path) -> None:
    code, result = twice_here(here, 2, "raise RuntimeError('no data')")
    assert (code, result["measured"]["status"]) == (1, "fail")
    assert "no data" in result["verdict"]
    assert "no data" in (here / "out/report.md").read_text()


def test_a_run_that_fails_says_its_exception_and_not_the_last_line(here: Path) -> None:
    change = "atexit.register(print, 'Set the environment variable HYDRA_FULL_ERROR=1 for it.')"
    write(here, run_py=f"import atexit\n{change}\nraise LookupError('no such split')\n")
    command("--double-run", f"{sys.executable} run.py", "--out", "out")
    verdict = result_of(here / "out")["verdict"]
    assert "LookupError: no such split" in verdict
    assert "HYDRA_FULL_ERROR" not in verdict


def test_a_run_that_leaves_nothing_proves_nothing(here: Path) -> None:
    write(here, run_py="x = 1\n")
    line = f"{sys.executable} run.py"
    code, _ = command("--double-run", line, "--out", "out")
    assert code == 1
    assert "compared nothing" in result_of(here / "out")["verdict"]


def test_what_was_measured_elsewhere_is_read(here: Path) -> None:
    write(here, run_py=SCRIPT.format(helper=HELPER, step=3, change="loss += os.getpid()"))
    line = f"{sys.executable} run.py {{output}} 0"
    assert command("measure", "--double-run", line, "--out", "measured")[0] == 1
    code, said = command("--measured", "measured", "--out", "out")
    assert code == 1
    assert "first at step 3" in said
    write(here, a_py="x = 1\n")
    commit(here)
    document = json.loads((here / "measured/double-run.json").read_text())
    assert document["commit"] == ""


def test_a_changed_bundle_is_refused(here: Path) -> None:
    write(here, run_py=SCRIPT.format(helper=HELPER, step=9, change="pass"))
    line = f"{sys.executable} run.py {{output}} 0"
    command("measure", "--double-run", line, "--out", "measured")
    path = here / "measured/double-run.json"
    path.write_text(path.read_text().replace('"pass"', '"warn"'))
    assert command("--measured", "measured", "--out", "out")[0] == 2


def test_broken_records_are_bad_input(here: Path) -> None:
    write(here, run_py="import os\nopen(os.environ['MLACTIONS_STEPS'], 'w').write('{}\\n')\n")
    code, said = command("--double-run", f"{sys.executable} run.py", "--out", "out")
    assert code == 2
    assert "steps.jsonl" in said


def made(name: str, **changes: Any) -> twice.Run:
    values = {"name": name, "workers": "0", "ended": "ok", "seconds": 1.0, **changes}
    return twice.Run(**values)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"metrics": {"m: loss": "nan"}}, {"metrics": {"m: loss": "nan"}}, True),
        ({"metrics": {"m: loss": "0.1"}}, {"metrics": {"m: loss": "0.10000000000000002"}}, False),
        ({"metrics": {"m: loss": "1"}}, {"metrics": {"m: acc": "1"}}, False),
        ({"tensors": {"a": "x"}}, {"tensors": {"a": "x", "b": "y"}}, False),
        (
            {"metrics": {"m: seconds": "1", "m: l": "1"}},
            {"metrics": {"m: seconds": "2", "m: l": "1"}},
            True,
        ),
        ({"steps": ((0, {"w": "a"}, {}),)}, {"steps": ()}, False),
    ],
)
def test_runs_are_compared(one: dict[str, Any], other: dict[str, Any], equal: bool) -> None:
    assert twice.compare(made("first", **one), made("again", **other)).equal is equal


def repository(folder: Path) -> Repository:
    return Repository(folder, "", commit(folder), "")


def said(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "own-generator",
        "level": "warning",
        "file": "train.py",
        "line": 7,
        "quote": "    model(torch.ones(1)).backward()",
        "explanation": "It draws from its own generator.",
        "fix": "Seed it.",
        "facts": [],
        "evidence": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"quote": "model( torch.ones(1) )"}, "does not say"),
        ({"quote": "optimizer.step()"}, "does not say"),
        ({"line": 8}, "does not say"),
        ({"line": 900}, "has no line 900"),
        ({"line": 0}, "has no line 0"),
        ({"quote": ""}, "is not quoted"),
        ({"quote": "("}, "is not quoted"),
        ({"file": "gone.py"}, "the file"),
        ({"file": "../../etc/passwd"}, "the file"),
        ({"facts": ["audit.nothing"]}, "no fact"),
        ({"evidence": [{"file": "train.py", "line": 2, "quote": "import torch"}]}, ""),
        ({"evidence": [{"file": "train.py", "line": 3, "quote": "import torch"}]}, "its evidence"),
        ({"evidence": [{"file": "no.py", "line": 3, "quote": "import torch"}]}, "its evidence"),
        ({"level": "error"}, ""),
    ],
)
def test_an_agents_finding_is_held_against_the_line(
    changes: dict[str, Any], why: str, here: Path
) -> None:
    write(here, train_py=UNSEEDED)
    value = {"findings": [said(**changes)]}
    checked = check_proposal(value, facts={}, repository=repository(here), bundle=here)
    (entry,) = checked.document["findings"]
    assert entry["level"] == "warning"  # whatever it says
    assert (checked.checked, checked.held) == (1, int(not why))
    assert why in " ".join(entry["struck"])
    assert render_proposal(checked.document)


def test_a_finding_that_is_said_twice_counts_once(here: Path) -> None:
    write(here, train_py=UNSEEDED)
    value = {"findings": [said()] * 40}
    checked = check_proposal(value, facts={}, repository=repository(here), bundle=here)
    assert (checked.checked, checked.held) == (40, 1)


def test_hostile_sources_stay_text(here: Path) -> None:
    nasty = "'</td><script>alert(1)</script> | `x` ::error::boom @everyone \u202e'"
    write(
        here, a_py=f"import torch\ntorch.load({nasty})  # audit: ignore[\u202e<b>] [x](http://y)\n"
    )
    code, text = command("--out", "out", environ={"GITHUB_ACTIONS": "true"})
    assert code == 0
    result = result_of(here / "out")
    assert not any(line.startswith("::error") for line in text.splitlines())
    for shown in (markdown(render(result)), html(render(result), title="x")):
        assert "<script>" not in shown
        assert "\u202e" not in shown


def test_names_and_lines_that_are_no_text_or_far_too_long_are_shown(here: Path) -> None:
    (here / os.fsdecode(b"\xff.py")).write_text("import torch\ntorch.load(x)\n")
    write(here, a_py='import torch\ntorch.hub.load("owner/name:\\ud800", x)\n')
    (here / "requirements.txt").write_text("torch " * 100_000)
    os.mkfifo(here / "pipe.py")
    code, _ = command("--out", "out")
    result = result_of(here / "out")
    assert code == 0
    assert sorted(item["file"] for item in result["findings"]) == [
        "\\udcff.py",
        "a.py",
        "pipe.py",
        "requirements.txt",
    ]
    assert max(len(item["message"]) for item in result["findings"]) <= 400


def test_parse_errors_of_toml_and_text_are_named(here: Path) -> None:
    write(here, a_py="x = 1\n")
    (here / "pyproject.toml").write_text("[project\n")
    (here / "requirements.txt").write_bytes(b"torch\xff\n")
    command("--out", "out")
    result = result_of(here / "out")
    assert [item["file"] for item in result["skipped"]] == ["pyproject.toml", "requirements.txt"]
    assert result["status"] == "warn"


def test_a_user_error_names_what_to_do() -> None:
    from mlactions.audit.measure import parse_command

    with pytest.raises(UserError, match="Placeholders are"):
        parse_command("x {seed}", workers="0,1", python="python", seconds=1)
