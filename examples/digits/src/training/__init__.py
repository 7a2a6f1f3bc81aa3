"""Training: reproducibility, precision, the loop, checkpoints and tracking."""
