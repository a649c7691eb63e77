# make results   set up if needed, then the embedded run: tables and figures
# make test      set up if needed, then the tests; make test-slow runs the slow ones
# make effects   how much of each scanner effect of the phantom a linear map undoes; half an hour
# make tune METHOD="espcn msp_espcn"   try other settings of methods on the tuning cohort
# make clean     remove all results; downloads, and what Snakemake knows of files, stay
# make lock      resolve envs/requirements.in into new exact pins

PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
# Snakemake keeps a cache in the home, which some compute nodes cannot write to.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export XDG_CACHE_HOME ?= $(CURDIR)/.cache
endif

.PHONY: results report effects tune test test-slow test-all lint format lock setup clean

setup: .venv/installed

.venv/installed: envs/requirements.txt envs/setup.sh
	@sh envs/setup.sh $(PYTHON)

# Only the tests need the BIDS validator and the parallel runner.
.venv/installed-for-tests: .venv/installed envs/requirements-test.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -r envs/requirements-test.txt
	@touch $@

results: setup
	@$(BIN)/snakemake --cores $(CORES)
	@echo "Tables:  results/embedded/tables"
	@echo "Figures: results/embedded/figures"
	@echo "Page:    results/embedded/index.html"

report: results
	@$(BIN)/snakemake --report results/embedded/report.zip
	@echo "Report:  results/embedded/report.zip"

effects: setup
	@$(BIN)/snakemake --snakefile workflow/effects.smk --cores $(CORES)

tune: setup
	$(if $(METHOD),,$(error give the methods to tune: make tune METHOD="espcn msp_espcn"))
	@$(BIN)/snakemake --configfile config/tuning.yaml --cores $(CORES) $(METHOD:%=results/tuning/tuning/%.json)

test: .venv/installed-for-tests
	@$(BIN)/python -m pytest -n $(CORES) --dist loadfile --durations=12 -m "not slow"

test-slow: .venv/installed-for-tests
	@$(BIN)/python -m pytest -n $(CORES) --dist loadfile --durations=12 -m slow -o faulthandler_timeout=2700

test-all: test test-slow

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint --config methods="[identity, $$(ls workflow/baselines | paste -sd,)]"

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/snakefmt Snakefile workflow

lock: setup
	@$(BIN)/python envs/lock.py

clean:
	[ ! -d results ] || find results/ -mindepth 1 -maxdepth 1 ! -name downloads -exec rm -rf {} +
	[ ! -d .snakemake ] || find .snakemake -mindepth 1 -maxdepth 1 ! -name metadata -exec rm -rf {} +
