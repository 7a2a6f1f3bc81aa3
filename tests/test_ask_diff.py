"""A suggested diff, held against a repository that it must not touch."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.ask.patch import Changed, CheckedPatch, check_patch
from mlactions.ask.repository import Repository, open_repository
from tests.ask_cases import git, write

MODEL = (
    "import torch\n\n\ndef forward(x):\n    if x.sum() > 0:\n        return x * 2\n    return x\n"
)
GOOD = """\
--- a/src/model.py
+++ b/src/model.py
@@ -4,4 +4,2 @@ import torch
 def forward(x):
-    if x.sum() > 0:
-        return x * 2
-    return x
+    return torch.where(x.sum() > 0, x * 2, x)
"""
NEW = "--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a repository with a model, a program, a link, a workflow, and what agents read."""
    root = tmp_path / "repo:sitory"
    write(root / "src/model.py", MODEL)
    write(root / "run.sh", "echo\n").chmod(0o755)
    write(root / ".github/workflows/ci.yml", "x\n")
    write(root / ".gitignore", "x\n")
    write(root / "AGENTS.md", "x\n")
    (root / "weights.bin").write_bytes(b"\0\1\n")
    (root / "latin.py").write_bytes(b"# \xe9\nx = 1\n")
    (root / "link.py").symlink_to("src/model.py")
    (root / "linked").symlink_to("src")
    git(root.parent, "init", "-q", "-b", "main", str(root))
    git(root, "add", "-A", "--force")
    git(root, "commit", "-qm", "First")
    return root


def state(root: Path) -> list[tuple[str, bytes]]:
    """Return every file of a repository, git's own included."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
    return [(path.relative_to(root).as_posix(), path.read_bytes()) for path in files]


def check(root: Path, text: str) -> CheckedPatch:
    """Check a diff; the repository and git's store stay as they are, byte for byte."""
    before = state(root)
    checked = check_patch(text, open_repository(root))
    assert state(root) == before
    return checked


def apply(root: Path, text: str) -> None:
    """Apply a diff as a person does."""
    subprocess.run(["git", "-C", str(root), "apply", "-"], input=text.encode(), check=True)


def test_a_diff_that_applies_is_given_back_in_gits_own_form(root: Path) -> None:
    checked = check(root, GOOD)
    assert (checked.struck, checked.files) == ("", (Changed("src/model.py", 1, 3),))
    assert checked.text.startswith("diff --git a/src/model.py b/src/model.py\nindex ")
    apply(root, checked.text)
    kept = MODEL.partition("    if")[0]
    mended = f"{kept}    return torch.where(x.sum() > 0, x * 2, x)\n"
    assert (root / "src/model.py").read_text() == mended


@pytest.mark.parametrize(
    "text",
    [
        GOOD.rstrip("\n"),
        GOOD.replace("@@ -4,4 +4,2 @@", "@@ -4,9 +4,7 @@"),
        GOOD.replace("@@ -4,4 +4,2 @@", "@@ -2,4 +2,2 @@"),
        GOOD.replace("a/src", "src").replace("b/src", "src"),
        "diff --git a/src/model.py b/src/model.py\n" + GOOD,
    ],
    ids=["no line end", "miscounted", "elsewhere", "no prefix", "with a header"],
)
def test_what_says_the_same_has_the_same_form(root: Path, text: str) -> None:
    assert check(root, text) == check(root, GOOD)


def test_a_new_file_may_be_added(root: Path) -> None:
    checked = check(root, NEW.format(path="src/new.py"))
    assert (checked.struck, checked.files) == ("", (Changed("src/new.py", 1, 0),))
    apply(root, checked.text)
    assert (root / "src/new.py").read_text() == "x\n"


def change(path: str, before: str = "x", after: str = "y", head: str = "") -> str:
    """Return a diff of one line."""
    names = f"--- a/{path}\n+++ b/{path}\n"
    return f"diff --git a/{path} b/{path}\n{head}{names}@@ -1 +1 @@\n-{before}\n+{after}\n"


