# Everything starts from a machine that has Python 3.11 (or 3.12) and nothing else.
PYTHON ?= python3
SERVE := .venv/bin
EXPORT := .venv-export/bin

.PHONY: faults help install demo test test-quick check format bench bench-drift bench-loop docs clean

help: ## This list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: ## Both environments: .venv serves, .venv-export exports.
	@$(PYTHON) -m tidegate.environments serve export

demo: install ## From nothing to two served, demoed, monitored models; ends in `ready http://127.0.0.1:8080`.
	@$(SERVE)/tidegate quickstart

test-install:
	@$(PYTHON) -m tidegate.environments serve --with dev
	@$(PYTHON) -m tidegate.environments export --with export-dev
	@bash .ci/system-packages

# Two at a time, a file each, in the order of tests/conftest.py: most of them wait for a server to start.
TWO := -n 2 --dist loadfile --no-loadscope-reorder

test: test-install ## Every test, end-to-end, browser and slow ones included.
	$(SERVE)/python -m pytest $(TWO)
	$(EXPORT)/python -m pytest $(TWO) tests/exporters tests/examples

test-quick: test-install ## The tests that take seconds.
	$(SERVE)/python -m pytest $(TWO) -m 'not slow'
	$(EXPORT)/python -m pytest $(TWO) -m 'not slow' tests/exporters tests/examples

check: test-install ## Lint, format, types, import rules, generated docs, Dockerfile, known faults of what is pinned.
	$(SERVE)/ruff check .
	$(SERVE)/ruff format --check .
	$(SERVE)/mypy
	$(SERVE)/lint-imports
	$(SERVE)/python docs/generate.py --check
	$(SERVE)/python .ci/check_dockerfile.py
	$(PYTHON) .ci/audit.py

format: ## Put the code and the generated docs into their form.
	$(SERVE)/ruff check --fix .
	$(SERVE)/ruff format .
	$(SERVE)/python docs/generate.py

bench: test-install ## Tidegate against its peers, in pairs; needs wrk, an hour and a quiet machine.
	@$(SERVE)/python -m benchmarks all && $(SERVE)/python -m benchmarks report

bench-drift: test-install ## Drift alarms: false ones, and how soon true ones come, estimated accuracy; an hour.
	@$(SERVE)/python -m benchmarks prepare && $(SERVE)/python -m benchmarks drift all
	@$(EXPORT)/python -m benchmarks.drift.accuracy
	@$(SERVE)/python -m benchmarks monitoring && $(SERVE)/python -m benchmarks report

bench-loop: test-install ## Labels that choosing saves, estimates from them, wrong labels caught; an hour or two.
	@$(SERVE)/python -m benchmarks loop all && $(SERVE)/python -m benchmarks report

faults: test-install ## Break a real server in every way of docs/reference/faults.md.
	$(SERVE)/python -m pytest -v tests/faults

clean: ## Remove the environments and caches; .tidegate (your data) stays.
	rm -rf .venv .venv-export .venv-audit .venv-rivals .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
