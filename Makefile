# Every target first makes (or brings up to date) the environment in .venv; nothing outside this folder is needed but
# Python 3.10 to 3.12 and, for the simulator's pictures, OpenGL without a display, which is installed by apt if it may.
#
#   make demo             two arms, through the ROS 2 graph, with the checkpoint of the repository
#   make test             all tests that need neither a GPU nor much patience
#   make lint types       ruff and mypy
#   make clean            remove what the targets made, the environment included
#
# Variables:
#   PYTHON=python3.11     the interpreter of a new environment (default: the first that fits)
#   NO_APT=1              never call apt-get
#   ROS_WHEELS=kilted     rclpy as wheels of that distribution (default: jazzy); ignored where ROS_DISTRO is set
#   ARGS='--episodes 2'   further arguments of `dp_ros demo` or of pytest

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help environment demo test lint types clean

VENV := .venv
ROS_WHEELS ?= jazzy
# A change of any of these makes the environment stale. A venv cannot move, so its place counts as well.
KEY := $(shell { cat constraints.txt setup.py setup.cfg scripts/setup_environment.sh; \
                 echo "$(CURDIR) $(ROS_DISTRO) $(ROS_WHEELS)"; } | cksum | cut -d' ' -f1)
STAMP := $(VENV)/dp_ros-$(KEY).stamp

# A user's own site-packages must not shadow the pinned versions.
export PYTHONNOUSERSITE := 1

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

environment: $(STAMP)

$(STAMP): constraints.txt setup.py setup.cfg scripts/setup_environment.sh
	@PYTHON="$(PYTHON)" NO_APT="$(NO_APT)" ROS_WHEELS="$(ROS_WHEELS)" scripts/setup_environment.sh $(VENV)
	@rm -f $(VENV)/dp_ros-*.stamp && touch $@

demo: environment
	$(VENV)/bin/dp_ros demo $(ARGS)

# Small networks and several processes: more threads than this make the tests slower.
test: export OMP_NUM_THREADS := $(or $(OMP_NUM_THREADS),1)
test: environment
	$(VENV)/bin/python -m pytest -m 'not slow and not gpu' $(ARGS)

lint: environment
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: environment
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) out build install log dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
