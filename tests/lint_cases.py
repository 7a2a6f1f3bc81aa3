"""For every lint rule a snippet that breaks it, and the same snippet mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
CODEX = "openai/codex-action@52fe01ec70a42f454c9d2ebd47598f9fd6893d56 # v1.11.0"
UPLOAD = "actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a # v7.0.1"
SHA = "ref: ${{ github.event.pull_request.head.sha || github.sha }}"


@dataclass(frozen=True)
class Case:
    """`bad` and `good` replace the empty line `{}` of a document, or are whole documents."""

    bad: str
    good: str
    name: str = ".github/workflows/x.yml"


def workflow(job: str, *, top: str = "permissions: {}", on: str = "push", head: str = "") -> str:
    """Return a workflow with one job; `job` holds the job's keys, one a line."""
    body = "\n".join(f"    {line}" for line in job.strip("\n").splitlines())
    return f"name: x\non: {on}\n{top}\n{head}\njobs:\n  one:\n{body}\n"


def job(
    steps: str,
    *,
    permissions: str = "contents: read # why",
    runs_on: str = "ubuntu-24.04",
    more: str = "",
    **document: str,
) -> str:
    """Return a workflow with one complete job."""
    lines = [f"runs-on: {runs_on}", "timeout-minutes: 5", "cache-mode: none"]
    lines += ["permissions:", f"  {permissions}", *more.splitlines(), "steps:"]
    lines += [f"  {line}" for line in steps.strip("\n").splitlines()]
    return workflow("\n".join(lines), **document)


def action(steps: str, *, inputs: str = "") -> str:
    """Return a composite action."""
    body = "\n".join(f"    {line}" for line in steps.strip("\n").splitlines())
    given = f"inputs:\n{inputs}\n" if inputs else ""
    return f"name: x\ndescription: x\n{given}runs:\n  using: composite\n  steps:\n{body}\n"


