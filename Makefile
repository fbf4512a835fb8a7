# What can be done with this tree. `make help` lists it; `make test` is exactly what CI runs.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# Labelled data for `make eval` and `make train`; without it the project's own texts are judged.
DATA ?=

BINARIES := cynicd cynicctl cynic-worker
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
# One profile for everything that is tested, so that each crate is built once.
TEST := $(if $(NEXTEST),$(CARGO) nextest run,$(CARGO) test)

.DEFAULT_GOAL := help
.PHONY: help demo build install uninstall test check fmt fmt-check lint boundaries unit doc \
        audit bench eval train chaos fuzz

help: ## List what can be done
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: ## Build, judge examples/ through a daemon in a temporary directory, show its figures
	@CARGO="$(CARGO)" scripts/demo.sh

build: ## Build the optimised programs
	$(CARGO) build --release --locked $(addprefix -p ,$(BINARIES))

install: ## Install what `make build` built (PREFIX, DESTDIR)
	@scripts/install.sh install "$(TARGET_DIR)/release" "$(DESTDIR)" "$(PREFIX)"

uninstall: ## Remove what `make install` installed (PREFIX, DESTDIR)
	@scripts/install.sh uninstall "$(TARGET_DIR)/release" "$(DESTDIR)" "$(PREFIX)"

test: fmt-check lint boundaries ## Everything that proves the project; what CI runs
	$(CARGO) build --workspace --locked
	$(TEST) --workspace --locked
	$(CARGO) test --workspace --locked --doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --locked --no-deps --document-private-items

check: fmt-check lint unit ## The fast part of `make test`, for daily work

fmt: ## Format the source
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

lint: ## Lints, warnings denied
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

boundaries: ## Prove which crate links what
	scripts/boundaries.sh

chaos: ## Misbehaving workers, random kills and crashes, for CHAOS_SECONDS (120) each
	$(CARGO) build --workspace --locked
	CHAOS_SECONDS=$${CHAOS_SECONDS:-120} $(CARGO) test -p cynic-tests --locked --test chaos -- --nocapture --test-threads 1

unit:
	$(TEST) --workspace --exclude cynic-tests --locked --lib --bins

doc: ## Build the documentation of the crates
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --locked --no-deps --document-private-items

audit: ## Licences, bans, sources; advisories where the network allows
	@scripts/audit.sh

eval: ## Measure the judge against its gates (DATA=DIR for labelled sets)
	$(CARGO) run --release --locked -p cynic-train -- eval $(if $(DATA),--data $(DATA),--own)

fuzz: ## Fuzz the judge and the frames (SECONDS=60 each)
	scripts/fuzz.sh judge $(or $(SECONDS),60)
	scripts/fuzz.sh frame $(or $(SECONDS),60)
