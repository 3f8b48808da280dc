# make help lists what there is.

CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
CC_FOUND := $(shell command -v $(shell go env CC))
# Where goroutines meet, with the detector, where a C compiler is found. Of them, what stores have to do at length, and what
# measures memory, is done without it.
RACY     := ./proxy ./session ./jwks ./ratelimit ./middleware ./store/memory ./store/sqlite ./internal/tokencache ./internal/spa
RACES    := Parallel|Racing|Seeded|Bound|Bind|F07|Cache|News|Outage|Freeze|Upstream|Batch|Watch|Spend
UNRACED  := TestContract|TakesNoMemory
# What runs without the detector: everything, or what does not run with it.
PLAIN    := $(if $(CC_FOUND),$(foreach pkg,$(RACY),-e '^$(subst ./,github.com/tokenjar/tokenjar/,$(pkg))$$'))
FUZZTIME ?= 30s
# What drives whole programs from outside. The nodes themselves are built with the race detector.
DRIVERS  := -e '/internal/torture$$' -e '/internal/cli$$' -e '/test/nodes$$' -e '/test/vite$$'

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## the binary, as ./tokenjar
	go build -o tokenjar ./cmd/tokenjar

# The Go tests wait for the disk and for processes half of their time, so the others run beside them.
.PHONY: test
test: ## all tests; what is missing on this machine is skipped with a sentence
	@$(MAKE) --no-print-directory -j2 go-test others
	@$(MAKE) --no-print-directory browser

.PHONY: others
others:
	@$(MAKE) --no-print-directory client && $(MAKE) --no-print-directory driver-test && $(MAKE) --no-print-directory examples && \
	$(MAKE) --no-print-directory peers

.PHONY: go-test
go-test: ## the Go tests; those where goroutines meet with the race detector, where a C compiler is found
	go test ./store/postgres $$(go list ./... | grep -v $(DRIVERS) -e /store/postgres $(PLAIN))
	@echo "race detector: $(if $(CC_FOUND),on,off (no C compiler found))"
	$(if $(CC_FOUND),go test -run '$(UNRACED)' ./store/memory ./store/sqlite ./proxy)
	$(if $(CC_FOUND),CGO_ENABLED=1 go test -race -skip TestContract $(RACY))
	$(if $(CC_FOUND),CGO_ENABLED=1 go test -race -run '$(RACES)' . ./store/postgres)

.PHONY: race
race: ## all Go tests with the race detector: twenty minutes
	CGO_ENABLED=1 go test -race ./...

.PHONY: driver-test
driver-test: ## what drives whole programs from outside
	go test ./internal/torture ./internal/cli ./test/nodes ./test/vite

.PHONY: examples
examples: ## build and test the examples
	cd examples && go vet ./... && go test ./...

.PHONY: peers
peers: ## our tokens against golang-jwt, go-jose and jwx
	cd test/peers && go test ./...

.PHONY: browser
browser: ## the browser test, where Chromium and Node are found
	@skip() { echo "browser test skipped: $$1"; [ -z "$$TOKENJAR_REQUIRE_ALL" ]; exit; }; \
	[ -n "$(CHROMIUM)" ] || skip "it needs Chromium"; \
	command -v node >/dev/null && command -v npm >/dev/null || skip "it needs Node and npm"; \
	[ -d test/browser/node_modules ] || (cd test/browser && npm ci --no-audit --no-fund) || skip "its packages cannot be installed"; \
	$(MAKE) --no-print-directory client-build || skip "the client cannot be built"; \
	go build -o test/browser/node_modules/.tokenjar ./cmd/tokenjar && cd test/browser && \
	CHROMIUM="$(CHROMIUM)" TOKENJAR_BIN="$$PWD/node_modules/.tokenjar" node --test --test-reporter=spec

.PHONY: client-build
client-build:
	@[ -d client/node_modules ] || (cd client && npm ci --no-audit --no-fund)
	@cd client && npm run --silent build

.PHONY: browsers
browsers: client-build ## locks, cookies and the back/forward cache in Firefox and WebKit (firefox-esr, webkit2gtk-driver, xvfb)
	@[ -d test/browsers/node_modules ] || (cd test/browsers && npm ci --no-audit --no-fund)
	cd test/browsers && node --test --test-reporter=spec

.PHONY: browser-figures
browser-figures: client-build ## refresh calls for an expiry, and what an expired token costs a request
	@[ -d test/browser/node_modules ] || (cd test/browser && npm ci --no-audit --no-fund)
	CHROMIUM="$(CHROMIUM)" node test/browser/figures.mjs

