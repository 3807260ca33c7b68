# make demo: set up and see it work.  make test: set up and pass the tests.  make check: what CI runs.
# make exporter: set up shitu-edge-export, with Paddle, in an environment of its own (build/export).
# make trainer: set up the training, with PyTorch, in the same environment.

PYTHON ?= python3
SHARED ?= ../shared
EXPORT_PYTHON ?= python3.11

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
EXPORT := build/export

# hnswlib is compiled on the spot: not for this very CPU, or it would die on an older one, but with AVX2 where there is.
export HNSWLIB_NO_NATIVE := 1
ifneq ($(shell grep -s -w -m 1 avx2 /proc/cpuinfo),)
export CXXFLAGS := $(CXXFLAGS) -mavx2 -mfma
endif

.PHONY: demo demo-drinks test check format exporter test-export networks trainer test-training clean

demo: $(STAMP)
	$(BIN)/shitu-edge demo --out build/demo

# Real photos, which are not part of the project.
demo-drinks: $(STAMP)
	mkdir -p build/drinks
	$(BIN)/shitu-edge gallery build $(SHARED)/data/drinks/gallery/drink_label_all.txt build/drinks/drinks.gallery --replace
	$(BIN)/shitu-edge recognize $(SHARED)/data/drinks/queries --gallery build/drinks/drinks.gallery --draw build/drinks/seen

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=export $(BIN)/lint-imports
	$(BIN)/python -m pytest

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Paddle, the converters and their tests; needs Python 3.10 to 3.12 and 3 GB.
exporter: $(EXPORT)/installed

test-export: $(EXPORT)/installed
	$(EXPORT)/bin/python -m pytest tests/export

# The official graphs with seeded weights, for the parity tests.
networks: build/ppshitu/ppshitu-v2-seeded/bundle.json

build/ppshitu/ppshitu-v2-seeded/bundle.json: benchmarks/paddleclas/make_networks.py $(EXPORT)/installed
	$(EXPORT)/bin/python $< --shared $(SHARED) --out build/ppshitu

$(EXPORT)/installed: pyproject.toml export/pyproject.toml
	$(EXPORT_PYTHON) -m venv $(EXPORT)
	$(EXPORT)/bin/python -m pip install --quiet --upgrade pip
	$(EXPORT)/bin/python -m pip install --quiet --no-cache-dir --editable '.[dev]' --editable ./export
	touch $@

# PyTorch, and the network definitions of PaddleClas and PaddleDetection, which ask for more than those need.
trainer: $(EXPORT)/trainer

test-training: $(EXPORT)/trainer
	$(EXPORT)/bin/python -m pytest tests/training

$(EXPORT)/trainer: training/requirements.txt $(EXPORT)/installed
	$(EXPORT)/bin/python -m pip install --quiet --no-cache-dir --requirement $<
	$(EXPORT)/bin/python -m pip install --quiet --no-cache-dir --no-deps paddleclas==2.6.0 paddledet==2.6.0
	touch $@

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-cache-dir --editable '.[dev,fonts,milvus]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
