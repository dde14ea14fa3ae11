# These commands do all set-up on a machine with Python 3.11, 3.12 or 3.13:
#   make demo   swap the two sample portraits both ways; results and a contact sheet in demo/
#   make docs   the site of the documentation, in site/
#   make test   lint, types and tests; downloads about 2 GB the first time, most of it PyTorch
# Each works first, and offline once it has run.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

.PHONY: help demo test-openvino test lint types unit bench docs venv clean

help:
	@sed -n '1,5s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.installed
	$(BIN)/sosie demo --out demo --overwrite

test: lint types unit

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

unit: $(VENV)/.installed-dev
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

bench: $(VENV)/.installed
	$(BIN)/sosie bench

# Warnings are errors, a link that leads nowhere among them; --quiet would count none of them.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir site

venv: $(VENV)/.installed-dev

# The stamps are newer than what they were made from, so that nothing is asked of the network again.
$(VENV)/.python: scripts/make_venv.py
	$(PYTHON) scripts/make_venv.py $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python constraints.txt pyproject.toml
	$(INSTALL) --only-binary :all: --requirement constraints.txt
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed constraints-dev.txt
	@echo "Installing the tools and the packages of all extras: about 2 GB to download, most of it PyTorch."
	$(INSTALL) --only-binary :all: --requirement constraints-dev.txt
	@touch $@

# The same product on another make of ONNX Runtime, in an environment of its own (260 MB).
test-openvino: $(VENV)-openvino/.installed
	PYTHONPATH=src OPENBLAS_NUM_THREADS=1 $(VENV)-openvino/bin/python -m pytest tests/test_providers.py

$(VENV)-openvino/.installed: constraints.txt constraints-openvino.txt
	$(PYTHON) scripts/make_venv.py $(VENV)-openvino
	grep -v '^onnxruntime==' constraints.txt > $(VENV)-openvino/constraints.txt
	$(VENV)-openvino/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--only-binary :all: --requirement $(VENV)-openvino/constraints.txt --requirement constraints-openvino.txt
	@touch $@

clean:
	rm -rf $(VENV) demo site .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -exec rm -rf {} +
