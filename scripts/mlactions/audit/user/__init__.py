"""Programs that run in the user's Python; they import nothing of ours."""
