# Every target sets itself up on a machine that has Python 3.11 or 3.12, make and git.
#   make demo      learn to pick a cube and to insert a peg in simulation, with reports (demo-pick, demo-peg: one of them)
#   make test      all checks but the slow ones (what CI runs)                     make test-all   the slow ones too
#   make quick     the inner loop: lint and the fast tests                         make check      lint, format and types only
#   make faults    break processes, disks and networks on purpose, write docs/reliability.md (half an hour, best as root)
#   make faults-cell  break a live cell over ROS 2 on purpose, write its table into docs/safety.md (ten minutes)
#   make results   the five-seed study of docs/results (hours)                     make clean      remove what was built

SHELL := /bin/sh
BIN := .venv/bin
SEED ?= 0
RUNS ?= runs
# Two workers fit two cores; each test process uses one thread.
WORKERS ?= 2
# Whole programs, learning curves, and what trains networks or loads the large libraries of vision: the inner loop
# leaves them out.
THOROUGH := learning runtime cli test_wheel.py hardware/cell/test_supervisor.py hardware/ros/test_camera_node.py \
    vision/test_frozen.py vision/test_torchvision.py policies/base \
    $(addprefix agents/test_,edit.py pitfalls.py ppo.py) \
    $(addprefix rewards/test_,clip_rewards.py labeler_local.py preference_reward.py progress_model.py train.py vlm_command.py)
PYTEST := $(BIN)/python -m pytest -q

.DEFAULT_GOAL := help
.PHONY: help setup lint types check quick test test-all faults faults-cell demo demo-pick demo-peg results clean

help:
	@sed -n '2,7s/^#   //p' Makefile

setup:
	@scripts/setup.sh

lint: setup
	@echo "== ruff check"; $(BIN)/ruff check
	@echo "== ruff format"; $(BIN)/ruff format --check

types: setup
	@echo "== mypy"; $(BIN)/mypy

check: lint types

quick: setup
	@echo "== ruff check"; $(BIN)/ruff check
	@echo "== pytest, fast"; $(PYTEST) -n $(WORKERS) --dist worksteal -m "not slow" $(addprefix --ignore=tests/,$(THOROUGH))

test: check
	@echo "== pytest"; $(PYTEST) -n $(WORKERS) --dist worksteal -m "not slow"

test-all: check
	@echo "== pytest"; $(PYTEST) -n $(WORKERS) --dist worksteal -m "not slow"
	@echo "== pytest, slow tests, one at a time: many of them run whole cells in real time"; $(PYTEST) -m slow

# MINUTES of soak, KILLS in all; PARTS names some of the parts, see tests/faults/run.py.
MINUTES ?= 10
KILLS ?= 50
PARTS ?=

faults: setup
	@echo "== tools and fuzzing"; $(PYTEST) -m faults tests/faults
	@echo "== faults"; $(BIN)/python -m tests.faults.run $(PARTS) --minutes $(MINUTES) --kills $(KILLS)

# How often each fault; CASES names some of them, see tests/faults/cell_run.py.
TIMES ?= 3
CASES ?=

faults-cell: setup
	@echo "== faults of a live cell"; $(BIN)/python -m tests.faults.cell_run $(CASES) --times $(TIMES)

demo: demo-pick demo-peg

demo-pick: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh PickCube $(SEED) $(RUNS)

demo-peg: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh PegInsert $(SEED) $(RUNS)

results: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/results.sh $(RUNS)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
