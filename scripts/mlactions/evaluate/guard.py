"""Ends a process group when we are killed: then nothing of ours runs that could.

A shell waits on a pipe whose other end only we hold. SIGKILL closes it, on every system; asking
the kernel for a signal at the parent's death would need code in the child, which is not ours.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_SHELL = "/bin/sh"
_WAIT = 'read -r line || kill -s KILL -- "-$1"'


@contextmanager
def guarded(group: int) -> Iterator[None]:
    """Have a process group killed if we die inside of the context. Without a shell, do nothing."""
    try:
        guard = subprocess.Popen(
            [_SHELL, "-c", _WAIT, _SHELL, str(group)],
            cwd="/",
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what is sent to our group does not reach it
        )
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody ended the guard
            guard.communicate(b"done\n")
