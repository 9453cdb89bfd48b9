# Two commands on a fresh machine: `make chat` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Where pip finds a CPU build of torch; empty means pip's own index. On Linux the plain index brings
# gigabytes of GPU libraries, so point this at PyTorch's index of CPU wheels.
TORCH_INDEX ?=
TORCH := torch==2.13.0

NATIVE_SOURCES := CMakeLists.txt $(wildcard csrc/*.cc csrc/*.h csrc/isa/*.h)

.PHONY: help setup chat test test-slow test-native test-neon test-clients test-fuzz test-vllm oracle check format bench bench-harmony golden clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

setup: $(VENV)/.core $(VENV)/.pocket ## build .venv with the native core and fetch the pocket model

chat: setup ## open the terminal chat on the pocket model
	@OSSIA_MODEL=pocket $(BIN)/ossia chat

test: $(VENV)/.dev $(VENV)/.pocket ## run the tests (no torch needed)
	@$(BIN)/python -m pytest tests --ignore tests/oracle --without-torch -m "not slow and not outside" -q

test-slow: $(VENV)/.dev $(VENV)/.pocket ## the tests that take minutes
	@$(BIN)/python -m pytest tests --ignore tests/oracle -m slow

# One program over the table of kernels, without Python: for this processor, and for ARM under an emulator.
EVERY_KERNEL := $(filter-out csrc/bindings.cc,$(wildcard csrc/*.cc)) tests/native/every_kernel.cpp
EVERY_FLAGS := -std=c++17 -O2 -ffp-contract=off -fno-math-errno -Icsrc -pthread
ARM_CXX := aarch64-linux-gnu-g++
ARM_RUN := qemu-aarch64-static

test-native: ## hold every kernel this processor runs to the scalar one, without Python (about two minutes)
	@mkdir -p build
	@$(CXX) $(EVERY_FLAGS) $(EVERY_KERNEL) -o build/every_kernel
	@build/every_kernel

test-neon: ## the same for ARM: cross-compiled, then emulated with and without int8 matrix products (minutes)
	@mkdir -p build
	@$(ARM_CXX) $(EVERY_FLAGS) -static $(EVERY_KERNEL) -o build/every_kernel-arm
	@for cpu in max cortex-a76 cortex-a72; do echo "$$cpu:"; $(ARM_RUN) -cpu $$cpu build/every_kernel-arm; done

oracle: $(VENV)/.oracle $(VENV)/.pocket ## compare live with transformers, openai-harmony and tiktoken
	@$(BIN)/python -m pytest tests/oracle -m "not slow and not outside" -q

test-fuzz: $(VENV)/.oracle ## ask the server what its OpenAPI document allows and forbids, more than 5,000 times
	@$(BIN)/python -m pytest tests/oracle/clients -m slow -q

CLIENTS := tests/outside/node/node_modules

test-clients: $(VENV)/.dev $(CLIENTS) ## drive npm's clients (OpenAI's, Ollama's, the AI SDK, Codex, opencode) and a browser against the server
	@$(BIN)/python -m pytest tests/outside -m outside -q

test-vllm: $(VENV)/.dev ## hold the vLLM backend against a real vLLM (VLLM=/path/to/vllm, else the one found)
	@$(BIN)/python -m pytest tests/outside/test_vllm.py -m outside -q

check: $(VENV)/.oracle ## format, lint, types (of the trainer too, hence torch), floors, vocabulary hash
	@$(BIN)/ruff format --check src tests bench scripts
	@$(BIN)/ruff check src tests bench scripts
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python src/ossia/tokenizer/vocabulary.py

format: $(VENV)/.dev ## rewrite sources in the house's format
	@$(BIN)/ruff format src tests bench scripts
	@$(BIN)/ruff check --fix src tests bench scripts

bench: setup ## measure pocket on this machine, beside llama.cpp where it is installed
	@$(BIN)/python bench/pocket.py

bench-harmony: $(VENV)/.oracle ## measure the Harmony room beside openai-harmony, and what a grammar costs
	@$(BIN)/python bench/harmony.py
	@$(BIN)/python bench/grammar.py masks

golden: $(VENV)/.oracle ## make the tests' golden files anew from the reference implementations
	@for script in tests/golden/make_*.py scripts/draw_harmony.py; do $(BIN)/python $$script; done

clean: ## remove what was built (models stay: see `ossia rm`)
	rm -rf $(VENV) build dist

$(VENV)/.made: scripts/check-machine
	@scripts/check-machine $(PYTHON)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml $(NATIVE_SOURCES)
	@echo "Building the native core and installing Ossia (two or three minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.oracle: $(VENV)/.dev tests/oracle/clients/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,oracle,train]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement tests/oracle/clients/requirements.txt
	@touch $@

$(CLIENTS): tests/outside/node/package-lock.json
	@# Not `npm ci`: it wants every platform's optional packages in the lock file, also those a registry lacks.
	@cd tests/outside/node && npm install --no-save --no-audit --no-fund
	@touch $@

$(VENV)/.pocket: $(VENV)/.core $(wildcard src/ossia/hub/pocket/data/*)
	@$(BIN)/ossia pull pocket
	@touch $@
