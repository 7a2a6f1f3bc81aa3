"""The digits data set: loading, splitting, normalisation."""
