# make demo: set up the runtime alone and see it work.  make test: set up all and pass the tests.  make check: what CI runs.
# make exporter: set up shitu-edge-export, with Paddle, in an environment of its own (build/export).
# make trainer: set up the training, with PyTorch, in the same environment.
# make check-floors: the runtime's tests with the oldest versions that pyproject.toml allows.
# make lock: write requirements/*.lock after a change of dependencies; with LOCK=--upgrade, take the newest versions.

PYTHON ?= python3
SHARED ?= ../shared
EXPORT_PYTHON ?= python3.11

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
RUNTIME := $(if $(wildcard $(STAMP)),$(STAMP),$(VENV)/runtime)
EXPORT := build/export
FLOORS := build/floors
UV := build/lock/bin/uv

# hnswlib is compiled on the spot: not for this very CPU, or it would die on an older one, but with AVX2 where there is.
export HNSWLIB_NO_NATIVE := 1
ifneq ($(shell grep -s -w -m 1 avx2 /proc/cpuinfo),)
export CXXFLAGS := $(CXXFLAGS) -mavx2 -mfma
endif

.PHONY: demo demo-drinks test check check-floors format exporter test-export networks trainer test-training lock clean

# Set up an environment: $(call environment,its folder,its Python,its lock). What is installed is what the lock's hashes
# say. hnswlib alone comes as source; what builds it is locked too, hence no isolation, which would take the newest.
PIP_LOCKED := -m pip install --quiet --disable-pip-version-check --no-cache-dir --require-hashes --only-binary :all:
PIP_LOCAL := -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation
define environment
	$2 -m venv $1
	$1/bin/python $(PIP_LOCKED) --requirement requirements/build.lock
	$1/bin/python $(PIP_LOCKED) --no-binary hnswlib --no-build-isolation --requirement $3
	$1/bin/python $(PIP_LOCAL) --editable .
endef

demo: $(RUNTIME)
	$(BIN)/shitu-edge demo --out build/demo

# Real photos, which are not part of the project.
demo-drinks: $(RUNTIME)
	mkdir -p build/drinks
	$(BIN)/shitu-edge gallery build build/drinks/drinks.gallery $(SHARED)/data/drinks/gallery/drink_label_all.txt --replace --allow-missing
	$(BIN)/shitu-edge recognize build/drinks/drinks.gallery $(SHARED)/data/drinks/queries --draw build/drinks/seen

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=export $(BIN)/lint-imports
	$(BIN)/python -m pytest

# Engines, images, search and the commands: what meets the dependencies.
check-floors: $(FLOORS)/installed
	$(FLOORS)/bin/python -m pytest -m 'not shared_data' tests/engines tests/gallery/paddle_index \
		tests/gallery/test_gallery.py tests/gallery/index/test_index.py tests/gallery/index/test_recall.py tests/cli/test_cli.py \
		tests/cli/test_cli_gallery.py tests/stages/test_decode.py tests/demo/test_demo.py tests/stages/test_detect.py tests/drawing/test_draw.py \
		tests/imaging/test_formats.py tests/bundle/test_networks.py tests/test_recognizer.py tests/imaging/test_resample.py tests/calibration/test_recognition.py \
		tests/imaging/test_local_features.py tests/imaging/test_agreement.py tests/stages/test_second_look.py tests/stages/test_shapes.py \
		tests/serve/test_recognition.py tests/serve/test_faults.py tests/serve/test_server.py
	$(FLOORS)/bin/shitu-edge demo --engine openvino --out $(FLOORS)/demo
	$(FLOORS)/bin/shitu-edge demo --engine onnxruntime --out $(FLOORS)/demo

$(FLOORS)/installed: pyproject.toml requirements/build.lock requirements/floors.lock
	$(call environment,$(FLOORS),$(PYTHON),requirements/floors.lock)
	touch $@

# For every platform and Python at once. The floors' own dependencies are always the newest: what a user would get.
LOCK :=
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' $(UV) pip compile --quiet --universal --python-version 3.10 --generate-hashes

lock: $(UV)
	$(COMPILE) $(LOCK) --all-extras pyproject.toml --output-file requirements/dev.lock
	$(COMPILE) $(LOCK) --constraint requirements/dev.lock pyproject.toml --output-file requirements/runtime.lock
	$(COMPILE) $(LOCK) --constraint requirements/dev.lock requirements/build.in --output-file requirements/build.lock
	$(COMPILE) $(LOCK) --no-emit-package shitu-edge --no-emit-package shitu-edge-export requirements/export.in \
		--output-file requirements/export.lock
	$(COMPILE) --upgrade --resolution lowest-direct --extra test --extra opencv --extra paddlex --extra serve pyproject.toml \
		--output-file requirements/floors.lock

$(UV):
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv==0.13.9

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

$(EXPORT)/installed: pyproject.toml export/pyproject.toml requirements/build.lock requirements/export.lock
	$(call environment,$(EXPORT),$(EXPORT_PYTHON),requirements/export.lock)
	$(EXPORT)/bin/python $(PIP_LOCAL) --editable ./export
	touch $@

# PyTorch, and the network definitions of PaddleClas and PaddleDetection, which ask for more than those need.
trainer: $(EXPORT)/trainer

test-training: $(EXPORT)/trainer
	$(EXPORT)/bin/python -m pytest tests/training

$(EXPORT)/trainer: training/requirements.txt $(EXPORT)/installed
	$(EXPORT)/bin/python -m pip install --quiet --no-cache-dir --requirement $<
	$(EXPORT)/bin/python -m pip install --quiet --no-cache-dir --no-deps paddleclas==2.6.0 paddledet==2.6.0
	touch $@

$(VENV)/runtime: pyproject.toml requirements/build.lock requirements/runtime.lock
	$(call environment,$(VENV),$(PYTHON),requirements/runtime.lock)
	touch $@

$(STAMP): pyproject.toml requirements/build.lock requirements/dev.lock
	$(call environment,$(VENV),$(PYTHON),requirements/dev.lock)
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
