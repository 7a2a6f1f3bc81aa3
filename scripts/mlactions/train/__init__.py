"""train: one training run, prepared, watched, and resumable. Measures."""
