"""The fault corpus: what `compare`, MLflow and DVC make of broken metric and baseline files."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.fault_corpus import CORPUS, FAMILIES, Case, controls, faults
from bench.measure import (
    PEERS,
    ROOT,
    commit_all,
    environment,
    folded,
    start_dvc,
    table,
    version,
)

TIMEOUT_SECONDS = 120
DAY = "2026-11-22"
MENTIONED = "mentioned, exit 0"

Kind = Literal["caught", "crashed", "missed"]


@dataclass(frozen=True)
class Outcome:
    """What a contestant made of a case, and what it said.

    caught: red, for a reason that it gives. crashed: red, by an exception of whatever read the
    file. missed: green.
    """

    kind: Kind
    said: str = ""


def ours(case: Case, folder: Path) -> Outcome:
    """Run `compare` as a user does."""
    (folder / "metrics").mkdir()
    shutil.copyfile(case.baseline, folder / "baseline.yaml")
    shutil.copyfile(case.metrics, folder / "metrics" / "cnn.json")
    options = ["--baseline", "baseline.yaml", "--metrics", "metrics", "--out", "out"]
    command = [str(ROOT / "scripts" / "run"), "compare", *options, "--today", DAY]
    found = _run(command, folder)
    if found.returncode == 1:
        findings = json.loads((folder / "out" / "result.json").read_text())["findings"]
        return Outcome("caught", next(f["reason"] for f in findings if f["level"] == "fail"))
    if found.returncode == 2:
        title = found.stderr.removeprefix("error: ").partition(" ")[2].partition(":")[0]
        return Outcome("caught", title.replace(" ", "-").lower())
    return Outcome("crashed" if found.returncode else "missed", found.stderr[-300:])


def dvc(case: Case, folder: Path, template: Path) -> Outcome:
    """Let DVC compare two versions of one metrics file; the broken one as it stands.

    A baseline's fault is in the committed version, a metrics file's in the work tree.
    """
    repository = folder / "repository"
    shutil.copytree(template, repository)
    before_is_broken = case.broken == case.baseline
    file = repository / ("cnn.yaml" if before_is_broken else "cnn.json")
    good = CORPUS / "good" / "cnn.json"
    shutil.copyfile(case.broken if before_is_broken else good, file)
    commit_all(repository)
    shutil.copyfile(good if before_is_broken else case.broken, file)
    found = _run([str(PEERS / "dvc"), "metrics", "diff", "--targets", file.name], repository)
    if found.returncode:
        return Outcome("crashed" if "unexpected error" in found.stderr else "caught")
    return Outcome("missed", MENTIONED if "failed to load" in found.stderr else "")


def mlflow(cases: Iterable[Case]) -> dict[str, Outcome]:
    """Let MLflow judge all cases in one process of the peers' interpreter."""
    listed = [
        {"name": case.name, "baseline": str(case.baseline), "metrics": str(case.metrics)}
        for case in cases
    ]
    found = subprocess.run(
        [PEERS / "python", ROOT / "bench" / "fault_mlflow.py"],
        input=json.dumps(listed),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment(),
        timeout=TIMEOUT_SECONDS,
    )
    return {name: Outcome(kind, said) for name, (kind, said) in json.loads(found.stdout).items()}


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


def judge_all(cases: Sequence[Case], judge: Callable[[Case, Path], Outcome]) -> dict[str, Outcome]:
    """Judge every case in a folder of its own, two at a time: nothing here is timed."""

    def one(case: Case) -> Outcome:
        with tempfile.TemporaryDirectory() as name:
            return judge(case, Path(name))

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(one, cases))
    return {case.name: outcome for case, outcome in zip(cases, outcomes, strict=True)}


@dataclass(frozen=True)
class Judged:
    """The outcomes of all contestants, by the name of the case."""

    ours: Mapping[str, Outcome]
    mlflow: Mapping[str, Outcome]
    dvc: Mapping[str, Outcome]


WITHOUT_COUNTERPART = (FAMILIES[4], FAMILIES[7])
"""MLflow and DVC have no provenance, no rule file with a version, no waivers."""


