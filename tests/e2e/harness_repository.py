"""Scratch repositories: a user's repository with real history, for act to run workflows in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHO = {"NAME": "Alice", "EMAIL": "alice@example.com", "DATE": "2026-01-01T00:00:00+0000"}
IDENTITY = {f"GIT_{role}_{key}": WHO[key] for role in ("AUTHOR", "COMMITTER") for key in WHO}
Files = Mapping[str, str | bytes | None]


@dataclass(frozen=True)
class PullRequest:
    """A pull request in a scratch repository; `merge_sha` is what workflows run on."""

    number: int
    base_sha: str
    head_sha: str
    merge_sha: str
    payload: Mapping[str, Any]


class Scratch:
    """A repository `owner/name`: a work tree for act, and a bare copy that checkouts clone."""

    def __init__(self, folder: Path, name: str = "octo/digits") -> None:
        self.name = name
        self.path = folder / "work" / name.replace("/", "-")
        self.origins = folder / "origins"
        self.path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "core.autocrlf", "false")
        # act takes the repository's name from here; nothing is ever fetched from it.
        self.git("remote", "add", "origin", f"https://github.com/{name}.git")
        self._create_origin(name)

    def git(self, *arguments: str) -> str:
        """Run git in the work tree."""
        environment = {**os.environ, **IDENTITY, "GIT_CONFIG_NOSYSTEM": "1", "GIT_PAGER": "cat"}
        result = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env={**environment, "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"git {' '.join(arguments)}: {result.stderr}"
        return result.stdout.strip()

    def write(self, files: Files) -> None:
        """Write files; None deletes one."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content)

    def commit(self, files: Files, message: str = "Change") -> str:
        """Commit files on the branch that is checked out, and publish it; return the commit."""
        self.write(files)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", message)
        branch = self.git("branch", "--show-current")
        self.publish(f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def publish(self, *refs: str, name: str | None = None) -> None:
        """Push to the bare copy."""
        self.git("push", "--quiet", "--force", str(self.origins / (name or self.name)), *refs)

    def pull_request(
        self, files: Files, number: int = 7, branch: str = "change", fork: str | None = None
    ) -> PullRequest:
        """Open a pull request from main, and check out its merge commit as GitHub would.

        `fork` is the repository that the branch lives in, this one if None.
        """
        base = self.git("rev-parse", "main")
        self.git("switch", "--quiet", "--create", branch, "main")
        self.write(files)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", "Change")
        head = self.git("rev-parse", "HEAD")
        if fork is None:
            self.publish(f"{head}:refs/heads/{branch}")
        else:
            self._create_origin(fork)
            self.publish(f"{base}:refs/heads/main", f"{head}:refs/heads/{branch}", name=fork)
        self.git("switch", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--no-gpg-sign", "--message", "Merge", head)
        merge = self.git("rev-parse", "HEAD")
        self.publish(f"{head}:refs/pull/{number}/head", f"{merge}:refs/pull/{number}/merge")
        payload = self._payload(number, branch, fork, {"base": base, "head": head})
        return PullRequest(number, base, head, merge, payload)

    def _create_origin(self, name: str) -> None:
        origin = self.origins / name
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin)], check=True
        )
        config = ["git", "-C", str(origin), "config"]
        subprocess.run([*config, "uploadpack.allowAnySHA1InWant", "true"], check=True)

    def _payload(
        self, number: int, branch: str, fork: str | None, shas: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the parts of the webhook payload that workflows read."""
        base = {"sha": shas["base"], "ref": "main", "repo": repository_payload(self.name)}
        head_repository = repository_payload(fork or self.name, fork=fork is not None)
        owner = head_repository["owner"]["login"]
        head = {"sha": shas["head"], "ref": branch, "label": f"{owner}:{branch}"}
        return {
            "action": "synchronize",
            "number": number,
            "pull_request": {
                "number": number,
                "title": "Change",
                "draft": False,
                "user": {"login": owner},
                "base": base,
                "head": {**head, "repo": head_repository},
            },
            "repository": repository_payload(self.name),
        }


def repository_payload(name: str, *, fork: bool = False) -> dict[str, Any]:
    """Return a repository as webhook payloads show it."""
    owner, short = name.split("/")
    return {
        "full_name": name,
        "name": short,
        "owner": {"login": owner},
        "fork": fork,
        "private": False,
        "default_branch": "main",
    }
