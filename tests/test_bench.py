"""The benchmarks in miniature: whatever part of them needs no peer, no network and no minutes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench import (
    comment_requests,
    compare_speed,
    faults,
    gate_overhead,
    machine,
    mcp,
    measure,
    seeds,
)
from bench.comment_requests import Upsert
from bench.fault_corpus import CORPUS, FAMILIES, controls, family
from bench.fault_corpus import faults as corpus
from bench.faults import Judged, Outcome
from bench.gate_overhead import Measured
from bench.measure import Measurement, Timing
from bench.seeds import Cell
from mlactions.compare.model import Label
from tests.e2e.harness import Run
from tests.e2e.harness_events import Job, Step


def test_shares_tell_none_from_few() -> None:
    shown = [measure.share(part) for part in (0, 0.0001, 0.004, 0.04, 0.5, 1)]
    assert shown == ["0 %", "<0.1 %", "0.4 %", "4 %", "50 %", "100 %"]


def test_tables_align_numbers() -> None:
    assert measure.table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


def test_contestants_take_turns_and_a_failing_one_ends_the_race(tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = measure.race(
        {name: ["sh", "-c", f"printf {name} >>log"] for name in "ab"}, tmp_path, runs=2
    )
    assert log.read_text() == "ababab"
    for timing in found.values():
        assert len(timing.runs) == 2
        assert timing.median_cpu > 0
        assert timing.median > 0
        assert timing.peak_bytes > 100_000
    with pytest.raises(SystemExit, match="ended with 3"):
        measure.race({"c": ["sh", "-c", "exit 3"]}, tmp_path)


def test_a_process_that_hangs_ends_with_all_that_it_started(tmp_path: Path) -> None:
    # The child of the shell holds the output open, as a server that was left behind does.
    hanging = ["sh", "-c", "echo before; sleep 600 & cat; wait"]
    with pytest.raises(SystemExit, match=r"took longer than 0\.5 s:\nbefore"):
        measure.run_once(hanging, tmp_path, limit=0.5)


def test_peers_see_no_module_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "scripts")
    monkeypatch.setenv("GITHUB_OUTPUT", "/somewhere")
    assert not {"PYTHONPATH", "GITHUB_OUTPUT"} & measure.environment().keys()


def test_the_machine_is_named() -> None:
    assert machine.processor("processor : 0\nmodel name\t: Fast CPU \n") == "Fast CPU"
    assert machine.processor("") == ""


def test_both_sides_of_the_speed_comparison_get_the_same_numbers(tmp_path: Path) -> None:
    side = {"m": {"accuracy": [0.9, 0.91], "loss": [0.1, 0.2]}}
    compare_speed.write_ours(tmp_path, side, side)
    measure.run_once([compare_speed.OURS, *compare_speed.COMPARE], tmp_path)
    rows = json.loads((tmp_path / "out" / "result.json").read_text())["rows"]
    assert [row["metric"] for row in rows] == ["accuracy", "loss"]


def timing(*seconds: float) -> Timing:
    return Timing(tuple(Measurement(value, value / 2, 10**8) for value in seconds))


def test_speed_ratios_are_the_peers_seconds_over_ours() -> None:
    ours, peer = timing(1.0, 2.0, 9.0), timing(8.0, 8.0, 1.0)
    assert compare_speed.ratio(ours, peer) == 4
    line = compare_speed.headline([(ours, peer)] * 2, [timing(1.0), timing(1.5)])
    assert "4.0× faster" in line
    assert "10,000 rules in 1.0 to 1.5 s and 100 MB" in line


def test_every_fault_belongs_to_a_family() -> None:
    counted = Counter(case.family for case in corpus())
    assert counted.keys() == set(FAMILIES)
    assert counted.total() >= 40
    assert family("candidate/x.json", "regression-proven") == "a model that is worse"
    assert family("baseline/wrong-version.yaml", "bad-version") == FAMILIES[7]


def test_a_fault_is_caught_and_a_sound_file_is_not(tmp_path: Path) -> None:
    broken = {case.name: case for case in corpus()}
    wanted = [broken["candidate/nan.json"], broken["baseline/unknown-direction.yaml"]]
    outcomes = faults.judge_all([*wanted, controls(tmp_path)[0]], faults.ours)
    assert list(outcomes.values()) == [
        Outcome("caught", "nan"),
        Outcome("caught", "bad-direction"),
        outcomes["good/unchanged"],
    ]
    assert outcomes["good/unchanged"].kind == "missed"


def test_totals_count_each_contestant_by_family(tmp_path: Path) -> None:
    cases = [case for case in corpus() if case.family in {FAMILIES[0], FAMILIES[7]}]
    names = [case.name for case in cases]
    judged = Judged(
        dict.fromkeys(names, Outcome("caught", "nan")),
        dict.fromkeys(names, Outcome("crashed", "TypeError: no")),
        dict.fromkeys(names, Outcome("missed", faults.MENTIONED)),
    )
    *_, fair, total = faults.totals(cases, judged).splitlines()
    few, many = sum(case.family == FAMILIES[0] for case in cases), len(cases)
    assert fair.endswith(f"| {few} | {few} | 0 | {few} | 0 | 0 | {few} |")
    assert total.endswith(f"| {many} | {many} | 0 | {many} | 0 | 0 | {many} |")
    assert f"caught: ours {many}, MLflow 0 (and {many} by a crash)" in faults.headline(
        cases, judged
    )
    assert f"| `{names[0]}` | `nan` | crashed | mentioned, exit 0 |" in faults.single(cases, judged)
    assert {case.baseline.parent for case in controls(tmp_path)} == {CORPUS / "good"}


def test_all_rules_decide_on_the_same_draws() -> None:
    cells = [
        seeds.simulate(noise, 5, change, trials=150)
        for noise in (0.25, 1.0)
        for change in seeds.CHANGES
    ]
    for cell in cells:
        assert cell.labels.total() == cell.trials
        # What the page says of our default: it is red where the means are.
        assert cell.rate(*seeds.REGRESSION, "inconclusive") == cell.means / cell.trials
    assert seeds.simulate(1.0, 5, 0.0, trials=150) == cells[4]
    quiet = {cell.change: cell for cell in cells if cell.noise < 1}
    assert quiet[0.0].rate("non-inferior") > 0.9
    assert quiet[2.0].rate("proven") > 0.9
    assert " | 0 % / 100 % | 0 % / 100 % |\n| 1 | 5 | " in seeds.red_table(cells)


def test_the_page_shows_the_worst_rate_of_a_wrong_label() -> None:
    labels: Counter[Label] = Counter({"proven": 3, "non-inferior": 1, "not-proven": 96})
    cells = [
        Cell(noise, number, change, 100 * (1 + (noise < 1)), labels, 0, 0)
        for noise in (0.5, 1.0)
        for number in seeds.SEEDS
        for change in seeds.CHANGES
    ]
    rates = {name: row for name, *row in seeds.worst_rates(cells)}
    assert rates["*proven*, change = tolerance"] == ["3.0 %"] * 3
    assert rates["*non-inferior*, change = tolerance"] == ["1.0 %"] * 3
    assert "| 0.5 | 0 | 1 | 0 % | 0 % | 2 % | 0 % |" in seeds.label_table(cells)


@pytest.mark.parametrize(("case", "writes"), [("create", 1), ("update", 1), ("unchanged", 0)])
def test_comments_on_all_pages_are_read_once(case: str, writes: int, tmp_path: Path) -> None:
    found = comment_requests.upsert(case, 120, tmp_path)
    assert (found.reads, found.writes) == (3, writes)
    assert 0 < found.fake_seconds < found.seconds


def test_a_row_of_requests() -> None:
    found = [Upsert(11, 1, seconds, 0.25) for seconds in (1.0, 1.25, 9.0)]
    assert comment_requests.row("update", found) == ["update", "11 + 1", "11", "1.00 s", "0.25 s"]
    assert comment_requests.headline({"update": found}).startswith("**An update takes 12")


def step(path: tuple[str, ...], seconds: float) -> Step:
    return Step(path, "", "Main", "success", 0, {}, "", "", (), {}, seconds)


def test_the_gates_seconds_are_those_of_its_own_steps(tmp_path: Path) -> None:
    steps = (step(("0",), 1.0), step(("8",), 4.0), step(("8", "run"), 3.5))
    jobs = (Job("evaluate", "evaluate", {}, "success", steps), Job("gate", "", {}, "success", ()))
    bundle = tmp_path / "evaluate-gate-1"
    bundle.mkdir()
    evaluations = {"evaluations": [{"seconds": 1.0}, {"seconds": 1.5}]}
    (bundle / "evaluation.json").write_text(json.dumps(evaluations))
    found = gate_overhead.gate_run(Run(0, jobs, (), "", tmp_path), 10.0)
    assert found == Measured(10.0, 2.5, {"evaluate": 5.0})
    assert found.beyond == 7.5
    bare = Measured(4.0, 2.5, {})
    assert gate_overhead.difference([found] * 3, [bare] * 3) == "6.0 s"
    assert gate_overhead.rows([found], [bare])[1] == ["the gate", "10.0 s", "2.5 s", "7.5 s"]
    assert gate_overhead.job_rows([found]) == [["`evaluate`", "5.0 s"]]


def test_the_page_is_what_make_bench_wrote() -> None:
    page = (measure.ROOT / "docs" / "benchmarks.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## `compare` against `dvc metrics diff`",
        "## Broken files: who notices",
        "## Seeds: false alarms and detection",
        "## The comment, on a pull request with 1,000 others",
        "## The whole gate, beyond the user's command",
        "## `export measure` against bare `torch.onnx.export`",
        "## Wrong ONNX exports",
        "## Parity of a full-size ViT",
        "## Serving an exported model",
        "## A drift check, against MLflow 3.17.2's client",
        "## Reading an experiment of 20,000 runs, against MLflow 3.17.2",
        "## An audit of a large tree, beside ruff",
        "## Codex and MLflow's MCP server",
        "## Sweeps",
        "## Watching a training",
    ]
    assert "Traceback" not in page


def test_the_section_on_mcp_tells_medians() -> None:
    found = {mcp.OURS: [mcp.Found(seconds, seconds + 1, seconds + 2) for seconds in (1, 2, 9)]}
    assert "| the locked environment | 2.0 s | 3.0 s | 4.0 s |" in mcp.section(found)
