# Two commands do everything on a fresh Debian with Go: make demo, make test.

GO ?= go

.PHONY: build demo test matrix bench war screenshots lint setup setup-tests setup-bench

build: ## bin/bindgate
	$(GO) build -o bin/bindgate ./cmd/bindgate

demo: setup build ## everything on this machine, until Ctrl-C
	@ulimit -n $$(ulimit -Hn) 2>/dev/null; exec bin/bindgate demo

test: setup-tests ## every test, with the race detector; CI=1 makes a missing server a failure
	@ulimit -n $$(ulimit -Hn) 2>/dev/null; exec $(GO) run ./internal/testrun -race -count=1 -timeout=20m ./...

matrix: setup-tests ## each scenario on each server, with those that make test leaves out; the table is docs/matrix.md
	@ulimit -n $$(ulimit -Hn) 2>/dev/null; BINDGATE_SERVERS=all BINDGATE_MATRIX=docs/matrix.md exec $(GO) run ./internal/testrun -count=1 -timeout=30m ./xmppbridge/conformance ./internal/e2e

bench: setup-bench ## the figures, as a table and as bench.json
	@ulimit -n $$(ulimit -Hn) 2>/dev/null; exec $(GO) run ./internal/bench

war: setup ## 1,000 trials of takeover protection, about six minutes
	@ulimit -n $$(ulimit -Hn) 2>/dev/null; exec $(GO) run ./internal/war/run

screenshots: setup-tests ## every page of the dashboard into screenshots/, those of the README into docs/screenshots/
	@ulimit -n $$(ulimit -Hn) 2>/dev/null; exec $(GO) test -count=1 -run '^TestEveryPage$$' -timeout 20m ./internal/pages -pictures $(CURDIR)/screenshots -readme $(CURDIR)/docs/screenshots

lint: ## needs golangci-lint v2
	golangci-lint run

setup: ## installs what is missing from Debian
	@deploy/setup.sh

setup-tests:
	@deploy/setup.sh --tests

setup-bench:
	@deploy/setup.sh --bench
