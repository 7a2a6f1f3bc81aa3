"""What selftest asserts of failures on GitHub, run here: each must fail, for its own reason."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bridge import ROOT, rewrite
from tests.e2e.conftest import MakeScratch
from tests.e2e.harness import Act

WORKFLOW = ".github/workflows/selftest.yml"
CASE = Path("tests/cases/compare/plain-file/files")


def test_the_cases_that_must_fail_do_so_for_their_reasons(act: Act, scratch: MakeScratch) -> None:
    files = [str(CASE / name) for name in ("baseline.yaml", "metrics.json")]
    workflow = rewrite((ROOT / WORKFLOW).read_text())
    # The other job runs the whole gate, which has its own tests.
    head, _, failures = workflow.partition("jobs:\n")
    alone = f"{head}jobs:\n{failures[failures.index('  failures:') :]}"
    project = scratch({**{name: (ROOT / name).read_text() for name in files}, WORKFLOW: alone})

    run = act.run(project, "push")

    results = {str(job.matrix["case"]): job.result for job in run.jobs}
    assert results == dict.fromkeys(
        ("regression", "not a number", "model missing", "not JSON"), "success"
    ), run.log
