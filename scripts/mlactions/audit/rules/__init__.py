"""Every rule, by id; families in the order in which reports list them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mlactions.audit.model import Finding, Rule
from mlactions.audit.rules import (
    configuration,
    dependencies,
    determinism,
    loading,
    ordering,
    own,
    pinning,
    precision,
    repository,
    results,
    seeds,
    splitting,
)
from mlactions.audit.source import Source

Check = Callable[[Source], Iterator[Finding]]

_MODULES = (seeds, determinism, loading, splitting, ordering, results, precision, pinning)
_MORE = (dependencies, configuration, repository, own)
RULES: Mapping[str, Rule] = {
    rule.id: rule for module in (*_MODULES, *_MORE) for rule in module.RULES
}
FAMILIES = tuple(dict.fromkeys(rule.family for rule in RULES.values()))
CHECKS: tuple[Check, ...] = (
    *(module.check for module in _MODULES if module is not loading),
    configuration.check,
    dependencies.check_notebook,
)
"""What looks at one file by itself."""
