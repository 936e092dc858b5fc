# The two commands of the README are `make demo` and `make test`; each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
# Tests start a hundred processes, which need not all compile the same modules.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo claims test test-slow lint clean

demo: $(READY)
	$(BIN)/swarmbed run flash-crowd --nodes 20 --set loss=0.05 --serve 0

# Every scenario, in simulated time: what theory predicts beside what was measured, in one table.
claims: $(READY)
	$(BIN)/swarmbed claims

WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)# one more than cores, for some tests wait

# The types are checked beside the tests, which leave a core idle now and then.
test: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	nice $(BIN)/mypy & types=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"; status=$$?; \
	wait $$types || status=1; exit $$status

# Ten minutes of fuzzing, and whole runs in virtual time, go on beside those in real time, which mostly wait, and out of their way.
SIMULATED := (_runs and not capture_runs or swarm or downloader or roles_memory or certificate) and not real_sockets
test-slow: $(READY_DEV)
	nice -n 19 $(BIN)/python -m pytest -q -m slow -k guided_fuzzing & fuzzing=$$!; \
	nice -n 10 $(BIN)/python -m pytest -q -n auto --dist worksteal -m slow -k "$(SIMULATED)" & simulated=$$!; \
	$(BIN)/python -m pytest -m slow -k "not guided_fuzzing and not ($(SIMULATED))"; status=$$?; \
	wait $$simulated || status=1; wait $$fuzzing || status=1; exit $$status

lint: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(READY_DEV): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
