"""What runs in the user's Python; it imports nothing of ours."""
