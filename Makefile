# The environment is .venv, installed from a lock with hashes: with uv if it is on PATH, else pip.

CUDA ?=   # empty: the variant that .venv has, at first the one for the CPU
PYTHON ?= # empty: the Python 3.11 on PATH
export CUDA PYTHON

# Stages call `python`, so .venv goes first on PATH, but only for these commands: it must not be
# found when .venv is made. `python -m`, since the scripts in .venv/bin break if the folder moves.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH" python -m

COMPILE := pip compile pyproject.toml --python-version 3.11 --python-platform linux \
    --generate-hashes --no-emit-index-url --no-header --quiet
EXTRAS := --extra pipeline --extra simulators --extra dev

# Sets $py to a Python 3.11. Names lie (a pyenv shim, say), so each candidate is asked; it answers
# with the interpreter beneath it, because that of an active .venv goes away with the old .venv.
define FIND_PYTHON
if [ "$$PYTHON" ]; then set -- "$$PYTHON"; where="PYTHON=$$PYTHON is not one"
else set -- python3.11 python3 python; where="PATH has none as python3.11, python3 or python and no uv that finds one"; fi
for candidate; do
    py=$$("$$candidate" -c 'import sys; assert sys.version_info[:2] == (3, 11); print(sys._base_executable)' 2>/dev/null) && break
done
no_python() { echo "Python 3.11 is needed, but $$where: install it or give PYTHON=/path/to/python3.11." >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help venv repro test test-slow lint format lock clean-venv
.ONESHELL:
.SHELLFLAGS := -euc

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

venv: ## make .venv; CUDA=12 or CUDA=13 for a GPU (kept until clean-venv), PYTHON=... for the interpreter
	@case "$$CUDA" in
	    "") lock=$$(cat .venv/lock-name 2>/dev/null || echo requirements.lock) ;;
	    12|13) lock=requirements-cuda$$CUDA.lock ;;
	    *) echo "CUDA=$$CUDA is unknown: give CUDA=12 or CUDA=13, or leave it out." >&2; exit 1 ;;
	esac
	# The copy of the lock is made last, so it says both what is installed and that all of it is.
	if cmp -s "$$lock" .venv/installed.lock && .venv/bin/python -c '' 2>/dev/null; then exit; fi
	$(FIND_PYTHON)
	uv=$$(command -v uv || :)
	[ "$${py:-}" ] || { [ "$$uv" ] && [ -z "$$PYTHON" ] && py=3.11; } || no_python
	# From empty: what an old lock or a broken-off installation left behind would not be in the lock.
	rm -rf .venv
	mkdir .venv
	echo "$$lock" > .venv/lock-name
	echo "Installing $$lock into .venv"
	if [ "$$uv" ]; then
	    "$$uv" venv --quiet --allow-existing --python "$$py" .venv || { [ "$$py" != 3.11 ] || no_python; exit 1; }
	    "$$uv" pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes "$$lock"
	    "$$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	else
	    "$$py" -m venv .venv
	    .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r "$$lock"
	    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	fi
	cp "$$lock" .venv/installed.lock

repro: venv ## run the pipeline, or what of it is not up to date
	$(RUN) fisor.progress

test: venv ## run the tests but for the slow ones
	$(RUN) pytest -m "not slow"

test-slow: venv ## run the slow tests
	$(RUN) pytest -m slow

lint: venv ## check format, style and types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy fisor stages benchmarks

format: venv ## format the code and make the safe fixes
	$(RUN) ruff check --fix-only .
	$(RUN) ruff format .

lock: ## write the locks anew from pyproject.toml; UPGRADE=--upgrade moves what is not pinned there
	@$(FIND_PYTHON)
	[ "$${py:-}" ] || no_python
	uv=$$(command -v uv) || {
	    "$$py" -m venv .venv-tools
	    .venv-tools/bin/python -m pip install --quiet uv==0.13.9
	    uv=.venv-tools/bin/uv
	}
	"$$uv" $(COMPILE) $(EXTRAS) --python "$$py" $(UPGRADE) -o requirements.lock
	# The constraint: what the variants share is the same release.
	for cuda in 12 13; do
	    "$$uv" $(COMPILE) $(EXTRAS) --python "$$py" --extra cuda$$cuda --constraint requirements.lock -o requirements-cuda$$cuda.lock
	done
	# Installed on top of any of these.
	for engine in ray slurm; do
	    "$$uv" $(COMPILE) --python "$$py" --extra $$engine --constraint requirements.lock -o requirements-$$engine.lock
	done

clean-venv: ## remove .venv, and so the choice of CUDA
	rm -rf .venv .venv-tools