# Where nothing may be missing, the page's copy is not made anew, so that a test finds it to be old.
.PHONY: client
client: ## the TypeScript client: packages, types, tests, build, size and the copy in the embedded page, where Node is found
	@skip() { echo "client skipped: $$1"; [ -z "$$TOKENJAR_REQUIRE_ALL" ]; exit; }; \
	command -v node >/dev/null && command -v npm >/dev/null || skip "it needs Node and npm"; \
	cd client && { [ -d node_modules ] || npm ci --no-audit --no-fund || skip "its packages cannot be installed"; } && \
	go build -o node_modules/.tokenjar ../cmd/tokenjar && \
	npm run build && npm run typecheck && \
	{ [ -n "$$TOKENJAR_REQUIRE_ALL" ] || npm run asset; } && \
	TOKENJAR_BIN="$$PWD/node_modules/.tokenjar" npm test && npm run size

.PHONY: spa
spa: ## the client's adapters, the example applications in a real browser, and their tutorial, where Chromium and Node are found
	@skip() { echo "spa test skipped: $$1"; [ -z "$$TOKENJAR_REQUIRE_ALL" ]; exit; }; \
	[ -n "$(CHROMIUM)" ] || skip "it needs Chromium"; \
	command -v node >/dev/null && command -v npm >/dev/null || skip "it needs Node and npm"; \
	for dir in client test/browser test/spa; do [ -d $$dir/node_modules ] || npm --prefix $$dir ci --no-audit --no-fund || skip "its packages cannot be installed"; done; \
	npm --prefix client run build && npm --prefix client test -- react vue ssr installed && \
	for dir in examples/spa-react examples/spa-vue; do (cd $$dir && npm ci --no-audit --no-fund && npm run build) || exit; done && \
	go build -o test/spa/node_modules/.tokenjar ./cmd/tokenjar && (cd examples && go build -o ../test/spa/node_modules/.spa-api ./spa-api) && \
	(cd test/spa && CHROMIUM="$(CHROMIUM)" TOKENJAR_BIN="$$PWD/node_modules/.tokenjar" SPA_API="$$PWD/node_modules/.spa-api" node --test --test-reporter=spec) && \
	cd examples && TOKENJAR_SPA_TUTORIAL=1 go test -run Application .

.PHONY: screenshot
screenshot: ## take the README's pictures of the demo page anew
	mkdir -p docs/images
	TOKENJAR_SCREENSHOT_DIR="$(CURDIR)/docs/images" $(MAKE) browser

.PHONY: check
check: ## formatting, vet, and whether go.mod is tidy
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./... && go mod tidy -diff
	cd examples && go vet ./... && go mod tidy -diff
	cd test/peers && go vet ./... && go mod tidy -diff

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 30s) each
	@go list ./... | while read -r pkg; do \
	  go test -list '^Fuzz' $$pkg | grep '^Fuzz' | while read -r name; do \
	    echo "== $$pkg $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done || exit 1; \
	done

.PHONY: bench
bench: ## the benchmarks, each against the bare thing in the same run
	go test -run '^$$' -bench . -benchmem -count 3 ./...

.PHONY: peers-bench
peers-bench: ## the tables of docs/performance.md about tokens, beside golang-jwt, go-jose and jwx
	cd test/peers && go test -run '^$$' -bench . -benchtime 1x

.PHONY: figures
figures: ## the tables of docs/performance.md that are taken from outside; PARTS=suite, requests, proxy, streams, rows, sustained, prune, million or nodes for others
	go run ./test/figures $(PARTS)

.PHONY: sabotage
sabotage: ## weaken the product, an edit at a time, and see a named test fail; RUN=regexp for some of the edits
	go run ./test/sabotage $(if $(RUN),-run '$(RUN)')

.PHONY: crash
crash: ## kill -9 in mid-storm, many rounds (TOKENJAR_CRASH_ROUNDS, default 200)
	TOKENJAR_CRASH_ROUNDS=$${TOKENJAR_CRASH_ROUNDS:-200} go test -run 'Kill|Crash' -timeout 60m -v ./store/sqlite

.PHONY: stress
stress: ## races by seed, parallel rotations, histories, spellings through the proxy and killed processes, TOKENJAR_STRESS (default 100) times as long as in the tests
	TOKENJAR_STRESS=$${TOKENJAR_STRESS:-100} go test -run 'Parallel|Seeded|Histories|RacingAHundred' -timeout 6h -v . ./internal/server
	TOKENJAR_STRESS=$${TOKENJAR_STRESS:-100} go test -run 'F01|F02|T02|T11' -timeout 24h -v ./test/nodes
