"""The tags by which we know our own runs in MLflow again; every word takes the names from here."""

from __future__ import annotations

SWEEP = "mlactions.sweep"
"""Name of the sweep a run belongs to."""

TRIAL = "mlactions.trial"
"""Number of the trial within its sweep, as its override file has it: `0017`."""

CONFIG_HASH = "mlactions.config_hash"
"""Hash of the normalised configuration without its seed: `sha256:…`."""

SEED = "mlactions.seed"
"""The trial's seed; empty where it has none."""

COMMIT = "mlactions.commit"
"""The full name of the commit that was run; empty outside a repository."""

SWEEP_FILES = "mlactions.sweep_files"
"""A sweep's own paths, a JSON list: committing them changes no code. No tag of a run: `train` takes
it out of MLFLOW_RUN_CONTEXT and knows by it which version of the code it trains."""

DATA = "mlactions.data"
"""Version of the data, as the user names it; empty where it was not named."""

ENDED = "mlactions.ended"
"""How a run ended beyond MLflow's status: one of train's failure classes, such as `pre-empted`."""

PREEMPTED = "pre-empted"
"""The value of `ENDED` for a run that its machine was taken from."""

PARENT = "mlflow.parentRunId"
"""MLflow's own: the run that a run is nested in."""