def codex(**changes: str | None) -> str:
    """Return actions/ask with a Codex step as it should be, but for some of its inputs."""
    given: dict[str, str | None] = {
        "codex-version": '"0.169.0"',
        "prompt-file": "prompt.md",
        "output-schema-file": "schema.json",
        "output-file": "answer.json",
        "codex-home": "home",
        "sandbox": "read-only",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    inputs = [f"    {name}: {value}" for name, value in given.items() if value is not None]
    return action("\n".join([f"- uses: {CODEX}", "  continue-on-error: true", "  with:", *inputs]))


PIN = "0" * 40 + " # v0.1.0"
ROOT = f"- uses: codex-ml-actions/codex-ml-actions@{PIN}"
ASK = "- uses: $/actions/ask"
COMPARE = "- uses: $/actions/compare"
WRITE = "pull-requests: write # why"
RUN = "workflow_run"
SAME = "github.event.pull_request.head.repo.full_name == github.repository"
OWN = f"environment: gpu\nif: ${{{{{{{{ {{}} || {SAME} }}}}}}}}"
DECIDING = "needs: [x]\nif: ${{ always() }}"
READS = "- env: {R: '${{ needs.x.result }}'}\n  run: '[ \"$R\" = success ] || exit 1'\n"
ASK_ACTION = "actions/ask/action.yml"

CASES: Mapping[str, tuple[Case, ...]] = {
    "top-permissions": (
        Case(job("- run: x", top="permissions: read-all"), job("- run: x")),
        Case(job("- run: x", top=""), job("- run: x")),
    ),
    "job-permissions": (
        Case(
            workflow("runs-on: ubuntu-24.04\ntimeout-minutes: 5\nsteps: [{run: x}]"),
            job("- run: x"),
        ),
        Case(
            workflow("runs-on: ubuntu-24.04\npermissions: write-all\nsteps: [{run: x}]"),
            job("- run: x"),
        ),
    ),
    "permission-reason": (
        Case(job("- run: x", permissions="contents: read"), job("- run: x")),
        Case(job("- run: x", permissions="contents: read #"), job("- run: x")),
    ),
    "trigger": (
        Case(job("- run: x", on="pull_request_target"), job("- run: x", on="[push]")),
        Case(job("- run: x", on="[issue_comment, push]"), job("- run: x", on="[push]")),
        Case(
            job("- run: x", on="workflow_run"),
            job("- run: x", on="workflow_run # zizmor: ignore[dangerous-triggers] runs no code"),
        ),
        Case(
            job("- run: x", on="workflow_run # zizmor: ignore[dangerous-triggers]"),
            job("- run: x", on="push"),
        ),
    ),
    "timeout": (
        Case(
            workflow("runs-on: ubuntu-24.04\npermissions: {}\nsteps: [{run: x}]"), job("- run: x")
        ),
    ),
    "concurrency": (
        Case(
            job("- run: x", on="pull_request"),
            job(
                "- run: x",
                on="pull_request",
                head="concurrency: x-${{ github.event.pull_request.number }}",
            ),
        ),
        Case(
            job("- run: x", on="pull_request", head="concurrency: x"),
            job("- run: x", on="pull_request", head="concurrency: x-${{ github.ref }}"),
        ),
    ),
    "pinned": (
        Case(job("- uses: actions/checkout@v7"), job(f"- uses: {CHECKOUT}")),
        Case(job(f"- uses: {CHECKOUT.partition(' #')[0]}"), job(f"- uses: {CHECKOUT}")),
        Case(job("- uses: ./actions/compare"), job("- uses: $/actions/compare")),
        Case(job("- uses: docker://alpine"), job("- uses: $/actions/compare")),
        Case(job(f"- uses: {CHECKOUT[:-1]}x"), job(f"- uses: {CHECKOUT}")),
        Case(action("- uses: actions/checkout@main"), action(f"- uses: {CHECKOUT}"), "action.yml"),
        Case(
            workflow("permissions: {}\nuses: me/lib/.github/workflows/x.yml@main"),
            workflow("permissions: {}\nuses: $/.github/workflows/x.yml"),
        ),
    ),
    "script-expression": (
        Case(
            job("- run: echo ${{ github.ref }}"),
            job("- run: echo $REF\n  env:\n    REF: ${{ github.ref }}"),
        ),
        Case(
            action("- run: echo ${{ inputs.x }}\n  shell: bash"),
            action("- run: echo $X\n  shell: bash"),
            "action.yml",
        ),
        Case(
            job("- uses: actions/github-script@x\n  with:\n    script: core.info(${{ inputs.x }})"),
            job("- uses: actions/github-script@x\n  with:\n    script: core.info(process.env.X)"),
        ),
    ),
    "runner-files": (
        Case(job('- run: echo "X=1" >>"$GITHUB_ENV"'), job('- run: echo "x=1" >>"$GITHUB_OUTPUT"')),
        Case(job('- run: echo bin >>"$GITHUB_PATH"'), job("- run: bin/x")),
    ),
    "persist-credentials": (
        Case(
            job(f"- uses: {CHECKOUT}"),
            job(f"- uses: {CHECKOUT}\n  with:\n    persist-credentials: false"),
        ),
        Case(
            job(
                f"- uses: {CHECKOUT}\n  with:\n    persist-credentials: false\n"
                "    allow-unsafe-pr-checkout: true"
            ),
            job(f"- uses: {CHECKOUT}\n  with:\n    persist-credentials: false"),
        ),
    ),
    "fixed-head": (
        Case(
            job(f"- uses: {CHECKOUT}", on="pull_request"),
            job(f"- uses: {CHECKOUT}\n  with:\n    {SHA}", on="pull_request"),
        ),
        Case(
            job(
                f"- uses: {CHECKOUT}\n  with:\n    ref: ${{{{ github.head_ref }}}}",
                on="pull_request",
            ),
            job(f"- uses: {CHECKOUT}\n  with:\n    {SHA}", on="pull_request"),
        ),
    ),
    "secret-scope": (
        Case(
            job("- run: x", more="env:\n  KEY: ${{ secrets.KEY }}"),
            job("- run: x\n  env:\n    KEY: ${{ secrets.KEY }}"),
        ),
        Case(
            job("- run: x", head="env:\n  KEY: ${{ secrets['KEY'] }}"),
            job("- run: x", head="env:\n  KEY: x"),
        ),
        Case(
            workflow("permissions: {}\nuses: $/x.yml\nsecrets: inherit"),
            workflow("permissions: {}\nuses: $/x.yml\nsecrets: {key: '${{ secrets.KEY }}'}"),
        ),
    ),
    "fork-guard": (
        Case(
            job("- run: x", runs_on="[self-hosted, gpu]", more="environment: gpu"),
            job(
                "- run: x",
                runs_on="[self-hosted, gpu]",
                more="environment: gpu\nif: github.event.pull_request.head.repo.full_name == "
                "github.repository",
            ),
        ),
        Case(
            job(
                "- run: x",
                runs_on="${{ fromJSON(inputs.runner) }}",
                more="if: github.event.pull_request.head.repo.full_name == github.repository",
            ),
            job("- run: x"),
        ),
        Case(
            job("- run: x", runs_on="gpu", more=OWN.format("github.event_name != 'pull_request'")),
            job("- run: x", runs_on="gpu", more=OWN.format("!github.event.pull_request")),
        ),
    ),
    "artifact-name": (
        Case(
            job(f"- uses: {UPLOAD}\n  with:\n    path: x"),
            job(f"- uses: {UPLOAD}\n  with:\n    name: compare-gate\n    path: x"),
        ),
    ),
    "ask-permissions": (
        Case(job(ASK, permissions="{contents: read, issues: read} # why"), job(ASK)),
        Case(job(ASK, permissions="contents: write # why"), job(ASK)),
        Case(job(ASK, permissions="id-token: write # why"), job(ASK)),
    ),
    "ask-hosted": (
        Case(job(ASK, runs_on="[self-hosted, gpu]"), job(ASK)),
        Case(job(ASK, runs_on="${{ inputs.runner }}"), job(ASK)),
    ),
    "ask-alone": (
        Case(job(f"- run: make\n{ASK}"), job(ASK)),
        Case(job(f"- uses: $/actions/evaluate\n{ASK}"), job(f"- uses: {CHECKOUT}\n{ASK}")),
        Case(
            job(f"- uses: actions/setup-python@x\n{ASK}"),
            job(f"- uses: actions/download-artifact@x\n{ASK}"),
        ),
        Case(job(f"- uses: actions/cache@x\n{ASK}"), job(ASK)),
        Case(job(f"{ROOT}\n{ASK}"), job(ASK)),
    ),
    "ask-last": (
        Case(
            job(f"{ASK}\n- uses: actions/download-artifact@x"),
            job(f"{ASK}\n- uses: actions/upload-artifact@x"),
        ),
        Case(job(f"{ASK}\n{ASK}"), job(ASK)),
        Case(
            codex() + "    - run: cat answer.json\n      shell: bash\n",
            codex() + "    - run: '\"$ROOT/scripts/run\" ask verify'\n      shell: bash\n",
            ASK_ACTION,
        ),
    ),
    "ask-timeout": (
        Case(job(ASK).replace("minutes: 5", "minutes: 300"), job(ASK)),
        Case(job(ASK).replace("minutes: 5", "minutes: ${{ inputs.x }}"), job(ASK)),
    ),
    "one-codex-step": (
        Case(job(f"- uses: {CODEX}"), job(ASK)),
        Case(codex(), action("- run: x\n  shell: bash"), "actions/compare/action.yml"),
    ),
    "codex-version": (
        Case(codex(codex_version=None), codex(), ASK_ACTION),
        Case(codex(codex_version='""'), codex(), ASK_ACTION),
        Case(codex(codex_version="latest"), codex(), ASK_ACTION),
        Case(codex(codex_version="^0.169.0"), codex(), ASK_ACTION),
        Case(
            codex(codex_version="${{ inputs.codex-version }}"),
            codex(codex_version="${{ inputs.codex-version }}").replace(
                "runs:", 'inputs:\n  codex-version: {default: "0.169.0"}\nruns:'
            ),
            ASK_ACTION,
        ),
    ),
    "codex-sandbox": (
        Case(codex(sandbox="danger-full-access"), codex(), ASK_ACTION),
        Case(codex(sandbox="workspace-write"), codex(), ASK_ACTION),
        Case(codex(sandbox=None), codex(), ASK_ACTION),
        Case(codex(safety_strategy="unsafe"), codex(safety_strategy="drop-sudo"), ASK_ACTION),
        Case(codex(safety_strategy='"read-only"'), codex(), ASK_ACTION),
        Case(codex(codex_args="--dangerously-bypass-approvals"), codex(), ASK_ACTION),
        Case(codex(codex_args="--yolo"), codex(), ASK_ACTION),
    ),
    "codex-actors": (
        Case(codex(allow_users='"*"'), codex(allow_users="alice"), ASK_ACTION),
        Case(codex(allow_bot_users='"a,*"'), codex(allow_bot_users="dependabot"), ASK_ACTION),
        Case(codex(allow_bots="true"), codex(allow_bots="false"), ASK_ACTION),
        Case(job(f'{ASK}\n  with:\n    allow-bot-users: "*"'), job(ASK)),
    ),
    "codex-prompt": (
        Case(codex(prompt="${{ inputs.question }}", prompt_file=None), codex(), ASK_ACTION),
        Case(codex(output_schema="{}"), codex(), ASK_ACTION),
        Case(codex(codex_home=None), codex(), ASK_ACTION),
        Case(codex(output_file=None), codex(), ASK_ACTION),
        Case(codex().replace("      continue-on-error: true\n", ""), codex(), ASK_ACTION),
    ),
    "stranger-text": (
        Case(
            job(f"{ASK}\n  with:\n    question: ${{{{ github.event.pull_request.title }}}}"),
            job(f"{ASK}\n  with:\n    question: ${{{{ github.event.pull_request.number }}}}"),
        ),
        Case(job(f"{ASK}\n  with:\n    ref: ${{{{ github.head_ref }}}}"), job(ASK)),
        Case(job(f"{ASK}\n  with:\n    x: ${{{{ github.event.comment.body }}}}"), job(ASK)),
    ),
    "key-place": (
        Case(
            job("- run: x\n  env:\n    KEY: ${{ secrets.OPENAI_API_KEY }}"),
            job("- run: x\n  env:\n    GIVEN: ${{ secrets.OPENAI_API_KEY != '' }}"),
        ),
        Case(
            job("- uses: $/actions/compare\n  with:\n    openai-api-key: ${{ inputs.key }}"),
            job(f"{ASK}\n  with:\n    openai-api-key: ${{{{ secrets.OPENAI_API_KEY }}}}"),
        ),
        Case(job("- uses: x/y@z\n  with:\n    k: ${{ secrets['KEY'] }}"), job("- uses: x/y@z")),
        Case(
            job("- uses: $/actions/drift\n  env:\n    X: ${{ secrets.OPENAI_API_KEY }}"),
            job("- uses: $/actions/drift\n  env:\n    X: ${{ secrets.MLFLOW_TRACKING_TOKEN }}"),
        ),
        Case(
            job("- uses: $/actions/evaluate\n  env:\n    X: ${{ secrets.MLFLOW_TRACKING_TOKEN }}"),
            job("- uses: $/actions/drift\n  env:\n    X: ${{ secrets.mlflow-tracking-token }}"),
        ),
        Case(
            job("- run: x\n  env:\n    X: ${{ secrets.SETUP_TOKEN }}"),
            job("- run: x\n  env:\n    X: ${{ secrets.SETUP_TOKEN }}").replace("one:", "propose:"),
            "workflows/init.yml",
        ),
        Case(
            job("- uses: $/actions/discover\n  env:\n    X: ${{ secrets.mlflow-tracking-token }}"),
            job("- uses: $/actions/discover\n  env:\n    X: ${{ secrets.hf-token }}"),
        ),
    ),
    "measure-no-key": (
        Case(
            job("- uses: $/actions/evaluate", permissions="contents: write # why"),
            job("- uses: $/actions/evaluate"),
        ),
        Case(
            job("- uses: $/actions/evaluate\n- uses: $/actions/comment"),
            job("- uses: $/actions/evaluate\n- uses: $/actions/compare"),
        ),
        Case(
            action(
                "- run: '\"$ROOT/scripts/run\" evaluate'\n  shell: bash",
                inputs="  openai-api-key: {description: x}",
            ),
            action(
                "- run: '\"$ROOT/scripts/run\" evaluate'\n  shell: bash",
                inputs="  key: {description: x}",
            ),
            "action.yml",
        ),
        Case(
            action(
                "- run: '\"$ROOT/scripts/run\" evaluate'\n  shell: bash",
                inputs="  github-token: {description: x}",
            ),
            action("- run: '\"$ROOT/scripts/run\" compare'\n  shell: bash"),
            "action.yml",
        ),
        Case(
            job("- uses: $/actions/export/retry", permissions="contents: write # why"),
            job("- uses: $/actions/export/verify", permissions="contents: write # why"),
        ),
        Case(
            action(
                "- run: '\"$ROOT/scripts/run\" export measure'\n  shell: bash",
                inputs="  api-key: {description: x}",
            ),
            action(
                "- run: '\"$ROOT/scripts/run\" export measure'\n  shell: bash",
                inputs="  checkpoint-key: {description: x}",
            ),
            "action.yml",
        ),
        Case(
            job(f"{ROOT}\n- uses: $/actions/comment"),
            job("- uses: $/actions/compare\n- uses: $/actions/comment"),
        ),
        Case(job(ROOT, permissions=WRITE), job(ROOT)),
        Case(job("- uses: $/", permissions=WRITE), job("- uses: $/")),
        Case(job(ROOT.replace("codex-ml-actions/", "fork/", 1), permissions=WRITE), job(ROOT)),
        Case(
            job("- run: '\"$ROOT/scripts/run\" evaluate'", permissions=WRITE),
            job("- run: '\"$ROOT/scripts/run\" compare'", permissions=WRITE),
        ),
    ),
    "writer-alone": (
        Case(
            job(f"- uses: {CHECKOUT}", permissions="contents: write # why"),
            job("- uses: actions/download-artifact@x", permissions="contents: write # why"),
        ),
        Case(job(ASK, permissions="issues: write # why"), job(ASK)),
        Case(job("- uses: $/actions/evaluate", permissions="checks: write # why"), job(ASK)),
        Case(job(ROOT, permissions=WRITE), job("- uses: $/actions/comment", permissions=WRITE)),
        Case(job("- uses: x/y@z", permissions=WRITE), job("- uses: x/y@z")),
        Case(
            job('- run: git clone "$URL" . && make', permissions=WRITE),
            job('- run: git clone "$URL" . && make'),
        ),
        Case(
            job("- uses: x/y@z\n  with:\n    script: x()", permissions="contents: write # why"),
            job("- uses: x/y@z\n  with:\n    script: x()"),
        ),
        Case(
            job("- run: x", permissions=WRITE),
            job("- run: x", permissions=WRITE).replace("  one:", "  propose:"),
            "workflows/baseline-update.yml",
        ),
        Case(
            job(f"- uses: {CHECKOUT}").replace("  one:", "  propose:"),
            job("- uses: actions/download-artifact@x").replace("  one:", "  propose:"),
            "workflows/init.yml",
        ),
    ),
    "comment-permissions": (
        Case(
            job("- uses: $/actions/comment", permissions="contents: write # why"),
            job("- uses: $/actions/comment", permissions="pull-requests: write # why"),
        ),
        Case(
            job("- uses: $/actions/comment"),
            job("- uses: $/actions/comment", permissions="issues: write # why"),
        ),
    ),
    "cache-mode": (
        Case(job(ASK).replace("cache-mode: none", "cache-mode: read"), job(ASK)),
        Case(
            job("- uses: $/actions/compare").replace("    cache-mode: none\n", ""),
            job("- uses: $/actions/compare")
            .replace("    cache-mode: none\n", "")
            .replace("permissions: {}", "permissions: {}\ncache-mode: none", 1),
        ),
        *(
            Case(
                job("- run: x", on="pull_request").replace("    cache-mode: none\n", given),
                job("- run: x", on="pull_request").replace("mode: none", "mode: read"),
                "workflows/x.yml",
            )
            for given in ("", "    cache-mode: write\n")
        ),
        Case(
            job("- run: x", on="[push, pull_request]").replace("mode: none", "mode: write"),
            job("- run: x", on="[push, schedule]").replace("mode: none", "mode: write"),
            "workflows/x.yml",
        ),
        Case(
            job("- run: x", permissions="contents: write # why").replace("none", "write"),
            job("- run: x", permissions="contents: write # why"),
        ),
    ),
    "propose-dispatch": (
        Case(
            job("- uses: $/actions/propose", on="push"),
            job("- uses: $/actions/propose", on="workflow_dispatch"),
        ),
        Case(
            job("- uses: $/actions/propose/publish", on="[workflow_dispatch, pull_request]"),
            job("- uses: $/actions/propose/publish", on="[workflow_dispatch, workflow_call]"),
        ),
    ),
    "workflow-run-inert": (
        Case(
            job("- run: x", permissions="statuses: write # why", on="workflow_run"),
            job("- run: x", permissions="pull-requests: write # why", on="workflow_run"),
        ),
        Case(job("", permissions="checks: write # why", on=RUN), job("", on=RUN)),
        Case(job("", permissions="contents: write # why", on=RUN), job("", on=RUN)),
        Case(job("", permissions="actions: write # why", on=RUN), job("", on=RUN)),
        Case(job("", permissions="id-token: write # why", on=RUN), job("", on=RUN)),
        Case(job(f"- uses: {CHECKOUT}", on="workflow_run"), job(f"- uses: {CHECKOUT}")),
        Case(job(ASK, on="workflow_run"), job(ASK)),
        Case(job(ROOT, on="workflow_run"), job(ROOT)),
        Case(
            job("- run: x\n  env:\n    K: ${{ secrets.KEY }}", on="workflow_run"),
            job("- run: x\n  env:\n    K: ${{ github.token }}", on="workflow_run"),
        ),
    ),
    "required-check": (
        Case(job(COMPARE, more="needs: [x]"), job(READS + COMPARE, more=DECIDING)),
        Case(job(COMPARE, more=DECIDING), job(COMPARE)),
        Case(job(READS + COMPARE, more="needs: [x]"), job(READS + COMPARE, more=DECIDING)),
        Case(
            job(READS + COMPARE, more="needs: x\nif: ${{ always() && github.ref == 'x' }}"),
            job(READS + COMPARE, more="needs: x\nif: always()"),
        ),
        Case(
            job(f"# reads needs.x.result\n{COMPARE}", more=DECIDING),
            job(f"# reads needs.x.result\n{READS}{COMPARE}", more=DECIDING),
        ),
        Case(
            job(READS + COMPARE, more="needs: [x, z]\nif: ${{ always() }}"),
            job(READS.replace(".x", ".z") + READS + COMPARE, more=DECIDING.replace("x", "x, z")),
        ),
        *(
            Case(job(broken + COMPARE, more=DECIDING), job(READS + COMPARE, more=DECIDING))
            for broken in (
                READS.replace("exit 1", "true"),
                READS.replace("$R", "$S"),
                READS.replace("x.result", "x.outputs.status"),
                READS + "  continue-on-error: true\n",
                READS + "  if: github.ref == 'x'\n",
            )
        ),
        Case(job(COMPARE, more="if: github.event_name == 'push'"), job(COMPARE)),
        Case(
            job(READS + COMPARE, more="needs: evaluate\nif: always()"),
            job(READS.replace(".x", ".evaluate") + COMPARE, more="needs: evaluate\nif: always()"),
        ),
        Case(job(ROOT, more="needs: [x]"), job(READS + ROOT, more=DECIDING)),
        Case(
            job("- uses: $/actions/export/verify", more="needs: [x]"),
            job("- uses: $/actions/export/smoke", more="needs: [x]"),
        ),
    ),
}
