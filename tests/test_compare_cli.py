"""The command itself: options, variables, bundles in, outputs and exit codes out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from mlactions import markdown
from mlactions.__main__ import run
from mlactions.bundle import open_bundle, seal
from mlactions.compare import render
from mlactions.compare.candidate import merge, read_candidate
from mlactions.compare.facts import facts
from mlactions.errors import Exit, UserError
from mlactions.report import Details, Table
from mlactions.runner import Runner
from mlactions.schema import validate
from tests.github_html import NOTIFYING, page

CASES = Path(__file__).parent / "cases" / "compare"
RESULTS = sorted(CASES.glob("*/expected/out/result.json"))
BASELINE = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: {value: 0.98, direction: higher, tolerance: {absolute: 0.01}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a baseline and metrics that hold."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baseline.yaml").write_text(BASELINE)
    write(tmp_path, {"accuracy": 0.98})
    return tmp_path


def write(folder: Path, metrics: dict[str, Any], name: str = "metrics", **more: Any) -> None:
    (folder / name).mkdir(exist_ok=True)
    document = {"metrics": metrics, **more}
    (folder / name / "cnn.json").write_text(json.dumps(document))


def compare(*arguments: str, environ: dict[str, str] | None = None) -> tuple[int, str]:
    stream = io.StringIO()
    given = ["--baseline", "baseline.yaml", "--metrics", "metrics", "--out", "out", *arguments]
    return run(["compare", *given], Runner(environ or {}, stream)), stream.getvalue()


def test_a_result_is_a_sealed_bundle(here: Path) -> None:
    code, said = compare()

    assert code == Exit.PASS
    bundle = open_bundle(here / "out", word="compare")
    assert [entry.path for entry in bundle.entries] == [
        "facts.json",
        "report.html",
        "report.md",
        "result.json",
    ]
    assert said.splitlines()[-1] == "PASS: 1 rule of 1 model holds."


@pytest.mark.parametrize(
    ("accuracy", "extra", "code"),
    [
        (0.98, (), Exit.PASS),
        (0.5, (), Exit.FAILED_CHECK),
        (0.98, ("--fail-on", "warn"), Exit.PASS),
    ],
)
def test_exit_codes(here: Path, accuracy: float, extra: tuple[str, ...], code: int) -> None:
    write(here, {"accuracy": accuracy})

    assert compare(*extra)[0] == code


@pytest.mark.parametrize(("fail_on", "code"), [("fail", Exit.PASS), ("warn", Exit.FAILED_CHECK)])
def test_warnings_fail_where_they_should(here: Path, fail_on: str, code: int) -> None:
    warns = BASELINE.replace("direction", "severity: warn, direction")
    (here / "baseline.yaml").write_text(warns)
    write(here, {"accuracy": 0.5})

    assert compare("--fail-on", fail_on)[0] == code


def test_on_github(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here, {"accuracy": 0.5})
    monkeypatch.setenv("INPUT_METRICS", "metrics")
    monkeypatch.setenv("INPUT_BASELINE", "baseline.yaml")
    monkeypatch.setenv("INPUT_KEY", "gate")
    monkeypatch.setenv("INPUT_MAX_AGE_DAYS", "")
    stream = io.StringIO()
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(here / "output"),
        "GITHUB_STEP_SUMMARY": str(here / "summary"),
        "RUNNER_TEMP": str(here / "temp"),
    }

    code = run(["compare"], Runner(environ, stream))

    assert code == Exit.FAILED_CHECK
    place = "file=baseline.yaml,line=5,title=regression"
    assert f"::error {place}::accuracy of cnn fell by 0.480 to 0.500" in stream.getvalue()
    out = here / "temp" / "mlactions" / "compare"
    outputs = (here / "output").read_text()
    assert [str(out), "fail"] == [
        line for line in outputs.splitlines() if line in {str(out), "fail"}
    ][::-1]
    assert (here / "summary").read_text().startswith("## ❌ Model metrics")
    assert json.loads((out / "result.json").read_text())["key"] == "gate"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--today", "soon"), "bad input: `--today` is 'soon'"),
        (("--key", "Not a key"), "bad input: `key` is 'Not a key'"),
        (
            ("--baseline", "absent.yaml"),
            (
                "absent.yaml file not found: there is no baseline."
                " `compare update --baseline absent.yaml --metrics PATH` begins one."
            ),
        ),
        (("--metrics", "absent"), "absent file not found"),
        (("--base-ref", "main"), "no git repository"),
        (("--max-age-days", "0"), "0 is not in the range"),
        (("--require", "superior"), "'superior' is not"),
        (("--predictions", "absent"), "absent no predictions"),
    ],
)
def test_bad_input_is_one_line(here: Path, arguments: tuple[str, ...], message: str) -> None:
    code, said = compare(*arguments)

    assert code == Exit.BAD_INPUT
    assert message in said
    assert said.count("\n") == 1
    assert not (here / "out").exists()


def test_a_verbose_report_is_unfolded(here: Path) -> None:
    legend = "MDE: minimum detectable effect"

    assert legend not in compare()[1]
    assert legend in " ".join(compare("--verbose")[1].split())


@pytest.mark.parametrize("missing", ["--metrics", "--out"])
def test_what_must_be_given(here: Path, missing: str) -> None:
    given = {"--baseline": "baseline.yaml", "--metrics": "metrics", "--out": "out"}
    del given[missing]
    stream = io.StringIO()

    code = run(["compare", *(word for pair in given.items() for word in pair)], Runner({}, stream))

    assert (code, f"`{missing}` is missing" in stream.getvalue()) == (Exit.BAD_INPUT, True)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parents[2].name)
def test_results_and_facts_hold_their_schemas(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    written = json.loads((path.parent / "facts.json").read_text(encoding="utf-8"))

    validate(result, "result", file="result.json")
    validate(result, "compare-result", file="result.json")
    validate(written, "facts", file="facts.json")
    ids = [fact["id"] for fact in written["facts"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parents[2].name)
def test_the_report_comes_from_the_result_alone(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))

    text = markdown.render(render(result))

    assert text == (path.parent / "report.md").read_text(encoding="utf-8")


def test_thousands_of_rules_make_a_short_report(here: Path) -> None:
    rule = "{value: 1, direction: higher}"
    lines = [f"      m{n}: {rule}" for n in range(2000)]
    (here / "baseline.yaml").write_text("\n".join([*BASELINE.splitlines()[:4], *lines]))
    write(here, {f"m{n}": n % 2 for n in range(2000)})

    code, said = compare()

    result = json.loads((here / "out" / "result.json").read_text())
    assert (code, len(result["rows"])) == (Exit.FAILED_CHECK, 2000)
    assert len((here / "out" / "report.md").read_text()) <= markdown.LIMIT
    assert said.count("error: ") <= 51
    tables = [b for b in walk(render(result).blocks) if isinstance(b, Table)]
    assert max(len(table.rows) for table in tables) == 300
    assert len(facts(result)) < 2000


def walk(blocks: Any) -> Any:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)


def test_names_that_differ_in_case_have_facts_of_their_own(here: Path) -> None:
    rule = "{value: 1, direction: higher}"
    (here / "baseline.yaml").write_text(
        "\n".join([*BASELINE.splitlines()[:4], f"      mAP: {rule}", f"      map: {rule}"])
    )
    write(here, {"mAP": 1, "map": 0.5})

    compare()

    written = json.loads((here / "out" / "facts.json").read_text())["facts"]
    candidates = {f["id"]: f["value"] for f in written if f["id"].endswith(".candidate")}
    assert candidates == {"compare.cnn.map.candidate": 0.5, "compare.cnn.map-2.candidate": 1.0}


def evaluation(folder: Path, seeds: list[int], *, commit: str = "a" * 40, data: str = "d") -> Path:
    """Write and seal what evaluate would have left for some seeds of one model."""
    folder.mkdir()
    document = {
        "version": 1,
        "word": "evaluate",
        "commit": commit,
        "dirty": False,
        "base": None,
        "expected": ["cnn"],
        "skipped": [{"model": "vit", "config": "vit.yaml", "reason": "unchanged"}],
        "notes": [],
        "evaluations": [],
    }
    (folder / "evaluation.json").write_text(json.dumps(document))
    values = {"accuracy": [seed / 100 for seed in seeds]}
    write(folder, values, seeds=seeds, provenance={"data": data, "seeds": seeds})
    seal(folder, "evaluate")
    return folder


def test_seeds_spread_over_bundles_are_one_model(tmp_path: Path) -> None:
    parts = [evaluation(tmp_path / "a", [2, 0]), evaluation(tmp_path / "b", [1])]

    found = read_candidate(parts)

    assert found.head["cnn"].values == {"accuracy": (0.0, 0.01, 0.02)}
    assert found.head["cnn"].seeds == (0, 1, 2)
    assert (found.expected, found.skipped) == (frozenset({"cnn"}), {"vit": "unchanged"})


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({"seeds": [0]}, "measured twice"),
        ({"seeds": [1], "commit": "b" * 40}, "commits differ"),
        ({"seeds": [1], "data": "e"}, "data differs"),
    ],
)
def test_what_does_not_belong_together_is_not_merged(
    tmp_path: Path, more: dict[str, Any], title: str
) -> None:
    parts = [evaluation(tmp_path / "a", [0]), evaluation(tmp_path / "b", **more)]

    with pytest.raises(UserError) as caught:
        read_candidate(parts)

    assert caught.value.title == title


def predictions(folder: Path, side: str, wrong: int) -> str:
    name = f"predictions/{side}/cnn/seed-0.jsonl"
    (folder / name).parent.mkdir(parents=True)
    rows = [{"id": n, "correct": n >= wrong} for n in range(500)]
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return name


def test_predictions_of_both_sides_come_with_the_bundle(here: Path) -> None:
    bundle = evaluation(here / "bundle", [0])
    document = json.loads((bundle / "evaluation.json").read_text())
    for side, wrong in (("base", 10), ("head", 60)):
        row: dict[str, Any] = dict.fromkeys(("peak_memory_bytes", "log", "file", "line"))
        row |= {"model": "cnn", "config": "cnn.yaml", "side": side, "seed": 0, "outcome": "ok"}
        row |= {"reason": "", "detail": "", "log_tail": [], "metrics": {}, "seconds": 1}
        row |= {"cached": False, "predictions": predictions(bundle, side, wrong)}
        document["evaluations"].append(row)
    (bundle / "evaluation.json").write_text(json.dumps(document))
    seal(bundle, "evaluate")
    (here / "baseline.yaml").write_text(BASELINE.replace("value: 0.98", "paired: same-weights"))

    code, said = compare_with("bundle")

    row = json.loads((here / "out" / "result.json").read_text())["rows"][0]
    assert code == Exit.FAILED_CHECK, said
    assert (row["label"], row["pairs"], row["n"]) == ("proven", True, [500, 500])
    assert row["change"] == pytest.approx(-0.1)


def compare_with(metrics: str) -> tuple[int, str]:
    stream = io.StringIO()
    given = ["--baseline", "baseline.yaml", "--metrics", metrics, "--out", "out"]
    return run(["compare", *given], Runner({}, stream)), stream.getvalue()


def test_an_old_verdict_does_not_outlive_a_broken_run(here: Path) -> None:
    assert compare()[0] == Exit.PASS
    (here / "metrics" / "cnn.json").write_text("")

    assert compare()[0] == Exit.BAD_INPUT

    assert not (here / "out" / "result.json").exists()
    assert not (here / "out" / "manifest.json").exists()


def test_results_never_overwrite_what_was_measured(here: Path) -> None:
    bundle = evaluation(here / "bundle", [0])
    before = (bundle / "manifest.json").read_text()
    stream = io.StringIO()
    given = ["--baseline", "baseline.yaml", "--metrics", "bundle", "--out", "bundle"]

    assert run(["compare", *given], Runner({}, stream)) == Exit.BAD_INPUT

    assert (bundle / "manifest.json").read_text() == before


def test_a_folder_of_bundles_is_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    evaluation(tmp_path / "all" / "a", [0])
    evaluation(tmp_path / "all" / "b", [1])

    assert read_candidate([tmp_path / "all"]).head["cnn"].seeds == (0, 1)


def test_a_bundle_that_was_changed_is_refused(tmp_path: Path) -> None:
    bundle = evaluation(tmp_path / "a", [0])
    write(bundle, {"accuracy": [1.0]}, seeds=[0])

    with pytest.raises(UserError, match="does not have the size"):
        read_candidate([bundle])


def test_a_bundle_without_its_manifest_is_refused(tmp_path: Path) -> None:
    bundle = evaluation(tmp_path / "a", [0])
    (bundle / "manifest.json").unlink()

    with pytest.raises(UserError, match="no bundle"):
        read_candidate([bundle])


def test_expected_models_unite(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "vit.json").write_text('{"accuracy": 1}')
    parts = [
        read_candidate([evaluation(tmp_path / "a", [0])]),
        read_candidate([tmp_path / "plain"]),
    ]

    assert merge(parts).expected == frozenset({"cnn", "vit"})
    assert merge(parts).skipped == {}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('{"models": {}}', "bad metrics"),
        ('{"models": null}', "bad metrics"),
        ('{"models": {"a b": {"x": 1}}}', "bad model name"),
        ('{"models": {"a": 1}}', "bad metrics"),
        ('{"a\\u0000b": 1}', "bad metric name"),
        ('{"\\ud800": 1}', "bad metric name"),
    ],
)
def test_metrics_files_that_cannot_be_meant(tmp_path: Path, text: str, title: str) -> None:
    (tmp_path / "m.json").write_text(text)

    with pytest.raises(UserError) as caught:
        read_candidate([tmp_path / "m.json"])

    assert caught.value.title == title


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"metrics": {}}, "f.json:3: bad metrics: `vit`: it holds no metric."),
        ([1], "f.json:3: bad metrics: `vit`: expected an object, found a list."),
        ({"a\nb": 1}, "f.json:3: bad metric name: `vit`: found 'a\\nb'."),
    ],
)
def test_of_several_models_the_broken_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = f'{{"models": {{\n "cnn": {{"a": 1}},\n "vit": {json.dumps(document)}}}}}'
    Path("f.json").write_text(text)

    with pytest.raises(UserError) as caught:
        read_candidate([Path("f.json")])

    assert str(caught.value).startswith(message)


def test_an_empty_folder_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no metrics"):
        read_candidate([tmp_path])


def test_hostile_text_arrives_as_text(here: Path) -> None:
    name = "a|b `c` @someone <b> ![x](https://example.org)"
    (here / "baseline.yaml").write_text(
        "\n".join(
            [
                *BASELINE.splitlines()[:4],
                f"      {json.dumps(name)}: {{value: 1, direction: higher}}",
            ]
        )
    )
    write(here, {name: 0.5}, provenance={"data": "\ud800 <script>"})

    code, _ = compare()

    assert code == Exit.FAILED_CHECK
    shown = page((here / "out" / "report.md").read_text())
    assert not {"img", "script", "b"} & set(shown.tags)
    assert not NOTIFYING["mention"].search(shown.filtered)
    assert "<script" not in (here / "out" / "report.html").read_text()


def test_a_result_of_our_own_is_no_metrics(here: Path) -> None:
    compare()

    code, said = compare("--metrics", "out", "--out", "again")

    assert code == Exit.BAD_INPUT
    assert "this folder is `compare`'s own result, not what was measured" in said


@pytest.mark.parametrize(
    ("words", "meant"), [(["evalute"], "evaluate"), (["compare", "calibrte"], "calibrate")]
)
def test_a_mistyped_command_is_asked_for(words: list[str], meant: str) -> None:
    stream = io.StringIO()

    code = run(words, Runner({}, stream))

    assert (code, stream.getvalue().endswith(f"Did you mean `{meant}`?\n")) == (2, True)
