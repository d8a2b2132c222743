# make help lists what there is.

SHELL := /bin/sh
.DEFAULT_GOAL := help
FUZZTIME ?= 30s
SOAKTIME ?= 10m
ARGS ?=

# "make module PATH=..." would take the PATH in which programs are found.
ifeq ($(origin PATH),command line)
MODULE_PATH := $(PATH)
override PATH := $(shell p=$$PATH; PATH=/usr/bin:/bin; if [ "$$p" = "$(MODULE_PATH)" ]; then tr '\0' '\n' </proc/$$PPID/environ | sed -n 's/^PATH=//p'; else echo "$$p"; fi)
endif

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Serve the whole application on 127.0.0.1:8080, nothing else needed (ARGS="--addr ...")
	go run ./cmd/web --demo $(ARGS)

.PHONY: demo
demo: ## Run two web nodes, two workers, a store and a proxy, with a page to kill them from
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/web ./cmd/worker ./cmd/internal/demo
	@bin/demo $(ARGS)

.PHONY: build
build: ## Build both programs into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/web ./cmd/worker

.PHONY: test
test: deps ## Run every test, with the race detector, on real Redis and Chromium too
	@go run ./internal/tools/testcount -require=unit,conformance,engine,browser,e2e -race -shuffle=on -timeout 2h ./jobs ./...

.PHONY: stress
stress: ## Run all tests N times (10) in a setting: ON=alone, onecore or busy (eight busy processes beside)
	@.ci/stress $(or $(ON),alone) $(or $(N),10)

.PHONY: deps
deps: ## Install redis-server, Chromium, nginx and haproxy from Debian's packages when they are missing
	@.ci/deps

.PHONY: quick
quick: ## Run the tests that need neither Redis nor Chromium
	go test ./cmd/... ./jobs/... ./live ./live/livetest ./live/internal/delivery ./live/internal/wire ./live/internal/engine/... ./push ./push/mempush

.PHONY: race
race: ## Run the tests of PKG (./... when not given) with the race detector
	go test -race -shuffle=on $(or $(PKG),./...)

.PHONY: mutants
mutants: ## Make faults on purpose that the unit tests must notice (ARGS="'delivery/decide'")
	go run ./internal/tools/mutants $(ARGS)

.PHONY: e2e
e2e: ## Run the end-to-end tests: real processes, killed ones, a real browser
	go test -race -v -timeout 2h ./internal/e2e/...

.PHONY: soak
soak: ## Run the long form of the fault tests (SOAKTIME=10m)
	go test -v -timeout 3h -run Soak ./internal/e2e -soak $(SOAKTIME) -sessions 200 -pushes 20000
	go test -v -timeout 1h -run 'TestSoak$$' ./jobs -jobs.soak=1050

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@git ls-files '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | while IFS=: read -r file target; do \
		go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" || exit 1; done

.PHONY: bench
bench: ## Run the benchmarks of PKG (./... when not given)
	go test -run '^$$' -bench . -benchmem $(or $(PKG),./...)

.PHONY: fmt
fmt: ## Format the Go code
	gofmt -w $$(git ls-files '*.go')

.PHONY: lint
lint: ## Vet and lint (golangci-lint as .ci/run installs it)
	go vet ./...
	golangci-lint run --timeout 10m ./...

.PHONY: typecheck
typecheck: ## Check the browser client's types (npm's typescript)
	npx --yes -p typescript tsc --noEmit -p live/client
	npx --yes -p typescript tsc --noEmit -p push/pushhttp/script

.PHONY: client
client: ## Build the browser client's bundle; needs neither Node nor npm
	go run ./internal/tools/clientbuild
	go run ./internal/tools/clientbuild -modules -dir push/pushhttp/script

.PHONY: verify
verify: client ## Check that formatting, go.mod and generated files are as they should be
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go mod verify
	go mod tidy -diff
	git diff --exit-code -- live/client push/pushhttp/script

.PHONY: new
new: ## Begin an application: DIR=../shop MODULE=example.com/shop
	@go run ./internal/tools/new '$(DIR)' '$(MODULE)'

.PHONY: module
module: ## Give the repository its final module path: PATH=host/owner/lastmile
	@go run ./internal/tools/module '$(MODULE_PATH)'

.PHONY: up
up: ## Start two web nodes, two workers, Redis and a proxy with Docker Compose
	docker compose up --build
