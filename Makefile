# Two commands matter: `make lab` opens the course, `make test` tests everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A Mac's GNU make 3.81 starts a plain command without a shell, looks for it on its own PATH and not
# on this one, and finds no shell's builtin: such a line names $(BIN), or says what takes a shell.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# What a private engine and its images are made of, and what the tests compare labkit with.
# Debian 13 has the command line in packages of its own. Not docker-compose: Debian 12's is of the
# old kind. What is missing here, labkit fetches when it is needed.
ENGINE_PACKAGES := docker.io iptables docker-cli? docker-buildx?
IMAGE_PACKAGES := debian-archive-keyring
VM_PACKAGES := qemu-system-x86 qemu-utils fakeroot e2fsprogs debian-archive-keyring
TEST_PACKAGES := chromium fonts-dejavu-core iproute2 libcap2-bin nftables openssl podman procps \
    util-linux $(VM_PACKAGES) aardvark-dns? $(if $(shell command -v docker 2>/dev/null),,docker-cli?)
# A Mac's is not named by DISPLAY.
SCREEN := $(DISPLAY)$(filter Darwin,$(shell uname -s))
# Only root may start engines: those tests are left to root.
AS_USER := $(if $(filter 0,$(shell id -u)),,-m "not root")

# One for each core; 0 runs all tests in one process, as a debugger wants it.
WORKERS ?= logical
# The learner's own copy of the course, which `make lab` opens: git ignores it.
WORK ?= work

.DEFAULT_GOAL := help
.PHONY: help lab setup engine images test lint run bench peers binder-twin course clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ {printf "%-13s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: engine images ## open the course in JupyterLab, on a working engine
	@labkit course open "$(WORK)"
	@eval "$$(labkit engine env)" && exec jupyter lab --ServerApp.root_dir="$(CURDIR)" \
	    --LabApp.default_url="/lab/tree/$(WORK)/notebooks/00_start_here.ipynb" \
	    $(if $(filter 0,$(shell id -u)),--allow-root) $(if $(SCREEN),,--no-browser) $(LAB_OPTIONS)

setup: $(VENV)/ready ## make .venv, with labkit in it

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "labkit needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || setup/packages "a virtual environment" python3-venv
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[course,authoring]'
	@# JupyterLab asks nobody outside for news or updates, and does not ask whether it may.
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
	    >$(VENV)/share/jupyter/lab/settings/overrides.json
	@touch $@

$(VENV)/dev: $(VENV)/ready
	@echo "installing what the tests need"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[course,authoring,dev]'
	@touch $@

engine: setup ## find an engine, or start a private one
	@# A plain user without an engine can still have a micro-VM, where QEMU is installed.
	@python -c 'import sys; from labkit.engine.discovery import find; sys.exit(not find()[0])' || \
	    { [ "$$(id -u)" != 0 ] && command -v qemu-system-$$(uname -m) >/dev/null; } || \
	    setup/packages "a container engine" $(ENGINE_PACKAGES)
	@$(BIN)/labkit engine start

images: engine ## make the lab images
	@labkit images build || \
	    { setup/packages "making images without a registry" $(IMAGE_PACKAGES) && labkit images build; }

test: $(VENV)/dev lint images ## run every test
	@setup/packages "the tests" $(TEST_PACKAGES)
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadgroup --no-loadscope-reorder \
	    $(AS_USER) $(TEST_OPTIONS)

lint: $(VENV)/dev ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tests/typecheck.py

run: images ## execute every notebook, headless
	$(BIN)/labkit course run

course: images ## make the notebooks anew from course/
	$(BIN)/labkit course build

bench: $(VENV)/dev images ## print labkit's speed beside that of what it replaces
	@missed=; for file in benchmarks/bench_*.py; do python $$file || missed="$$missed $$file"; done; \
	    [ -z "$$missed" ] || { echo "targets missed in:$$missed" >&2; exit 1; }

peers: $(VENV)/dev ## run docker-py's and testcontainers' own tests on the micro-VM, or ENGINE=private; VIA=socket
	@ENGINE=$(ENGINE) VIA=$(VIA) python benchmarks/peers/run.py $(PEERS) $(TEST_OPTIONS)

binder-twin: $(VENV)/dev engine ## run the course as a Binder pod would, and print what it took
	LABKIT_TWIN_CHAPTERS="00 01 02" pytest -s tests/binder/test_twin.py $(TEST_OPTIONS)

clean: ## remove what labs left, stop the private engine, remove build files
	@if [ -x $(BIN)/labkit ]; then labkit clean; labkit engine stop; fi
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
