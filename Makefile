# `make` lists the targets. The first one that needs it creates .venv from requirements.lock.

PYTHON  ?= python3.13 python3.12 python3.11 python3
RESULTS ?= build/results
OUTPUT  ?= build/report
FULL    ?=
UPGRADE ?=
TRANSFORMERS ?= 4.55.0

UV_VERSION := 0.13.9
PY         := .venv/bin/python
READY      := .venv/ready
ON_SLURM   := tests/slurm/test_cluster.py tests/slurm/test_on_real_slurm.py tests/slurm/test_with_accounts.py
SLURM_TESTS := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TRAM_SLURM_TESTS=1 $(PY) -m pytest -vv -rs
SOURCES    := tram benchmarks slurm analysis tests .ci

.DEFAULT_GOAL := help
.PHONY: help reproduce tables figures report readme bench bench-gpu bench-check test conformance lint format lock test-slurm test-oldest tools-install slurm-install slurm-up slurm-down bench-analysis clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: FULL=1 (every method, 5 seeds), RESULTS=$(RESULTS), OUTPUT=$(OUTPUT),"
	@echo "  PYTHON=... (the interpreter for .venv, 3.11 or newer), UPGRADE=1 (lock the newest versions)."

reproduce: $(READY) ## run the miniature suite, make its tables and figures, compare with the stored records
	$(PY) -m benchmarks suite mini --results "$(RESULTS)" $(if $(filter-out 0,$(FULL)),--full)
	$(PY) -m analysis tables --results "$(RESULTS)/mini" --output "$(OUTPUT)"
	$(PY) -m analysis figures --results "$(RESULTS)/mini" --output "$(OUTPUT)"
	@if [ "$(abspath $(RESULTS))" != "$(abspath results)" ]; then \
		$(PY) -m analysis compare --results "$(RESULTS)/mini" --with results/mini; \
	fi
	@echo
	@echo "Tables and figures:   $(OUTPUT)/"
	@echo "One record per run:   $(RESULTS)/mini/ (results/README.md describes them)"
	@echo "The stored results:   make tables figures"
	@echo "All methods, 5 seeds: make reproduce FULL=1"

tables figures: $(READY) ## make them in build/stored from the stored results
	$(PY) -m analysis $@ --results results/mini --output build/stored

report: $(READY) ## write the whole report on the stored results: build/stored/report/index.html
	$(PY) -m analysis report --results results/mini --output build/stored/report

readme: $(READY) ## write the README's table and figure anew from the stored results
	$(PY) -m analysis readme --results results/mini

bench: $(READY) ## time every method's step on this machine, half an hour, and renew docs/performance.md
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m benchmarks performance
	$(PY) -m analysis performance

bench-gpu: $(READY) ## the same on a GPU, with the paper's own sizes
	HF_HUB_OFFLINE=1 $(PY) -m benchmarks performance --sizes gpu
	$(PY) -m analysis performance

bench-check: $(READY) ## say which steps have become slower than this machine's record, a minute or two
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m benchmarks performance --check

test: lint ## run every check and every test
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m pytest -n 2

conformance: $(READY) ## check every way to train with every method, half an hour, and write its table
	nice -n 10 $(PY) -m tests.conformance run
	$(PY) -m tests.conformance table

lint: $(READY) ## check format, style and types
	$(PY) -m ruff format --check $(SOURCES)
	$(PY) -m ruff check $(SOURCES)
	$(PY) -m mypy

format: $(READY) ## format the code and mend what ruff can
	$(PY) -m ruff check --fix $(SOURCES)
	$(PY) -m ruff format $(SOURCES)

lock: $(READY) ## write requirements.lock anew from pyproject.toml
	$(PY) .ci/uv_as_pip.py pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet --output-file requirements.lock $(if $(filter-out 0,$(UPGRADE)),--upgrade)

test-slurm: $(READY) ## run the tests on a real Slurm, which slurm-install installs: minutes, as root
	@# Daemons and the clock of a busy machine are in it: what fails is run once more, alone, and what fails twice is broken.
	$(SLURM_TESTS) -n 2 --dist worksteal $(ON_SLURM) || $(SLURM_TESTS) --last-failed --last-failed-no-failures none $(ON_SLURM)

test-oldest: $(READY) ## run the Trainer's tests on the oldest transformers that works, in an environment of its own
	@$(PY) .ci/uv_as_pip.py venv --quiet --clear --python $(PY) build/transformers
	@$(PY) .ci/uv_as_pip.py pip install --quiet --python build/transformers/bin/python accelerate peft pytest \
		"transformers==$(TRANSFORMERS)" "torch==$$($(PY) -c 'import torch; print(torch.__version__.split("+")[0])')"
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 build/transformers/bin/python -m pytest \
		tests/tram/test_trainer.py tests/tram/test_trainer_options.py

tools-install: ## install Debian's Chromium and LaTeX, for the tests of reports and tables (as root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium texlive-latex-base texlive-latex-recommended >/dev/null

slurm-install: ## install Debian's Slurm, for slurm-up and the tests that need it (as root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
		slurm-wlm munge slurmdbd mariadb-server-core mariadb-client-core >/dev/null

slurm-up: $(READY) ## bring up a whole Slurm on this machine, to try things on
	$(PY) -m tests.slurm_cluster up

slurm-down: $(READY) ## take it down again, with all its jobs
	$(PY) -m tests.slurm_cluster down

bench-analysis: $(READY) ## time the analysis of 500 to 5,000 synthetic records, and write it to docs/report.md
	$(PY) -m tests.analysis.bench --keep

clean: ## remove reports and caches; .venv and build/results stay
	rm -rf build/report build/stored build/lib build/bdist.* dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# .venv/ready is written last: whatever an interrupted set-up leaves behind is cleared by the next one.
$(READY): requirements.lock
	@for python in $(PYTHON); do \
		if "$$python" -c "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
			echo "Creating .venv with $$python, $$("$$python" --version)"; \
			exec "$$python" -m venv --clear .venv; \
		fi; \
	done; \
	echo "No Python 3.11 or newer with the modules venv and ensurepip among: $(PYTHON)." >&2; \
	echo "Install one (on Debian and Ubuntu: python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(PY) .ci/uv_as_pip.py pip sync --compile-bytecode --python $(PY) --require-hashes requirements.lock
	@touch $@
