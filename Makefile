# make demo   installs what is needed, then answers a spoken question about a photograph
# make test   runs the tests        make lint   ruff and mypy        make bench   the figures in the README
# make gpu    has an NVIDIA GPU compute what is in half precision (docs/gpu.md)
#
# Everything is installed into .venv, with the versions of constraints.txt. A stamp file marks each finished step, so that
# the second run has nothing to do.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DELETE_ON_ERROR:
.PHONY: demo test lint bench install develop gpu clean

demo: install
	@$(BIN)/lorgnette demo

test: develop
	$(BIN)/python -m pytest

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: develop
	@for name in decode first_audio wer; do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

# onnxruntime and onnxruntime-gpu write to the same folder: the last has it.
gpu: install
	@echo 'Installing ONNX Runtime for NVIDIA GPUs and the libraries of CUDA (3 GB on the disk, once) ...'
	@$(PIP) --editable '.[cuda]'
	@$(PIP) --force-reinstall --no-deps onnxruntime-gpu
	@$(BIN)/lorgnette doctor --no-self-test | grep ' gpu:'

install: $(VENV)/.installed $(VENV)/.system-libraries

develop: $(VENV)/.developed $(VENV)/.test-programs

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or later is needed and $(PYTHON) is not: make demo PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo 'No virtual environment: on Debian, sudo apt-get install python3-venv (then make again)' >&2; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo 'Installing Lorgnette and what it needs into $(VENV) (700 MB on the disk, once) ...'
	@$(PIP) --editable .
	@touch $@

# Training and the parity tests want PyTorch, which the demo does without.
$(VENV)/.developed: $(VENV)/.installed
	@echo 'Installing PyTorch and the test tools into $(VENV) (once) ...'
	@$(PIP) --editable '.[dev,export,telemetry]'
	@touch $@

# Only microphone and speaker need it, so its absence stops nobody.
$(VENV)/.system-libraries: $(VENV)/.created
	@sh .ci/system_libraries run
	@touch $@

# Only some tests need them, and skip themselves without.
$(VENV)/.test-programs: $(VENV)/.created
	@sh .ci/system_libraries test
	@touch $@
