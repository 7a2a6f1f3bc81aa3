"""What runs in the user's own Python: torch, numpy and the standard library, nothing of ours."""
