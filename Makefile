# pmilterd: what a person or a machine does with this repository.
# `make help` lists it; the first one is the default.

# The go command and where things go. GO can be another go: make GO=go1.27 test
GO       ?= go
FUZZTIME ?= 10s
BENCH    ?= .
COUNT    ?= 10
# Which packages; make test PKG=./filter/...
PKG      ?= ./...

# The binary is static, as the packages have it, and says which commit it is made of, unless git cannot tell.
VCS   := $(shell git rev-parse -q --verify HEAD >/dev/null 2>&1 && echo auto || echo false)
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=$(VCS) -trimpath
# The race detector needs a C compiler (Debian: gcc).
RACE   = $(shell command -v gcc >/dev/null || command -v clang >/dev/null && echo -race)
# Where make keeps what it builds and what the playground delivers (ignored by git).
TMP   := tmp
BIN   := $(TMP)/bin
# The pinned tools are a module of their own: tools/go.mod.
TOOLS := $(BIN)/.tools
# Those that make packages, and where these go.
DIST_TOOLS := $(BIN)/dist/.tools
DIST       := $(TMP)/dist
TSC   := $(TMP)/types/node_modules/.bin/tsc

.DEFAULT_GOAL := help
.PHONY: help run build test scripts types stack-test lint fmt fuzz bench bench-queue microbench bench-compare check tidy clean deps man dist deb

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-17s %s\n", $$1, $$2}'

# ---- to use it

# The playground needs no mail server: SMTP on 127.0.0.1:2525, the scripts in
# scripts/ (edit them while it runs), accepted mail in tmp/maildir.
run: build ## the playground: send mail to 127.0.0.1:2525, edit scripts/, look
	./pmilterd try $(if $(wildcard scripts/pmilter.toml),-c scripts/pmilter.toml) --smtp 127.0.0.1:2525 --maildir ./$(TMP)/maildir

build: ## ./pmilterd
	$(BUILD) -o pmilterd ./cmd/pmilterd

# ---- to trust it

# Everything, the tests behind a real private Postfix included. As root, what is
# missing of Debian's packages is installed first; otherwise make says what is
# left out. With PMILTER_REQUIRE_MTA=1 a left-out part is a failure.
test: deps types scripts ## all tests, with -race; behind a real Postfix, too
	$(GO) test $(RACE) -shuffle=on -timeout 18m $(PKG)
	@.ci/deps.sh --check >/dev/null 2>&1 || echo "make test: passed, but for what was left out: see at the top"

# The shipped scripts by their own tests: what a user's `pmilterd test` does.
scripts: build ## the tests of the shipped filters and jobs, *.test.js in scripts/
	./pmilterd test -c scripts/pmilter.toml

