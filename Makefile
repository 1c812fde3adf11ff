# Everything that a developer or CI does with this repository. `make` lists it.

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.8.0
CYCLONEDX     := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

ARGS      ?=
PKG       ?= ./...
TESTFLAGS ?=
BENCH     ?= .
BENCHTIME ?= 1s
FUZZTIME  ?= 20s
FUZZJOBS  ?= 1
ROUND     ?= 20
PARTS     ?= $(ROUND)
TAG       ?= latest
REGISTRY  ?=
TEST      ?= TestTorture
SEED      ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
VULNDB    ?=
FUSE      ?= fuse

# What is shipped.
PROGRAMS := ingest projector

# The packages that have what is searched for: linking the tests of the others takes
# most of the time.
packages = $(shell grep -rl --include='*_test.go' '^func $(1)' . | xargs -r -n 1 dirname | sort -u)

.DEFAULT_GOAL := help
.PHONY: help run test torture bench bench-smoke fuzz deploy image lint fmt modules vuln sbom build release clean go postgres pgbouncer fauxqs chromium fuse promtool

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: go postgres ## Run the whole system on this machine; ARGS="--once --people 500" for instance
	@go build -trimpath -o bin/sandbox ./cmd/sandbox # as build does, which then has little to do
	@bin/sandbox $(ARGS)

test: go postgres pgbouncer fauxqs chromium promtool ## Run every test with the race detector; PKG=./store for one package, TESTFLAGS=-v
	go test -race -timeout 15m $(TESTFLAGS) $(PKG)

# Most of these tests mostly wait, for servers that start or elect: several run at once. The
# bound holds for each package's tests by -timeout, and for all of it by timeout; what has to be
# compiled is compiled before, as that takes minutes where nothing was compiled yet.
tortured = $(if $(filter ./...,$(PKG)),$(call packages,TestTorture),$(PKG))
torture: SEED := $(SEED)
torture: go postgres $(FUSE) ## Show the promises that take minutes, at most ROUND=20 of them; PKG=./store/jetstream, TEST=TestTortureKills, SEED=1; FUSE= leaves out power cuts and full disks, PARTS=2 does as little as fits a slow machine
	@$(if $(FUSE),cd .ci/powercut && go test -race .,echo "torture: without power cuts and full disks" >&2)
	@go test -race -tags torture -run '^$$' $(tortured)
	@go build -race -tags torture ./cmd/ingest ./cmd/projector && go build ./cmd/ingest ./cmd/projector
	@echo "torture: at most $(ROUND) minutes, SEED=$(SEED)"
	@TORTURE_ROUND=$(PARTS) SEED=$(SEED) timeout --signal=QUIT --kill-after=30s $(ROUND)m \
		go test -race -tags torture -run '^$(TEST)' -count=1 -v -parallel 4 -timeout $(ROUND)m $(if $(FUSE),,-skip 'PowerCuts|FullDisk') $(TESTFLAGS) $(tortured) \
		|| { echo "torture: failed, or took more than $(ROUND) minutes; again with SEED=$(SEED)" >&2; exit 1; }

bench: go postgres ## Run the benchmarks; BENCH=Fold for one, BENCHTIME=5s
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m -p 1 $(call packages,Benchmark)

bench-smoke: go postgres ## Run each benchmark once at its smallest size
	go test -run '^$$' -bench . -benchtime 1x -short -timeout 10m -p 1 $(call packages,Benchmark)

fuzz: go postgres ## Fuzz each target for FUZZTIME=20s, FUZZJOBS=1 at once; what it finds joins the seeds in testdata
	@for package in $(call packages,Fuzz); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$package/*_test.go | cut -d ' ' -f 2); do \
			echo "$$package $$target"; \
		done; \
	done | xargs -P $(FUZZJOBS) -I {} sh -c '.ci/fuzz {} $(FUZZTIME)'

deploy: go ## Check the charts, the images and the AsyncAPI document
	cd .ci/deploy && go test -count=1 ./... # what it reads is outside of its module
	.ci/asyncapi

image: go ## Make the images, archives in bin/ for docker load; TAG=1.2.3, REGISTRY=host to push them
	@cd .ci/deploy && go run ./image -tag '$(TAG)' $(if $(REGISTRY),-push '$(REGISTRY)',-out ../../bin)

lint: go ## Check style, import lines and common mistakes, and that go.mod is tidy
	go run $(GOLANGCI_LINT) run
	go mod tidy -diff
	cd .ci/powercut && go run $(GOLANGCI_LINT) run && go mod tidy -diff
	cd .ci/deploy && go run $(GOLANGCI_LINT) run && go mod tidy -diff

fmt: go ## Format the code
	go run $(GOLANGCI_LINT) fmt

modules: go ## Check that the modules are those of go.sum, unchanged on this machine
	go mod verify
	cd .ci/powercut && go mod verify

govulncheck = go run $(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) ./...

vuln: go ## Look for known vulnerabilities, and say so where Go's database cannot be reached; VULNDB=file:///srv/vulndb
	@.ci/vulnerabilities optional $(govulncheck)

# Of each program for itself, as it is built for this platform: what it does not link is not in it.
sbom: go ## List what is in the programs, bin/ingest.cdx.json and bin/projector.cdx.json
	@mkdir -p bin
	@for program in $(PROGRAMS); do \
		CGO_ENABLED=0 go run $(CYCLONEDX) app -json -std -main cmd/$$program -output bin/$$program.cdx.json . || exit 1; \
		echo "bin/$$program.cdx.json: $$(grep -c '"purl"' bin/$$program.cdx.json) components"; \
	done

build: go ## Build bin/ingest, bin/projector and bin/sandbox
	go build -trimpath -o bin/ ./cmd/ingest ./cmd/projector ./cmd/sandbox

release: go modules ## Build bin/ingest and bin/projector to be shipped, static, with their lists; fails where known vulnerabilities cannot be looked for
	@.ci/vulnerabilities needed $(govulncheck)
	@$(MAKE) --no-print-directory sbom
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))

clean: ## Remove what was built
	rm -rf bin

go:
	@.ci/go

postgres:
	@.ci/postgres

pgbouncer:
	@.ci/pgbouncer

fauxqs:
	@.ci/fauxqs

chromium:
	@.ci/chromium

fuse:
	@.ci/fuse

promtool:
	@.ci/promtool >/dev/null
