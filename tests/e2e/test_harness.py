"""The harness shows what a workflow did, and nothing that it did not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.bridge import Library, copy_library, rewrite
from tests.e2e.conftest import MakeScratch
from tests.e2e.harness import Act

UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"

GREET = """
name: greet
description: Greet somebody.
inputs: {who: {description: Whom., required: true}}
outputs: {text: {description: What was said., value: "${{ steps.say.outputs.text }}"}}
runs:
  using: composite
  steps:
    - id: say
      shell: bash
      env: {WHO: "${{ inputs.who }}"}
      run: |
        echo "text=hello $WHO" >>"$GITHUB_OUTPUT"
        echo "# Said hello" >>"$GITHUB_STEP_SUMMARY"
        echo "::warning file=a.py,line=3,title=Careful::hm"
"""

TINY = f"""
on: push
jobs:
  first:
    runs-on: ubuntu-latest
    outputs: {{text: "${{{{ steps.greet.outputs.text }}}}"}}
    steps:
      - uses: {CHECKOUT}
      - {{id: greet, uses: ./greet, with: {{who: "${{{{ vars.WHO }}}}"}}}}
      - run: mkdir out && echo "${{{{ secrets.KEY }}}}" >out/key && echo x >out/.hidden
      - {{uses: {UPLOAD}, with: {{name: box, path: out}}}}
  second:
    needs: first
    runs-on: ubuntu-latest
    strategy: {{matrix: {{seed: [1, 2]}}}}
    steps:
      - {{uses: {DOWNLOAD}, with: {{name: box, path: in}}}}
      - id: read
        env: {{TEXT: "${{{{ needs.first.outputs.text }}}}"}}
        run: |
          echo "text=$TEXT" >>"$GITHUB_OUTPUT"
          echo "files=$(ls -A in)" >>"$GITHUB_OUTPUT"
      - {{id: stop, run: exit 3, if: matrix.seed == 2}}
      - {{id: after, run: "true"}}
  third:
    needs: second
    runs-on: ubuntu-latest
    steps: [{{run: "true"}}]
"""


def workflow(*steps: str, on: str = "push") -> dict[str, str | bytes | None]:
    """Write a repository with one workflow of one job."""
    head = f"on: {on}\njobs:\n  only:\n    runs-on: ubuntu-latest\n    steps:\n"
    return {".github/workflows/w.yml": head + "".join(f"      - {step}\n" for step in steps)}


def test_a_run_comes_back_as_data(act: Act, scratch: MakeScratch) -> None:
    repository = scratch({".github/workflows/w.yml": TINY, "greet/action.yml": GREET})
    run = act.run(repository, secrets={"KEY": "s3cret"}, variables={"WHO": "Ada's $HOME"})
    assert run.exit_code == 1
    first = run.job("first")
    assert first.ok
    assert first.step("greet").outputs["text"] == "hello Ada's $HOME"
    assert (first.summary, run.summary) == ("# Said hello\n", "# Said hello\n")
    note = run.annotations[0]
    assert (note.level, note.message, note.fields["line"]) == ("warning", "hm", "3")
    assert run.job("second", seed=1).step("read").outputs == {
        "text": "hello Ada's $HOME",
        "files": "key",
    }
    stopped = run.job("second", seed=2)
    assert (stopped.step("stop").outcome, stopped.step("stop").exit_code) == ("failure", 3)
    assert not stopped.ran("after")
    assert not run.ran("third")
    with pytest.raises(KeyError, match="no job third"):
        run.job("third")
    assert (run.artifacts / "box" / "key").read_text() == "s3cret\n"


def test_secrets_are_on_no_command_line_and_our_environment_stays_out(
    act: Act, scratch: MakeScratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLACTIONS_CANARY", "leaked")
    repository = scratch(workflow('{id: look, run: \'env; cat /proc/*/cmdline | tr "\\\\0" " "\'}'))
    run = act.run(repository, secrets={"KEY": "s3cret"})
    assert run.exit_code == 0
    assert "GITHUB_SHA=" in run.log
    assert not any(word in run.output for word in ("s3cret", "leaked"))


def test_a_job_without_a_machine_fails_the_test(act: Act, scratch: MakeScratch) -> None:
    files = workflow("{run: 'true'}")
    repository = scratch({k: str(v).replace("ubuntu-latest", "gpu") for k, v in files.items()})
    with pytest.raises(AssertionError, match="act has no machine"):
        act.run(repository)


def test_a_run_that_takes_too_long_fails_the_test(act: Act, scratch: MakeScratch) -> None:
    repository = scratch(workflow("{run: sleep 60}"))
    with pytest.raises(AssertionError, match=r"over 1\.0 s"):
        act.run(repository, timeout=1.0)


def test_cancelling_runs_the_steps_that_always_run(act: Act, scratch: MakeScratch) -> None:
    repository = scratch(
        workflow(
            "{id: long, run: 'echo now cancel; sleep 60'}",
            "{id: next, run: 'true'}",
            "{id: tidy, if: always(), run: 'true'}",
        )
    )
    job = act.run(repository, cancel_on='"msg":"now cancel').job("only")
    assert job.ran("tidy")
    assert not job.ran("next")


def test_what_a_job_leaves_running_ends_with_the_job(
    act: Act, scratch: MakeScratch, tmp_path: Path
) -> None:
    # A process that ended but was never waited for still has a folder, with an empty command line.
    alive = f"grep -q sleep /proc/$(cat {tmp_path}/pid)/cmdline"
    text = f"""
