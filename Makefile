# Two commands are all a newcomer needs: `make demo` and `make test`. Each target installs what it needs, into .venv and .tools.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

SOURCES := scripts tests bench
# Directories of the tools that are not on PATH already; empty where nothing had to be installed.
WITH_UV := uv_bin=$$(scripts/dev/tools.sh uv); export PATH="$${uv_bin:+$$uv_bin:}$$PATH";
WITH_TOOLS := tool_bins=$$(scripts/dev/tools.sh all); export PATH="$${tool_bins:+$$tool_bins:}$$PATH";
EXAMPLE := .tools/example
MLFLOW := .tools/mlflow
SARIF := .tools/sarif
SERVING := .tools/serving
AUDITED := .tools/audited

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

.PHONY: demo
demo: $(EXAMPLE)/ready ## A pull request makes a real model worse: see the gate fail it, then pass the fix
	@$(WITH_UV) scripts/dev/demo.sh

.PHONY: test
test: .venv/ready $(EXAMPLE)/ready $(MLFLOW)/ready $(SARIF)/ready $(SERVING)/ready $(AUDITED)/ready ## Every test: unit, golden, contract, lint, end to end, and the example's own
	@scripts/dev/postgres.sh
	@$(WITH_TOOLS) .venv/bin/python -m pytest
	@cd examples/digits && ../../$(EXAMPLE)/bin/python -m pytest -q

.PHONY: test-cluster
test-cluster: .venv/ready $(EXAMPLE)/ready ## Sweeps on a real SLURM and a real Ray, started on this machine; skipped, with the reason, where they cannot be
	@scripts/dev/slurm.sh
	@$(WITH_UV) scripts/dev/ray.sh .tools/ray
	@.venv/bin/python -m pytest -v -rs tests/cluster/check_slurm.py tests/cluster/check_ray.py

.PHONY: check
check: .venv/ready ## Formatting, lint and types
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/mypy

.PHONY: format
format: .venv/ready ## Format the code
	.venv/bin/ruff format $(SOURCES)
	.venv/bin/ruff check --fix $(SOURCES)

.PHONY: accept
accept: .venv/ready ## Take today's output of the golden cases as expected; read the diff before you commit
	MLACTIONS_ACCEPT=1 .venv/bin/python -m pytest -q tests/test_cases.py
	git diff --stat -- tests/cases

.PHONY: docs
docs: .venv/ready $(AUDITED)/ready ## Write the generated parts of the documentation anew
	@[[ ! -f $(AUDITED)/ready ]] || .venv/bin/python scripts/dev/audit_others.py --write
	.venv/bin/python scripts/dev/docs.py

.PHONY: bench
bench: .venv/ready $(EXAMPLE)/ready $(MLFLOW)/ready $(SERVING)/ready ## Measure against peers in the same run; writes docs/benchmarks.md
	@$(WITH_TOOLS) bench/run.sh

.PHONY: clean
clean: ## Remove what the targets installed and built
	rm -rf .venv .tools build

.venv/ready: uv.lock pyproject.toml
	@$(WITH_UV) uv sync --quiet --frozen --all-extras --group dev --no-install-project
	@touch $@

$(EXAMPLE)/ready: examples/digits/requirements.txt examples/digits/requirements-dev.txt examples/digits/requirements-export.txt scripts/dev/example.sh
	@$(WITH_UV) scripts/dev/example.sh $(EXAMPLE)
	@touch $@

$(SERVING)/ready: scripts/dev/serving.sh scripts/mlactions/export/serving/requirements/torchserve.txt scripts/mlactions/export/serving/torchserve.py
	@$(WITH_UV) scripts/dev/serving.sh $(SERVING)
	@touch $@

$(MLFLOW)/ready: scripts/dev/mlflow.sh
	@$(WITH_UV) scripts/dev/mlflow.sh $(MLFLOW)
	@touch $@

# Not touched where the packages could not be had: the next run tries again.
$(AUDITED)/ready: .venv/ready scripts/dev/audited.sh tests/cases/audit/others/packages.txt
	@$(WITH_UV) scripts/dev/audited.sh $(AUDITED)

$(SARIF)/ready: scripts/dev/sarif.sh
	@$(WITH_TOOLS) scripts/dev/sarif.sh $(SARIF)
	@touch $@
