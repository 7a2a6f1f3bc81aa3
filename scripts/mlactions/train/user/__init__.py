"""What a user copies into a training: standard library only."""