def totals(cases: Sequence[Case], judged: Judged) -> str:
    """Return the table of totals, one row a family."""
    header = ["fault in", "files", "ours", "MLflow", "crashed", "DVC", "crashed", "mentioned"]
    names = {family: [c.name for c in cases if c.family == family] for family in FAMILIES}
    rows = [_total(family, members, judged) for family, members in names.items()]
    fair = [case.name for case in cases if case.family not in WITHOUT_COUNTERPART]
    rows.append(_total("**all but what only ours knows**", fair, judged))
    rows.append(_total("**all**", [case.name for case in cases], judged))
    return table(header, rows)


def _total(label: str, names: Sequence[str], judged: Judged) -> list[str]:
    marked = f"{label} ¹" if label in WITHOUT_COUNTERPART else label
    return [
        marked,
        f"{len(names)}",
        f"{count(names, judged.ours)}",
        f"{count(names, judged.mlflow)}",
        f"{count(names, judged.mlflow, 'crashed')}",
        f"{count(names, judged.dvc)}",
        f"{count(names, judged.dvc, 'crashed')}",
        f"{sum(judged.dvc[name].said == MENTIONED for name in names)}",
    ]


def count(names: Iterable[str], side: Mapping[str, Outcome], kind: Kind = "caught") -> int:
    """Return how many cases a contestant gave this outcome."""
    return sum(side[name].kind == kind for name in names)


def single(cases: Sequence[Case], judged: Judged) -> str:
    """Return the table of single faults: our reason, and the peers' outcomes."""
    rows = [
        [
            f"`{case.name}`",
            _told(judged.ours[case.name]),
            _told(judged.mlflow[case.name]),
            judged.dvc[case.name].said or judged.dvc[case.name].kind,
        ]
        for case in cases
    ]
    return table(["file", "ours", "MLflow", "DVC"], rows, numbers=False)


def _told(outcome: Outcome) -> str:
    """Return a reason code where there is one, MLflow's sentences are too long for a table."""
    is_code = outcome.kind == "caught" and " " not in outcome.said
    return f"`{outcome.said}`" if is_code else outcome.kind


INTRODUCTION = f"""\
The same [files](../tests/cases/compare/faults) for `compare`, for MLflow {version("mlflow")}
`validate_evaluation_results` and for DVC {version("dvc")} `metrics diff`. Caught means red, with
a reason. The corpus is ours and its tests demand that we catch all of it: read the peers' columns.
Each had its best chance:

- MLflow is called by [a script](../bench/fault_mlflow.py) that makes thresholds of the rules: for
  the means of the seeds, the worst seed (`min`, `max`), both sides (`equal`). Where that script
  crashes, the check is also red, by a traceback: *crashed*. Any refusal counts as caught, also
  one for another reason than the fault.
- DVC gets the broken file as it stands. It shows differences and never judges; *mentioned* is a
  message with exit code 0.
"""
NOTE = "¹ MLflow and DVC have no such fields; nothing there is their mistake.\n"


def headline(cases: Sequence[Case], judged: Judged) -> str:
    """Return the section in one line."""
    names = [case.name for case in cases]
    ours, mlflow_, dvc_ = (count(names, s) for s in (judged.ours, judged.mlflow, judged.dvc))
    crashed = count(names, judged.mlflow, "crashed")
    return (
        f"**Of {len(names)} broken files caught: ours {ours}, MLflow {mlflow_} (and {crashed} by a"
        f" crash), DVC {dvc_}.**"
    )


def main() -> None:
    """Print the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = folder / "template"
        start_dvc(template)
        cases, sound = faults(), controls(folder)
        both = [*cases, *sound]
        judged = Judged(
            judge_all(both, ours),
            mlflow(both),
            judge_all(both, lambda case, place: dvc(case, place, template)),
        )
    sides = (judged.ours, judged.mlflow, judged.dvc)
    alarms = [len(sound) - count([c.name for c in sound], side, "missed") for side in sides]
    print("## Broken files: who notices\n")
    print(headline(cases, judged) + "\n")
    print(INTRODUCTION)
    print(totals(cases, judged))
    print(NOTE)
    print("Sound files refused, of {}: ours {}, MLflow {}, DVC {}.\n".format(len(sound), *alarms))
    print(folded(f"All {len(cases)} files", single(cases, judged)))


if __name__ == "__main__":
    main()
