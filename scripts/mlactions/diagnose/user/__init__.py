"""The probes. Runs in the user's Python, so it imports nothing of ours."""
