# Every target sets itself up: a virtual environment in .venv, then the work.
#
#   make demo                                         watch a simulated humanoid follow captured motion
#   make test ARGS="-k rotation" JOBS=4               arguments for pytest, processes
#   make test PYTHON=python3.12                       another interpreter (3.11 to 3.13)
#   make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
#                                                     another build of torch: CPU only, smaller on Linux
#
# TORCH and PYTHON count when .venv is made; `make clean-venv` first to change them.

PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   ?= .venv
OUT    ?= demo_out
ARGS   ?=
JOBS   ?= 2

RUN   := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench clean clean-venv
.DEFAULT_GOAL := demo

demo: $(STAMP)
	$(RUN) -m humanoid demo --out $(OUT) $(ARGS)

test: $(STAMP)
	$(RUN) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright

bench: $(STAMP)
	$(RUN) -m humanoid bench sim $(ARGS)

clean:
	rm -rf $(OUT) dist .pytest_cache .ruff_cache .hypothesis
	find humanoid tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

clean-venv:
	rm -rf $(VENV)

# torch comes first and alone, so that its build is the user's choice; from then on its exact
# version stands in the constraints, whatever it is.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(RUN) || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 to 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install $(TORCH)
	@grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	@$(RUN) -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> $(VENV)/constraints.txt
	$(RUN) -m pip install -c $(VENV)/constraints.txt -e '.[mocap,teleop,deploy,dev]'
	@touch $@
