# make demo: set up and recognise real photos.  make test: set up and pass the tests.  make check: what CI runs.

PYTHON ?= python3
SHARED ?= ../shared
PEER_PYTHON ?= python3.11

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

# hnswlib is compiled on the spot. Without this it would be compiled for this very CPU and die on an older one.
export HNSWLIB_NO_NATIVE := 1

.PHONY: demo test check format networks clean

demo: $(STAMP)
	$(BIN)/python examples/demo.py $(SHARED)

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The official graphs with seeded weights, for the parity tests; in an environment of their own, because of Paddle.
networks: build/ppshitu/ppshitu-v2-seeded/bundle.json

build/ppshitu/ppshitu-v2-seeded/bundle.json: benchmarks/paddleclas/make_networks.py build/peer/installed
	build/peer/bin/python $< --shared $(SHARED) --out build/ppshitu

build/peer/installed: benchmarks/paddleclas/requirements.txt
	$(PEER_PYTHON) -m venv build/peer
	build/peer/bin/python -m pip install --quiet --upgrade pip
	build/peer/bin/python -m pip install --quiet -r $<
	touch $@

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-cache-dir --editable '.[dev,fonts]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
