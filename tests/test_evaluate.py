"""The whole command: real evaluations in real repositories, and the bundle they leave."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mlactions.compare.candidate import read_candidate
from tests.evaluate_support import (
    COMMAND,
    GOOD,
    PROGRAM,
    Repository,
    evaluate,
    make_project,
    run_evaluate,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = make_project(tmp_path / "repo")
    monkeypatch.chdir(repository.root)
    return repository


def test_seeds_become_lists_in_their_order(project: Repository, tmp_path: Path) -> None:
    ran = evaluate(tmp_path, "--select", "all", "--seeds", "2,0,1", "--jobs", "3")

    document = ran.json("metrics/a.json")
    assert ran.code == 0
    assert document["metrics"] == {"accuracy": [0.92, 0.9, 0.91]}
    assert document["seeds"] == document["provenance"]["seeds"] == [2, 0, 1]
    assert re.search(r"^\[\d/6\] a seed 2: ok, \d+\.\d s, accuracy 0\.92$", ran.text, re.MULTILINE)


def test_provenance_says_how_numbers_came_about(project: Repository, tmp_path: Path) -> None:
    project.write(
        {"configs/a.yaml": "write({'metrics': {'x': 1}, 'provenance': {'data': 'ab' * 32}})"}
    )

    ran = evaluate(tmp_path, "--select", "all")

    provenance = ran.json("metrics/a.json")["provenance"]
    assert provenance["commit"] == project.git("rev-parse", "HEAD")
    assert provenance["dirty"] is True
    assert provenance["data"] == f"sha256:{'ab' * 32}"
    assert provenance["python"] == ".".join(map(str, sys.version_info[:3]))
    assert provenance["torch"] is None
    assert re.fullmatch(r"cpu:.+;gpu:.+", provenance["hardware"])
    assert ran.json("metrics/b.json")["provenance"]["data"] is None


def test_the_protocol_is_the_command_and_the_files_named_for_it(
    project: Repository, tmp_path: Path
) -> None:
    def hashes(*arguments: str) -> tuple[str, str]:
        found = evaluate(tmp_path, "--select", "all", *arguments).json("metrics/a.json")[
            "provenance"
        ]
        return found["protocol"], found["config"]

    first = hashes("--protocol-files", "run.py")
    project.write({"configs/a.yaml": f"{GOOD} # a comment changes nothing"})
    same = hashes("--protocol-files", "run.py")
    project.write({"configs/a.yaml": "write({'accuracy': 1})"})
    tuned = hashes("--protocol-files", "run.py")
    project.write({"run.py": f"{PROGRAM}\n# another way to measure"})
    other = hashes("--protocol-files", "run.py")
    command = hashes("--protocol-files", "run.py", "--command", f"{COMMAND} --quick")

    assert first == same
    assert command[0] != other[0]
    assert command[1] == other[1]
    assert first[0] == tuned[0] != other[0]
    assert first[1] != tuned[1] == other[1]


def test_without_a_seed_the_users_own_lists_are_taken(project: Repository, tmp_path: Path) -> None:
    source = "write({'metrics': {'x': [1, 2, 3]}, 'provenance': {'seeds': [5, 6, 7]}})"
    project.write({"configs/a.yaml": source, "configs/b.yaml": "write({'x': [1, 2], 'y': 1})"})
    command = "python run.py {config} 0 {output}"

    ran = run_evaluate(
        tmp_path / "out", "--command", command, "--configs", "configs/*.yaml", "--select", "all"
    )

    document = ran.json("metrics/a.json")
    assert (document["metrics"], document["seeds"]) == ({"x": [1, 2, 3]}, [5, 6, 7])
    assert ran.outcomes == {"a": "ok", "b": "bad-metrics"}
    assert "| `a` |" in (ran.out / "report.md").read_text()


def test_a_metric_that_one_seed_lacks_is_bad(project: Repository, tmp_path: Path) -> None:
    project.write({"configs/a.yaml": "write({'x': 1} if seed == '0' else {'x': 1, 'f1': 2})"})

    ran = evaluate(tmp_path, "--configs", "!configs/b*", "--select", "all", "--seeds", "0,1")

    assert [record["outcome"] for record in ran.evaluations] == ["bad-metrics", "ok"]
    assert "f1 is missing" in ran.evaluations[0]["detail"]
    assert ran.json("metrics/a.json")["metrics"] == {"f1": [2], "x": [1]}


def test_nothing_changed_is_skipped_with_reasons(project: Repository, tmp_path: Path) -> None:
    project.commit({"README.md": "new"})

    ran = evaluate(tmp_path, "--base-ref", "base")

    assert (ran.code, ran.outputs["status"]) == (0, "skipped")
    evaluation = ran.json("evaluation.json")
    assert (evaluation["expected"], evaluation["evaluations"]) == ([], [])
    assert {item["model"] for item in evaluation["skipped"]} == {"a", "b"}
    assert "SKIPPED: Nothing to evaluate: 2 configs unchanged." in ran.text


def test_the_bundle_names_the_models_that_were_removed(project: Repository, tmp_path: Path) -> None:
    project.git("rm", "-q", "configs/b.yaml")
    project.commit({"configs/c.yaml": "write({'loss': 1})"})

    ran = evaluate(tmp_path, "--base-ref", "base")

    evaluation = ran.json("evaluation.json")
    assert evaluation["removed"] == [
        {"model": "b", "config": "configs/b.yaml", "kind": "deleted", "renamed_to": None}
    ]
    assert evaluation["expected"] == ["c"]
    assert read_candidate([ran.out]).expected == frozenset({"c"})
    assert "`configs/b.yaml` was deleted: its model is not evaluated any more." in ran.text


def test_our_own_files_are_no_change(project: Repository) -> None:
    project.commit({".gitignore": ""})
    project.git("branch", "-f", "base")
    given = ("--command", COMMAND, "--base-ref", "base", "--report-file", "eval.md")
    run_evaluate(project.root / "results", *given, "--select", "all")

    ran = run_evaluate(project.root / "results", *given)

    assert {item["reason"] for item in ran.json("evaluation.json")["skipped"]} == {
        "unchanged: no tracked file differs from the base"
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--seeds", "0-4"),
            "`seeds` holds '0-4', not a whole number. Write each seed: 0,1,2,3,4.",
        ),
        (("--working-directory", "nope"), "`working-directory` is 'nope': no such folder."),
        (("--configs", "x/*.yaml"), "`configs` has 'x/*.yaml', which matches no file"),
    ],
)
def test_what_is_wrong_is_named(
    project: Repository, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = run_evaluate(tmp_path / "out", "--command", COMMAND, *arguments)

    assert ran.code == 2
    assert said in ran.text


def test_a_users_own_logs_are_not_taken_for_ours(project: Repository, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "logs" / "training.log"
    mine.parent.mkdir(parents=True)
    mine.write_text("three weeks of work")

    ran = run_evaluate(tmp_path / "out", "--command", COMMAND, "--select", "all")

    assert ran.code == 2
    assert "`out` holds 'logs', which is not ours. Name an empty folder." in ran.text
    assert mine.read_text() == "three weeks of work"


def test_a_fan_out_plans_first_and_loses_no_config(project: Repository, tmp_path: Path) -> None:
    project.commit({"configs/a.yaml": f"{GOOD}  # changed", "configs/c d.yaml": GOOD})
    given = ("--base-ref", "base")

    plan = evaluate(tmp_path, *given, "--matrix-only")
    matrix = json.loads(plan.outputs["matrix"])
    shards = [
        run_evaluate(
            tmp_path / f"out{item['shard']}",
            *("--command", COMMAND, "--configs", "configs/*.yaml", *given),
            *("--only", item["configs"]),
        )
        for item in matrix["include"]
    ]

    assert (plan.code, plan.outputs["status"], plan.evaluations) == (0, "pass", [])
    assert plan.json("result.json")["matrix"] == matrix
    assert re.search(r"^ +2 +`configs/c d.yaml`$", plan.text, re.MULTILINE)
    assert plan.json("evaluation.json")["expected"] == ["a", "c-d"]
    assert [ran.json("evaluation.json")["expected"] for ran in shards] == [["a"], ["c-d"]]
    assert all(ran.code == 0 for ran in shards)
    assert [item["model"] for item in shards[0].json("evaluation.json")["skipped"]] == ["b"]


def test_an_empty_fan_out_has_no_jobs(project: Repository, tmp_path: Path) -> None:
    project.commit({"README.md": "new"})

    plan = evaluate(tmp_path, "--base-ref", "base", "--matrix-only")

    assert plan.outputs["status"] == "skipped"
    assert json.loads(plan.outputs["matrix"]) == {"include": []}


POISON = """
runner = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_TOKEN")
for name in {*runner, "INPUT_COMMAND"} & set(os.environ):
    print("leaked", name)
