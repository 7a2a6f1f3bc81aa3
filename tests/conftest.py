"""Hypothesis looks for new cases on a laptop and repeats the known ones in CI.

A pull request must not turn red for a fault that another change left behind.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
