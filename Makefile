# make results   set up where needed, then the embedded run: tables and figures
# make test      set up where needed, then the tests; make test-all adds the slow ones
# make lock      resolve envs/requirements.in into exact pins anew

PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin

.PHONY: results report test test-all lint format lock setup clean

setup: .venv/installed

.venv/installed: envs/requirements.txt envs/setup.sh
	@sh envs/setup.sh $(PYTHON)

results: setup
	@$(BIN)/snakemake --cores $(CORES) --scheduler greedy --rerun-incomplete \
		--show-failed-logs --quiet host reason
	@echo "Tables:  results/embedded/tables"
	@echo "Figures: results/embedded/figures"

report: results
	@$(BIN)/snakemake --report results/embedded/report.html
	@echo "Report:  results/embedded/report.html"

test: setup
	@$(BIN)/python -m pytest -m "not slow"

test-all: setup
	@$(BIN)/python -m pytest

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/snakefmt Snakefile workflow

lock: setup
	@$(BIN)/python envs/lock.py

clean:
	rm -rf results .snakemake
