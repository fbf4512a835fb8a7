# What can be done with this tree. `make help` lists it; `make test` is exactly what CI runs.

PREFIX ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# Labelled data for `make eval` and `make train`; without it the project's own texts are judged.
DATA ?=

# Labelled data beside the project, where it is: `make test` runs the gates on it (without those of time, which need
# an optimised build and a quiet machine).
LABELLED := $(wildcard ../shared/data)

# With the C library linked in, a worker starts in two thirds of the time.
STATIC := -C target-feature=+crt-static
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
# One profile for everything that is tested, so that each crate is built once.
TEST := $(if $(NEXTEST),$(CARGO) nextest run,$(CARGO) test)

.DEFAULT_GOAL := help
.PHONY: help demo build install uninstall deb test test-service check fmt fmt-check lint boundaries postgres unit doc \
        audit bench growth budget eval train roadmap chaos figures fuzz aarch64

help: ## List what can be done
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: ## Build, judge examples/ through a daemon in a temporary directory, show its figures
	@CARGO="$(CARGO)" scripts/demo.sh

build: ## Build the optimised programs
	$(CARGO) build --release --locked -p cynicd -p cynicctl
	$(CARGO) rustc --release --locked -p cynic-worker --bin cynic-worker -- $(STATIC)

install: ## Install what `make build` built (PREFIX, DESTDIR, SYSCONFDIR): programs, units, man pages, configuration
	@scripts/install.sh install "$(TARGET_DIR)/release" "$(DESTDIR)" "$(PREFIX)" "$(SYSCONFDIR)"

deb: ## Make the Debian package of what `make build` built, in target/debian (needs cargo-deb)
	@CARGO="$(CARGO)" scripts/deb.sh release target/debian/

uninstall: ## Remove what `make install` installed (PREFIX, DESTDIR)
	@scripts/install.sh uninstall "$(TARGET_DIR)/release" "$(DESTDIR)" "$(PREFIX)" "$(SYSCONFDIR)"

test: fmt-check lint boundaries postgres ## Everything that proves the project; what CI runs
	$(CARGO) build --workspace --locked
	$(TEST) --workspace --locked
	scripts/instructions.sh check
	$(if $(LABELLED),$(CARGO) run --locked -p cynic-train -- eval --data $(LABELLED))
	$(CARGO) test --workspace --locked --doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --locked --no-deps --document-private-items
	$(CARGO) rustc --locked -p cynic-worker --bin cynic-worker -- $(STATIC)
	@CARGO="$(CARGO)" scripts/test_service.sh if-possible

test-service: ## Install the package in a Debian that is booted with systemd-nspawn, and try everything there (as root)
	$(CARGO) build --workspace --locked
	$(CARGO) rustc --locked -p cynic-worker --bin cynic-worker -- $(STATIC)
	@CARGO="$(CARGO)" scripts/test_service.sh

check: fmt-check lint unit ## The fast part of `make test`, for daily work

fmt: ## Format the source
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

lint: ## Lints, warnings denied
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

boundaries: ## Prove which crate links what
	scripts/boundaries.sh

postgres: ## Find PostgreSQL's server programs for the tests, or install them (as root)
	@scripts/postgres.sh install

aarch64: ## Compile and lint programs and tests for aarch64 on another machine; says what that needs
	@CARGO="$(CARGO)" scripts/aarch64.sh

chaos: ## Misbehaving workers, random kills and crashes, for CHAOS_SECONDS (120) each; CHAOS_CRASHES (100) deaths of the daemon
	$(CARGO) build --workspace --locked
	CHAOS_SECONDS=$${CHAOS_SECONDS:-120} CHAOS_CRASHES=$${CHAOS_CRASHES:-100} $(CARGO) test -p cynic-tests --locked --test chaos -- --nocapture --test-threads 1

figures: build ## What isolation costs and holds (PARTS="process daemon storm bursts overload fairness soak")
	$(CARGO) build --release --locked -p cynic-tests --bins
	$(CARGO) rustc --release --locked -p cynic-tests --bin faulty_worker -- $(STATIC)
	$(TARGET_DIR)/release/isolation_figures $(PARTS)

unit:
	$(TEST) --workspace --exclude cynic-tests --locked --lib --bins

doc: ## Build the documentation of the crates
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --locked --no-deps --document-private-items

audit: ## Licences, bans, sources; advisories where the network allows
	@scripts/audit.sh

eval: ## Measure the judge against its gates (DATA=DIR for labelled sets)
	$(CARGO) run --release --locked -p cynic-train -- eval $(if $(DATA),--data $(DATA),--own)

train: ## Train the learned evidence and write the judge's weights (DATA=DIR)
	@test -n "$(DATA)" || { echo "name the labelled sets: make train DATA=DIR (see docs/evaluation.md)" >&2; exit 2; }
	$(CARGO) run --release --locked -p cynic-train -- train --data $(DATA)

bench: build ## Measure round trips, judging, the pool and the store, each beside its floor
	$(CARGO) run --release --locked -p cynic-tests --bin bench

growth: build ## What the daemon spends on a judgment as workers, clients and its history grow (JUDGMENTS=10000000)
	$(CARGO) build --release --locked -p cynic-tests --bins
	$(TARGET_DIR)/release/bench growth $(JUDGMENTS)

roadmap: build ## What each step of the project's plan gains, with simulated scorers, beside the plan's estimates
	$(CARGO) build --release --locked -p cynic-tests --bins
	$(TARGET_DIR)/release/cynicctl bench roadmap

budget: ## Count instructions per judgment and per dispatch, beside their budget (needs valgrind)
	$(CARGO) build --workspace --locked
	scripts/instructions.sh check

fuzz: ## Fuzz the judge and the frames (SECONDS=60 each)
	scripts/fuzz.sh judge $(or $(SECONDS),60)
	scripts/fuzz.sh frame $(or $(SECONDS),60)
