"""Model architectures. Configs name them by `_target_`."""
