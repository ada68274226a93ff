# Every command of the project. `make demo` and `make test` need nothing but python3, a C++ compiler and make:
# both set up .venv first, which takes a few minutes once and no time afterwards.

# The interpreter to build .venv with, such as python3.12; found by scripts/setup.sh when it is not given.
PYTHON ?=
# Passed through by `make bench` and by the test targets: make test ARGS="tests/native -k aes"
ARGS ?=
# A hypothesis profile of tests/conftest.py: ci (reproducible), dev (new examples each time) or nightly (many more).
PROFILE ?= ci

BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest --hypothesis-profile=$(PROFILE)
SPHINX = $(BIN)/python -m sphinx -n -W --keep-going -q -d docs/_build/doctrees
CHECKED := $(wildcard src tests benchmarks docs scripts examples)

# Stamps: what stands on disk for "this step is done". Directories count, so that a deleted source is noticed too;
# the folder native/ itself does not, because it has the name of a target.
INSTALLED := .venv/.installed
NATIVE := .venv/.native
NATIVE_SOURCES := $(shell find native -mindepth 1)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup native demo test test-slow check format bench bench-psi docs generate sanitize clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(NATIVE) ## build .venv and the kernels, if anything they depend on has changed

$(INSTALLED): pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh environment
	@touch $@

$(NATIVE): $(INSTALLED) $(NATIVE_SOURCES)
	@scripts/setup.sh native
	@touch $@

demo: $(NATIVE) ## two hospitals and a helper train a model on data they do not show
	@$(BIN)/tacit demo hospitals $(ARGS)

test: $(NATIVE) ## run the tests, apart from the slow ones
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(NATIVE) ## run the slow tests only
	@$(PYTEST) -m slow $(ARGS)

check: $(NATIVE) ## all that a change must pass: format, lint, types, layers, tests, docs
	@echo "[check] format"; $(BIN)/ruff format --check $(CHECKED)
	@echo "[check] lint"; $(BIN)/ruff check $(CHECKED)
	@echo "[check] types"; $(BIN)/mypy
	@echo "[check] layers"; $(BIN)/lint-imports
	@echo "[check] changelog"; $(BIN)/towncrier build --draft --version next >/dev/null
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory docs

format: $(INSTALLED) ## format the Python sources and apply the safe fixes
	@$(BIN)/ruff format $(CHECKED)
	@$(BIN)/ruff check --fix $(CHECKED)

bench: $(NATIVE) ## run the benchmarks: make bench ARGS="--cases all --systems tacit,spu,crypten"
	@$(BIN)/python -m benchmarks $(ARGS)

bench-psi: $(NATIVE) ## private set intersection beside its peers: make bench-psi ARGS="--json FILE"
	@$(BIN)/python -m benchmarks.psi $(ARGS)

docs: $(NATIVE) ## build the documentation, with every warning an error, and run its doctests
	@echo "[docs] html"; $(SPHINX) -b html docs docs/_build/html
	@echo "[docs] doctest"; $(SPHINX) -b doctest docs docs/_build/doctest
	@echo "[docs] open docs/_build/html/index.html"

generate: $(NATIVE) ## rewrite the parts of the documentation that are generated from the code
	@$(BIN)/python scripts/generate_error_page.py
	@$(BIN)/python scripts/generate_function_page.py
	@$(BIN)/python scripts/generate_conversion_page.py
	@$(BIN)/python -m tacit.compile.coverage > docs/coverage.md

native: $(INSTALLED) ## rebuild the kernels in place
	@scripts/setup.sh native
	@touch $(NATIVE)

sanitize: $(INSTALLED) ## run tests/native on kernels built with AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/sanitize.sh $(ARGS)

clean: ## remove everything that was built, .venv included
	rm -rf .venv build dist docs/_build docs/_generated .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