on: push
jobs:
  first:
    runs-on: ubuntu-latest
    steps:
      - run: sleep 60 & echo $! >{tmp_path}/pid
      - run: {alive}
  second:
    needs: first
    runs-on: ubuntu-latest
    steps:
      - run: for _ in {{1..50}}; do {alive} || exit 0; sleep 0.1; done; exit 1
"""
    run = act.run(scratch({".github/workflows/w.yml": text}))
    assert run.exit_code == 0, run.log


def test_checkouts_have_the_depth_and_the_commit_they_ask_for(
    act: Act, scratch: MakeScratch
) -> None:
    deep = "{fetch-depth: 0, path: deep, ref: '${{ github.event.pull_request.head.sha }}'}"
    count = "git -C deep rev-list --count HEAD"
    repository = scratch(
        workflow(
            f"{{uses: {CHECKOUT}}}",
            f"{{uses: {CHECKOUT}, with: {deep}}}",
            "{id: merge, run: 'git rev-parse HEAD; git rev-list --count HEAD'}",
            f"{{id: head, run: 'git -C deep rev-parse HEAD origin/main; {count}'}}",
            "{id: key, run: 'git config --get-regexp extraheader'}",
            on="pull_request",
        )
    )
    pull = repository.pull_request({"new.txt": "new"}, fork="mallory/digits")
    job = act.run(repository, "pull_request", payload=pull.payload).job("only")
    assert job.step("merge").log.split() == [pull.merge_sha, "1"]
    assert job.step("head").log.split() == [pull.head_sha, pull.base_sha, "2"]
    assert "AUTHORIZATION" in job.step("key").log
    assert pull.payload["pull_request"]["head"]["repo"]["full_name"] == "mallory/digits"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["{uses: %s, with: {name: a, path: f}}"] * 2, "409"),
        (
            ["{uses: %s, with: {name: a, path: none, if-no-files-found: error}}"],
            "No files were found",
        ),
        (["{uses: %s, with: {name: 'a/b', path: f}}"], "not valid"),
        (["{uses: %s, with: {name: a, path: f, retention-days: 91}}"], "retention-days"),
        (["{uses: %s, with: {name: a, path: .h, if-no-files-found: error}}"], "No files"),
    ],
)
def test_an_upload_is_refused_as_on_github(
    act: Act, scratch: MakeScratch, steps: list[str], message: str
) -> None:
    uploads = [step % UPLOAD for step in steps]
    run = act.run(scratch(workflow("{run: 'echo x >f; echo x >.h'}", *uploads)))
    assert run.exit_code == 1
    assert any(message in note.message for note in run.annotations)


def test_artifacts_are_found_by_name_pattern_and_run(act: Act, scratch: MakeScratch) -> None:
    repository = scratch(
        {
            **workflow(
                "{run: 'mkdir -p a/b; echo 1 >a/b/one; echo 2 >a/two; echo 3 >a/two.log'}",
                f'{{uses: {UPLOAD}, with: {{name: x-1, path: "a/**\\n!a/*.log"}}}}',
                f"{{uses: {UPLOAD}, with: {{name: x-2, path: a/two.log}}}}",
                f"{{uses: {DOWNLOAD}, with: {{path: all}}}}",
                f"{{uses: {DOWNLOAD}, with: {{path: m, pattern: 'x-*', merge-multiple: true}}}}",
                "{id: list, run: 'find all m -type f | sort'}",
                f"{{uses: {DOWNLOAD}, with: {{name: y}}}}",
            )
        }
    )
    run = act.run(repository)
    listed = run.job("only").step("list").log.split()
    separate = ["all/x-1/b/one", "all/x-1/two", "all/x-2/two.log"]
    assert listed == [*separate, "m/b/one", "m/two", "m/two.log"]
    assert any("Artifact not found for name: y" in note.message for note in run.annotations)
    again = workflow(f"{{uses: {DOWNLOAD}, with: {{name: x-2, run-id: 1, github-token: t}}}}")
    repository.commit(again)
    assert act.run(repository, run_id=2).exit_code == 0


def test_the_bridge_rewrites_what_only_github_resolves() -> None:
    text = 'uses: $/actions/ask\n  - uses: "$/actions/x" # why\nref: ${{ job.workflow_sha }}\n'
    assert rewrite(text) == (
        "uses: library/self/actions/ask@self\n"
        '  - uses: "library/self/actions/x@self" # why\n'
        f"ref: ${{{{ '{'5' * 40}' }}}}\n"
    )


def test_a_reusable_workflow_of_the_library_reaches_its_own_actions(
    tmp_path: Path, scratch: MakeScratch
) -> None:
    source = scratch(
        {
            ".gitignore": "ignored\n",
            "actions/greet/action.yml": GREET.replace(
                "hello $WHO", '$(cat "$GITHUB_ACTION_PATH/../../word") $WHO'
            ),
            ".github/workflows/reuse.yml": (
                "on: {workflow_call: {inputs: {who: {type: string}}}}\n"
                "jobs: {inner: {runs-on: ubuntu-latest, steps: [{id: greet, "
                'uses: $/actions/greet, with: {who: "${{ inputs.who }}"}}]}}\n'
            ),
        },
        "me/codex-ml-actions",
    )
    source.write({"word": "untracked", "ignored": "x"})
    library: Library = copy_library(tmp_path / "library", source.path)
    assert not (library.path / "ignored").exists()
    sha = "1" * 40
    call = f"uses: me/codex-ml-actions/.github/workflows/reuse.yml@{sha}, with: {{who: you}}"
    user = scratch({".github/workflows/w.yml": f"on: push\njobs: {{go: {{{call}}}}}\n"})
    run = Act(tmp_path / "act", library).run(user)
    assert run.job("inner").step("greet").outputs["text"] == "untracked you"
