# make demo   builds .venv and walks the whole road on real digits
# make test   builds .venv and passes every test that this machine can run
# make setup | check | bench | bench-head | schemes | device-envs | devices | clean
# Needs Python 3.11 to 3.13, make, and PyPI; not a Mac with Intel. PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=
# Tests run in a process a processor, each of which holds TensorFlow; PARALLEL= runs them in one.
PARALLEL ?= -n auto --maxprocesses 4 --dist loadgroup

# What there are no wheels for is told in one line here, not in pages by pip.
define CHECK_PYTHON
import platform, sys
version = sys.version_info[:2]
if not (3, 11) <= version < (3, 14):
    sys.exit("error: Python 3.11 to 3.13 is needed (TensorFlow has no wheel for others), got %d.%d; set PYTHON=python3.12 or the like" % version)
if (sys.platform, platform.machine()) == ("darwin", "x86_64"):
    sys.exit("error: TensorFlow, LiteRT and ONNX Runtime have no wheels for macOS on x86_64; use a Mac with Apple silicon and its arm64 Python, or Linux")
endef
export CHECK_PYTHON

# What `make test` runs the firmware suite on beside this machine; about 1 GB in the user's cache folder.
DEVICES ?= qemu-aarch64 qemu-armhf tflm tosa

.PHONY: setup demo test check bench bench-head schemes device-envs devices clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c "$$CHECK_PYTHON"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[host,search]' --group dev
	@touch $@

# Two environments without TensorFlow, where the device side is tested: today's runtimes, and the older tflite-runtime.
device-envs: .venv-device/.ready .venv-tflite/.ready

.venv-device/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-device
	.venv-device/bin/python -m pip install --quiet -c constraints.txt -e '.[litert,onnx]'
	@touch $@

# tflite-runtime has wheels up to Python 3.11 on Linux only; elsewhere its tests are skipped, which they report.
.venv-tflite/.ready: pyproject.toml
	@if $(PYTHON) -c 'import sys; sys.exit(sys.platform != "linux" or sys.version_info >= (3, 12))'; then \
	  $(PYTHON) -m venv .venv-tflite && \
	  { .venv-tflite/bin/python -m pip install --quiet -e '.[tflite]' || \
	    echo "note: tflite-runtime could not be installed in .venv-tflite; its tests are skipped"; }; \
	else \
	  echo "note: no .venv-tflite: tflite-runtime has wheels for Python 3.11 on Linux only; its tests are skipped"; \
	  mkdir -p .venv-tflite; \
	fi
	@touch $@

# A device that cannot be made ready here is named with the reason, and its tests are skipped, which they report.
devices: setup
	@for device in $(DEVICES); do \
	  $(BIN)/edge-cnn devices setup $$device || echo "note: $$device is not ready here; its tests are skipped"; \
	done

demo: setup
	$(BIN)/edge-cnn demo --out demo-out

test: setup device-envs devices
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered --cov-fail-under=90 $(PYTEST_ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python tests/benchmarks/run.py

# Minutes of its own: it trains the peers too. With EDGE_CNN_DATA also on real embeddings, after `pip install torch` also
# against PyTorch. BENCH_ARGS=--quick takes two minutes.
bench-head: setup
	$(BIN)/python tests/benchmarks/head_training.py $(BENCH_ARGS)

# Writes what each runtime here makes of each scheme into the code, and the page that tells of it. SCHEME_ARGS adds runtimes:
# onnxruntime==1.23.2=/path/to/python.
schemes: setup device-envs
	$(BIN)/python tests/benchmarks/schemes.py --write $(SCHEME_ARGS)
	$(BIN)/python -m converters.schemes.page docs/schemes.md

clean:
	rm -rf .venv .venv-device .venv-tflite demo-out .coverage .coverage.* .pytest_cache .ruff_cache .import_linter_cache
