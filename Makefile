# GNU make with POSIX sh. Everything runs in .venv, which the targets make themselves: no environment has to be active.
# Paths are relative, so the checkout may lie in a folder with blanks in its name.

PYTHON ?= python3
# Where to look for torch alone, for example https://download.pytorch.org/whl/cpu. Empty: pip's own configuration decides.
TORCH_INDEX ?=
# pip prints its errors only; make venv QUIET= shows all.
QUIET ?= -qq
# More arguments for pytest, for example: make test PYTEST_ARGS="-x -k seqgan"
PYTEST_ARGS ?=
# Processes that run the tests.
TEST_WORKERS ?= 2
PYTEST := -m pytest -n $(TEST_WORKERS) --dist loadfile

DEMO_DIR := runs/demo
DEMO_TRAIN := train seqgan --dataset_name grammar --preset laptop --output_dir $(DEMO_DIR)
DEMO_GENERATE := generate $(DEMO_DIR) --num_samples 10
DEMO_EVALUATE := evaluate $(DEMO_DIR)

APT := sudo apt-get install -y make python3-venv git
# What .venv was made from. The stamp holds a copy of it and is written last, so any change, a moved checkout or an
# interrupted installation gives a fresh .venv.
STAMP := .venv/installed-from
INPUTS := { pwd -P; cat pyproject.toml constraints.txt; }

# The tests that depend on transformers, and the environment with its newest release. The pins of the packages that it
# chooses are dropped there, and peft, which supports a release later than it appears, is left out.
VERSION_TESTS := tests/models tests/sampling tests/core tests/trainer tests/contracts tests/integration
REMOTE_CODE_TESTS := tests/contracts/test_remote_code.py
NEWEST := .venv-newest
UNPINNED := transformers|tokenizers|huggingface_hub|safetensors|accelerate

.DEFAULT_GOAL := help
.PHONY: help venv test test-slow test-versions quality style docs cards demo hooks clean clean-all

help:  ## show this list
	@echo 'Usage: make TARGET [PYTHON=python3.12] [TORCH_INDEX=https://download.pytorch.org/whl/cpu] [PYTEST_ARGS="-k seqgan"]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s  %s\n", $$1, $$2 }' Makefile

venv:  ## make .venv with the pinned packages, if it is not there yet
	@if $(INPUTS) | cmp -s - $(STAMP) && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi; \
	missing=''; \
	if ! "$(PYTHON)" -c '' 2>/dev/null; then missing='Python 3.11 or newer ($(PYTHON) does not run)'; \
	elif ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    missing="Python 3.11 or newer ($(PYTHON) is $$("$(PYTHON)" -c 'import platform; print(platform.python_version())'))"; \
	elif ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then missing='the venv module of $(PYTHON)'; fi; \
	if [ -n "$$missing" ]; then echo "Missing: $$missing. On Debian or Ubuntu: $(APT)" >&2; exit 1; fi; \
	echo 'Creating .venv and installing the pinned packages, 2 to 5 minutes ...'; \
	{ rm -rf .venv && "$(PYTHON)" -m venv .venv && \
	    { [ -z "$(TORCH_INDEX)" ] || \
	      .venv/bin/python -m pip install $(QUIET) --no-deps -c constraints.txt --index-url "$(TORCH_INDEX)" torch; } && \
	    .venv/bin/python -m pip install $(QUIET) -c constraints.txt -e '.[dev]' && \
	    $(INPUTS) > $(STAMP).part && mv $(STAMP).part $(STAMP); \
	} || { echo 'The installation failed for the reason above: mend that and run the same command again, it starts afresh (QUIET= shows all that pip says).' >&2; exit 1; }

test: venv  ## run the fast tests
	.venv/bin/python $(PYTEST) $(PYTEST_ARGS)

test-slow: venv  ## run all tests, the slow ones too
	.venv/bin/python $(PYTEST) -m '' --timeout=1800 $(PYTEST_ARGS)

test-versions: venv  ## run the tests that depend on transformers with the pinned and the newest release
	.venv/bin/python -m pytest $(PYTEST_ARGS) $(VERSION_TESTS)
	.venv/bin/python -m pytest $(PYTEST_ARGS) -m '' $(REMOTE_CODE_TESTS)
	@echo 'Installing the newest transformers in $(NEWEST) ...'
	@$(NEWEST)/bin/python -m pip --version >/dev/null 2>&1 || { rm -rf $(NEWEST) && .venv/bin/python -m venv $(NEWEST); }
	@grep -vE '^($(UNPINNED))==' constraints.txt > $(NEWEST)/constraints.txt
	@[ -z "$(TORCH_INDEX)" ] || \
	    $(NEWEST)/bin/python -m pip install $(QUIET) --no-deps -c constraints.txt --index-url "$(TORCH_INDEX)" torch
	@$(NEWEST)/bin/python -m pip install $(QUIET) --upgrade -c $(NEWEST)/constraints.txt -e '.[test]' transformers
	@$(NEWEST)/bin/python -m pip list 2>/dev/null | grep -E '^($(UNPINNED)) '
	$(NEWEST)/bin/python -m pytest $(PYTEST_ARGS) $(VERSION_TESTS)
	$(NEWEST)/bin/python -m pytest $(PYTEST_ARGS) -m '' $(REMOTE_CODE_TESTS)

quality: venv  ## check style, lint and types, change nothing
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright --pythonpath .venv/bin/python

style: venv  ## format the code and mend what ruff can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: venv  ## render the pages of the systems from their records
	.venv/bin/python docs/render_systems.py

cards: venv  ## render the model cards of the systems from their records and benchmarks/results
	.venv/bin/python docs/render_cards.py

demo: venv  ## train SeqGAN on the built-in grammar, sample from it, evaluate it
	rm -rf $(DEMO_DIR)
	.venv/bin/textgan $(DEMO_TRAIN)
	.venv/bin/textgan $(DEMO_GENERATE)
	.venv/bin/textgan $(DEMO_EVALUATE)

hooks: venv  ## install the git hooks of .pre-commit-config.yaml
	@git --version >/dev/null 2>&1 || { echo 'Missing: git. On Debian or Ubuntu: $(APT)' >&2; exit 1; }
	.venv/bin/pre-commit install

clean:  ## remove build output, caches and the demo's run; other runs stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache $(DEMO_DIR)
	find . \( -name '.venv*' -o -name .git -o -path ./runs \) -prune -o -type d -name __pycache__ -exec rm -rf {} +

clean-all: clean  ## also remove .venv and .venv-newest, so that the next command installs again
	rm -rf .venv $(NEWEST)