MODE = "old mode 100644\nnew mode 100755\n"
RENAME = "similarity index 100%\nrename from src/model.py\nrename to src/other.py\n"
LINK = """\
diff --git a/link.py b/link.py
--- a/link.py
+++ b/link.py
@@ -1 +1 @@
-src/model.py
\\ No newline at end of file
+/etc/passwd
\\ No newline at end of file
"""
REFUSED = {
    "not there": (GOOD.replace("x * 2", "x * 3"), "does not apply: patch failed: src/model.py"),
    "no such file": (change("src/gone.py"), "src/gone.py: does not exist in index"),
    "prose": ("Use torch.where instead.", "it is no unified diff"),
    "workflow": (change(".github/workflows/ci.yml"), "is read by git or GitHub"),
    "new workflow": (NEW.format(path=".github/workflows/a.yml"), "is read by git or GitHub"),
    "below": (NEW.format(path="src/.GitHub/a.yml"), "is read by git or GitHub"),
    "gitignore": (change(".gitignore"), "is read by git or GitHub"),
    "git": (NEW.format(path=".git/hooks/pre-commit"), "does not apply"),
    "out": (NEW.format(path="../out.py"), "does not apply"),
    "absolute": (NEW.format(path="x").replace("b/x", "/etc/x"), "does not apply"),
    "agents": (change("AGENTS.md"), "is read by agents"),
    "codex": (NEW.format(path=".codex/config.toml"), "is read by agents"),
    "delete": (
        GOOD.replace("+++ b/src/model.py", "+++ /dev/null"),
        "does not apply",
    ),
    "rename": (
        f"diff --git a/src/model.py b/src/other.py\n{RENAME}",
        "it deletes or moves src/model.py",
    ),
    "mode": (f"diff --git a/src/model.py b/src/model.py\n{MODE}", "changes the mode"),
    "new program": (
        "diff --git a/p.sh b/p.sh\nnew file mode 100755\n" + NEW.format(path="p.sh"),
        "adds p.sh as a program",
    ),
    "new link": (
        "diff --git a/l b/l\nnew file mode 120000\n" + NEW.format(path="l"),
        "l is a link",
    ),
    "link": (LINK, "link.py is a link"),
    "through a link": (NEW.format(path="linked/new.py"), "does not apply"),
    "binary": ("GIT binary patch\nliteral 1\n", "it holds binary data"),
    "not utf-8": (change("latin.py", before="x = 1").replace("-1 +1", "-2 +2"), "is not UTF-8"),
    "nul": (GOOD + "\0", "it is no text"),
    "nothing": (change("run.sh", "echo", "echo"), "it changes nothing"),
    "escape": (NEW.format(path="a\u200bb.py"), "cannot be shown"),
    "many": ("".join(NEW.format(path=f"f{i}.py") for i in range(21)), "more than 20 files"),
    "large": (GOOD + "x" * 65_536, "more than 65,536 characters"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_everything_else_is_struck_with_its_reason(root: Path, name: str) -> None:
    text, reason = REFUSED[name]
    checked = check(root, text)
    assert reason in checked.struck
    assert checked.files == ()


def test_a_changed_work_tree_is_what_counts(root: Path) -> None:
    write(root / "src/model.py", MODEL.replace("* 2", "* 3"))
    assert "does not apply" in check(root, GOOD).struck
    checked = check(root, GOOD.replace("x * 2\n", "x * 3\n"))
    assert checked.struck == ""
    apply(root, checked.text)


def test_a_linked_work_tree_has_its_objects_elsewhere(root: Path, tmp_path: Path) -> None:
    git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    assert check_patch(GOOD, open_repository(tmp_path / "second")).struck == ""


def test_a_store_that_cannot_be_read_is_a_reason(root: Path) -> None:
    repository = replace(open_repository(root), head="1" * 40)
    assert check_patch(GOOD, repository).struck == "git cannot read the repository"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Make a repository once; a check changes nothing."""
    folder = tmp_path_factory.mktemp("any")
    write(folder / "a.py", "one\ntwo\nthree\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "First")
    return open_repository(folder)


LINES = st.sampled_from(
    ["--- a/a.py", "+++ b/a.py", "+++ /dev/null", "@@ -1,3 +1,3 @@", " one", "-two", "+2", "@@", ""]
)


@given(st.lists(LINES | st.text(max_size=20), max_size=12))
def test_no_text_breaks_the_check(repository: Repository, lines: list[str]) -> None:
    checked = check_patch("\n".join(lines), repository)
    assert bool(checked.struck) != bool(checked.files)
    assert (repository.root / "a.py").read_text() == "one\ntwo\nthree\n"