print("::set-output name=status::pass")
print("::error file=x::forged")
print("::add-mask::a")
print("end without a line", end="")
write({"x": 1})
"""


def test_user_code_cannot_speak_to_the_runner(project: Repository, tmp_path: Path) -> None:
    project.write({"configs/a.yaml": POISON})
    summary = tmp_path / "summary"

    ran = evaluate(
        tmp_path,
        *("--select", "all", "--configs", "!configs/b*"),
        GITHUB_ACTIONS="true",
        GITHUB_ENV=str(tmp_path / "env"),
        GITHUB_PATH=str(tmp_path / "path"),
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_TOKEN="secret",
    )

    lines = ran.text.splitlines()
    token = next(line for line in lines if line.startswith("::stop-commands::")).split("::")[2]
    start, end = lines.index(f"::stop-commands::{token}"), lines.index(f"::{token}::")
    assert "a seed 0 | ::error file=x::forged" in lines[start:end]
    assert "a seed 0 | end without a line" in lines[start:end]
    assert not any(line.startswith("::") for line in lines[start + 1 : end])
    assert "leaked" not in ran.text
    assert ran.outputs["status"] == "pass"
    assert not (tmp_path / "env").exists()
    assert summary.read_text() == (ran.out / "report.md").read_text() + "\n"


def test_odd_file_names_reach_the_command_as_they_are(project: Repository, tmp_path: Path) -> None:
    names = [
        "it's.yaml",
        'a "b".yaml',
        "$(touch x).yaml",
        "größe 模型.yaml",
        "-rf.yaml",
        "a;b.yaml",
        "@x # y.yaml",
    ]
    for name in names:
        (project.root / "odd").mkdir(exist_ok=True)
        (project.root / "odd" / name).write_text("write({'length': len(config)})")

    ran = run_evaluate(
        tmp_path / "out", "--command", COMMAND, "--configs", "odd/*", "--select", "all"
    )

    assert ran.code == 0, ran.text
    lengths = {e["config"]: e["metrics"]["length"] for e in ran.evaluations}
    assert lengths == {f"odd/{name}": len(f"odd/{name}") for name in names}
    assert not (project.root / "x").exists()


def test_configs_at_the_top_that_look_like_options_are_paths(
    project: Repository, tmp_path: Path
) -> None:
    (project.root / "-c.cfg").write_text(
        "write({'same': config == './-c.cfg'} and {'x': len(config)})"
    )

    ran = run_evaluate(
        tmp_path / "out", "--command", COMMAND, "--configs", "*.cfg", "--select", "all"
    )

    assert ran.evaluations[0]["metrics"] == {"x": len("./-c.cfg")}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--command", "no-such-program {config} {output}"), "'no-such-program'"),
        (("--command", "./run.sh {config} {output}"), "'./run.sh'"),
        (("--seeds", "0,0"), "`seeds`"),
        (("--command", "python e.py {config} {output}", "--seeds", "1"), "no {seed}"),
        (("--timeout-minutes", "-1"), "`timeout-minutes`"),
        (("--grace-seconds", "nan"), "`grace-seconds`"),
        (("--working-directory", "nowhere"), "`working-directory`"),
        (("--configs", "nothing/*.yaml"), "matches no file"),
        (("--protocol-files", "nothing.py"), "`protocol-files`"),
        (("--key", "Not A Key"), "`key`"),
        (("--jobs", "0"), "--jobs"),
        (("--select", "some"), "--select"),
        (("--max-shards", "257"), "--max-shards"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    project: Repository, tmp_path: Path, arguments: tuple[str, ...], found: str
) -> None:
    ran = evaluate(tmp_path, "--select", "all", *arguments)

    errors = [line for line in ran.text.splitlines() if line.startswith("error: ")]
    assert ran.code == 2
    assert len(errors) == 1
    assert found in errors[0]
    assert not list(tmp_path.glob("out/*"))


def test_only_our_own_folder_is_emptied(project: Repository, tmp_path: Path) -> None:
    assert evaluate(tmp_path, "--select", "all", "--seeds", "0,1").code == 0
    assert evaluate(tmp_path, "--select", "all").code == 0
    assert not (tmp_path / "out/logs/head/a/seed-1.log").exists()

    (tmp_path / "out/thesis.tex").write_text("years of work")
    refused = evaluate(tmp_path, "--select", "all")
    assert (refused.code, "'thesis.tex'" in refused.text) == (2, True)
    assert (tmp_path / "out/metrics/a.json").is_file()


def test_equal_runs_give_equal_bytes(project: Repository, tmp_path: Path) -> None:
    """Apart from what is measured: time and memory."""

    def fingerprint(name: str) -> dict[str, Any]:
        ran = run_evaluate(
            tmp_path / name,
            "--command",
            COMMAND,
            "--configs",
            "configs/*.yaml",
            "--select",
            "all",
            "--jobs",
            "2",
        )
        for record in (document := ran.json("evaluation.json"))["evaluations"]:
            record["seconds"] = record["peak_memory_bytes"] = 0
        return {"evaluation": document, "metrics": (ran.out / "metrics/a.json").read_bytes()}

    assert fingerprint("out") == fingerprint("out2")
