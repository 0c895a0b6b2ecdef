# Everything needs Python 3.11 or newer and pip; each target sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help run test test-torch check lint types contracts cover cover-snn prove science bench bench-snn bench-images gate schema bindings clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: $(VENV)/.run ## watch a spiking network learn handwritten digits
	$(BIN)/neuraxis run scenarios/digits.toml

KERNEL := tests/kernel tests/scenario tests/cli tests/cluster tests/transports
TESTS := -n 2 --dist worksteal -m "not prove and not science"

test: $(VENV)/.dev ## run the tests, 8 minutes on two cores, 12 the first time; with COVERED=1, those that `make cover` does not run
	$(PYTEST) $(TESTS) $(if $(COVERED),$(addprefix --ignore=,$(KERNEL)))

test-torch: $(VENV)/.torch ## run the tests that need PyTorch, which others skip, 3 to 4 minutes; with QUICK=1, without the slow ones
	$(PYTEST) $(TESTS) $(if $(QUICK),-m "not prove and not science and not slow") -k "morphogenesis or torch" tests/morphogenesis tests/snn

check: lint types contracts ## lint, types and import contracts

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m neuraxis_morphogenesis.contracts.build --check

COVERAGE := COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(BIN)/python -m coverage

cover: $(VENV)/.dev ## line coverage of the kernel by its tests; fails below 95 %
	rm -f .coverage .coverage.*
	$(COVERAGE) run -m pytest $(TESTS) $(KERNEL)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --skip-covered --fail-under=95

cover-snn: export COVERED_PACKAGE := neuraxis_snn
cover-snn: $(VENV)/.dev ## line coverage of spiking networks, which run uncompiled, some minutes; fails below 92 %
	rm -f .coverage .coverage.*
	NUMBA_DISABLE_JIT=1 $(COVERAGE) run -m pytest -n 2 --dist worksteal -p no:cacheprovider -m "not prove and not slow and not science and not compiled" tests/snn
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --skip-covered --fail-under=92

prove: $(VENV)/.dev ## the long evidence: 20 hash seeds, 50 kills of each scenario, whole sweeps
	$(PYTEST) -n 2 --dist worksteal -m "prove" --timeout 3600 -o addopts="-v"
	$(PYTEST) -n 2 --dist worksteal -m "not prove and not slow and not science" --timeout 3600 --hypothesis-profile prove tests/kernel tests/scenario tests/snn

science: $(VENV)/.dev ## published results at full size, one core; prints them beside ours, about half an hour
	$(PYTEST) -m "science" --timeout 3600 tests/science

bench: $(VENV)/.dev ## measure, beside other libraries on the same work; prints a table
	$(BIN)/python -m bench

bench-snn: $(VENV)/.dev $(VENV)-peers/.done ## spiking networks beside Brian2 and NEST, which get an environment of their own
	$(BIN)/python -m bench.snn $(VENV)-peers/bin/python
	$(BIN)/python -m bench.snn.latency

gate: $(VENV)/.dev ## fails if spiking networks became slower, beside plain loops in the same minutes
	$(BIN)/python -m bench.snn.gate

bench-images: $(VENV)/.dev $(VENV)-images/.done ## learning from pictures beside BindsNET, which gets an environment of its own
	$(BIN)/python -m bench.snn.images $(VENV)-images/bin/python

schema: $(VENV)/.dev ## write the JSON Schema of scenario files
	$(BIN)/neuraxis schema > docs/scenario.schema.json

$(VENV)-peers/.done: bench/snn/peers.txt
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check -r bench/snn/peers.txt
	@touch $@

$(VENV)-images/.done: bench/snn/peers_images.txt
	$(PYTHON) -m venv $(VENV)-images
	$(VENV)-images/bin/python -m pip install --quiet --disable-pip-version-check -r bench/snn/peers_images.txt
	$(VENV)-images/bin/python -m pip install --quiet --disable-pip-version-check --no-deps bindsnet==0.3.4 ale-py==0.12.1
	@touch $@

bindings: $(VENV)/.dev ## make the bindings of the contracts from their .proto files; refuses a change that breaks others
	$(BIN)/python -m neuraxis_morphogenesis.contracts.build

clean: ## delete environment, caches and runs
	rm -rf $(VENV) $(VENV)-peers $(VENV)-images runs .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage .coverage.*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Neuraxis needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip -c constraints.txt

$(VENV)/.torch: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,morphogenesis]"
	@touch $@

$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.run
