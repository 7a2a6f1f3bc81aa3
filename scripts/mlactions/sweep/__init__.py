"""sweep: from a search space to override files, scripts and a manifest. Decides, runs nothing."""