# What an editor would say of the shipped scripts. Needs npm.
types: ## the shipped scripts and pmilter.d.ts, by tsc in strict mode
	@if ! command -v npm >/dev/null; then \
		echo "make types: LEFT OUT, npm is missing (Debian: apt-get install npm)"; \
		[ -z "$$PMILTER_REQUIRE_MTA" ]; exit; \
	fi; \
	$(MAKE) --no-print-directory $(TSC) && \
	$(TSC) --noEmit --strict --target es2022 --module esnext --moduleResolution bundler --allowJs --checkJs \
		$(wildcard scripts/*.ts scripts/*.js scripts/filters/*.js scripts/jobs/*.js) && echo "make types: tsc accepts scripts/ in strict mode"

# Needs a Docker engine that answers, and compose: docker/README.md. The first time it
# builds images for some minutes. COMPOSE says which compose, if both are there:
# make stack-test COMPOSE=docker-compose
stack-test: ## the compose stack of docker/: mail through real containers (needs Docker)
	COMPOSE="$(COMPOSE)" PMILTER_STACK=1 $(GO) test -count=1 -v -timeout 25m -run '^TestStack$$' ./docker

deps:
	@if .ci/deps.sh --check >/dev/null 2>&1; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] || [ -n "$$PMILTER_REQUIRE_MTA" ]; then \
		.ci/deps.sh && exit 0; \
		[ -z "$$PMILTER_REQUIRE_MTA" ] || exit 1; \
	fi; \
	.ci/deps.sh --check; \
	echo "make test: tests that need what is missing (a real Postfix or Sendmail, miltertest, opendkim) are LEFT OUT;"; \
	echo "make test: to have them, install the packages above, or run make test as root, which does that"

lint: $(TOOLS) ## gofumpt, gci and golangci-lint
	$(GO) vet $(PKG)
	$(BIN)/golangci-lint fmt --diff
	$(BIN)/golangci-lint run $(PKG)

fmt: $(TOOLS) ## formats all Go files
	$(BIN)/golangci-lint fmt

# Each fuzz target for FUZZTIME, on what was found before and beyond.
fuzz: ## each fuzz target for FUZZTIME (10s), one on each processor
	@grep -roE --include='*_test.go' --exclude-dir=tmp '^func Fuzz[A-Za-z0-9_]+' $(patsubst ./...,.,$(PKG)) | sed 's|/[^/]*:func | |' | sort | \
	xargs -r -P "$$(nproc)" -L 1 sh -c 'out=$$($(GO) test -run "^$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -parallel 1 "$$0" 2>&1); \
		status=$$?; echo "== $$0 $$1"; echo "$$out"; [ $$status = 0 ]'

# Whole servers side by side, some minutes: see docs/performance.md. RUN has flags of
# bench/run: RUN="-rounds 9 -only throughput". As root, what is missing of Debian's
# packages is installed first.
bench: build ## every figure of docs/performance.md beside its target, against filters in C, Python and Go
	@[ -e /usr/include/libmilter/mfapi.h ] || [ "$$(id -u)" != 0 ] || .ci/deps.sh
	@GO="$(GO)" CC="$(CC)" $(GO) run ./bench/run $(RUN)

# On the disk of this folder: on tmpfs a sync is nothing.
bench-queue: build ## queued messages a second; jobs a second against a fork and exec for each mail
	@mkdir -p $(TMP)
	TMPDIR=$(CURDIR)/$(TMP) $(GO) test -run '^$$' -bench Put -benchtime 11x ./internal/queue
	$(GO) run ./bench/queue $(QUEUE)

# A speed claim cites benchstat over ten runs, of both revisions in turn: make bench-compare
microbench: $(TOOLS) ## the Go benchmarks, COUNT (10) times, with a summary
	@mkdir -p $(TMP)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG) | tee $(TMP)/bench.txt
	$(BIN)/benchstat $(TMP)/bench.txt

bench-compare: $(TOOLS) ## the Go benchmarks of commit BASE and of what lies here, in turn: make bench-compare BASE=main
	@GO="$(GO)" BENCH='$(BENCH)' COUNT='$(COUNT)' BENCHSTAT="$(CURDIR)/$(BIN)/benchstat" bench/compare "$(BASE)" $(if $(filter-out ./...,$(PKG)),$(PKG))

# ---- to hand it out

man: build ## the manual pages, in tmp/man
	./pmilterd man README.md $(TMP)/man

# The same commit gives the same bytes. The version is git's, or VERSION=v1.2.3.
dist: $(DIST_TOOLS) ## archives, Debian packages, SBOMs for linux amd64 and arm64, in tmp/dist
	@GO="$(GO)" VERSION="$(VERSION)" packaging/dist $(DIST)

deb: $(DIST_TOOLS) ## the Debian package for this machine, in tmp/dist
	@GO="$(GO)" VERSION="$(VERSION)" packaging/dist $(DIST) deb $$($(GO) env GOARCH)

# ---- to check it in

check: lint tidy test ## all that must hold before a commit

tidy:
	$(GO) mod tidy -diff

clean: ## removes what make built; the playground's mail, too
	rm -rf pmilterd $(TMP)

# golangci-lint takes minutes to build: once, until the pins change.
$(TOOLS): tools/go.mod tools/go.sum
	@mkdir -p $(BIN)
	@echo "building the pinned tools into $(BIN): this takes a few minutes, once"
	cd tools && $(GO) build -buildvcs=false -o ../$(BIN)/ tool
	@touch $@

$(DIST_TOOLS): tools/dist/go.mod tools/dist/go.sum
	@mkdir -p $(BIN)/dist
	cd tools/dist && $(GO) build -buildvcs=false -o ../../$(BIN)/dist/ tool
	@touch $@

$(TSC): tools/types/package-lock.json
	@mkdir -p $(TMP)/types && cp tools/types/package.json tools/types/package-lock.json $(TMP)/types
	cd $(TMP)/types && npm ci --silent --no-fund --no-audit && touch node_modules/.bin/tsc
