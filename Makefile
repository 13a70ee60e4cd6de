# Each target works alone on a fresh machine with Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# With the tools of tests and checks, and all extras.
READY_DEV := $(VENV)/.ready-dev
# Idle OpenMP threads sleep. By default they spin, and on a machine that other work shares they take
# the cores from it.
export OMP_WAIT_POLICY ?= passive
# The stages' commands say `python`; it has to be the one of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Tests run side by side: a worker a core, each with one thread.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile \
	--no-loadscope-reorder

.PHONY: demo test test-all bench gpu-check lint types clean

demo: $(READY)
	$(BIN)/dvc repro

# All but whole pipelines, disturbed stages, models of full size and browsers.
test: $(READY_DEV)
	$(PYTEST) -m "not slow"

test-all: $(READY_DEV)
	$(PYTEST)

bench: $(READY_DEV)
	$(BIN)/python -m benchmarks

# Compares a CUDA GPU with the CPU and measures it; without one it says so and succeeds.
gpu-check: $(READY)
	$(BIN)/python -m benchmarks.gpu_check

lint: $(READY_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY_DEV)
	$(BIN)/mypy

# torch first: with it in place nothing else pulls in another build of it.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ovs3d needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $$(grep -E '^torch(vision)?==' requirements.lock)
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $(READY)

$(READY_DEV): $(READY) requirements-dev.lock
	$(BIN)/pip install --quiet -r requirements-dev.lock
	touch $(READY_DEV)

clean:
	rm -rf $(VENV)
