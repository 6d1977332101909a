# otomi: `make help` lists the targets. Each does all of its set-up itself.

SHELL := /bin/sh
GO ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -ldflags "-X main.version=$(VERSION)"
TIMEOUT ?= 20m

.PHONY: help build test race lint check demo bench faults update clean deps playground helm parity helmfile-goldens fuzz fuzz-short

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: deps ## build bin/otomi
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -o bin/otomi ./cmd/otomi

test: build playground helm ## every test: unit, scripts, end to end on a real control plane (the race detector is on)
	OTOMI_PLAYGROUND="$$(sh cmd/playground/build)" OTOMI_HELM="$(CURDIR)/bin/helm" \
		$(GO) test -race -timeout $(TIMEOUT) ./...
	cd cmd/playground && CGO_ENABLED=0 GOFLAGS=-buildvcs=false $(GO) test -timeout $(TIMEOUT) ./e2e
	@$(MAKE) --no-print-directory fuzz-short
	@echo "the demo, from beginning to end (its output goes to dist/demo-test.log)"
	@mkdir -p dist; PLAYGROUND="$$(sh cmd/playground/build)" OTOMI="$(CURDIR)/bin/otomi" DEMO_DIR=dist/demo-test DEMO_STOP=1 \
		sh testdata/demo.sh >dist/demo-test.log 2>&1 || { cat dist/demo-test.log; exit 1; }

race: test ## the same as test: it always runs with the race detector

lint: deps ## gofmt, go vet, and go.mod in order
	@out="$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))"; test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) mod verify >/dev/null

check: lint ## lint, and goldens that are as the code writes them
	OTOMI_UPDATE=1 $(GO) test -count=1 -run 'TestScript|Golden' ./cmd/otomi ./pkg/... >/dev/null
	git diff --exit-code -- testdata pkg docs

demo: build playground ## the whole product in half a minute, on a real control plane on this machine
	@PLAYGROUND="$$(sh cmd/playground/build)" OTOMI="$(CURDIR)/bin/otomi" sh testdata/demo.sh

bench: build playground helm ## the figures of docs/performance.md
	OTOMI_PLAYGROUND="$$(sh cmd/playground/build)" OTOMI_BIN="$(CURDIR)/bin/otomi" OTOMI_HELM="$(CURDIR)/bin/helm" \
		$(GO) test -run '^$$' -bench . -benchmem -benchtime $${BENCHTIME:-2s} ./cmd/otomi ./pkg/...

faults: deps playground ## the whole fault suite, and its table of numbers (docs/reliability.md); FAULTS="-shard 0/4 -seed 7" for parts and other faults
	@mkdir -p dist
	OTOMI_PLAYGROUND="$$(sh cmd/playground/build)" \
		$(GO) test -count=1 -timeout 4h -v ./faults -args -all -table "$(CURDIR)/dist/faults.md" $(FAULTS)

fuzz: deps ## each fuzz target for a minute
	@for target in $$(grep -rhoE '^func Fuzz[A-Za-z]+' --include='*_test.go' $${FUZZDIRS:-pkg} | awk '{print $$2}'); do \
		dir="$$(dirname "$$(grep -rlE "^func $$target\(" --include='*_test.go' pkg)")"; \
		FUZZTIME=$${FUZZTIME:-60s} sh testdata/fuzz.sh "$(GO)" "$$target" "./$$dir" || exit 1; \
	done

fuzz-short: deps # those of YAML, merge, schema, state files, templates and rendering for 10 seconds each: part of `make test`
	@FUZZTIME=10s FUZZDIRS="pkg/yaml pkg/merge pkg/schema pkg/render pkg/runlevel pkg/template" $(MAKE) --no-print-directory fuzz

update: deps ## rewrite the goldens
	OTOMI_UPDATE=1 $(GO) test -count=1 -run 'TestScript|Golden' ./cmd/otomi ./pkg/...

playground: deps ## build the control plane once and cache it (about 5 minutes the first time)
	@sh cmd/playground/build >/dev/null

helm: deps # the helm CLI of the version that go.mod names, for the tests: it says of itself what Helm's own build does
	@test bin/helm -nt go.mod -a bin/helm -nt Makefile -a bin/helm -nt testdata/helm/go.sum || { echo "building helm (for the tests)" >&2; \
		version="$$($(GO) list -m -f '{{.Version}}' helm.sh/helm/v3)"; cd testdata/helm; \
		test "$$version" = "$$($(GO) list -m -f '{{.Version}}' helm.sh/helm/v3)" || \
			{ echo "go.mod has helm $$version: (cd testdata/helm && go get helm.sh/helm/v3@$$version && go mod tidy)" >&2; exit 1; }; \
		minor="$$($(GO) list -m -f '{{.Version}}' k8s.io/client-go | cut -d . -f 2)"; \
		$(GO) build -ldflags "-X helm.sh/helm/v3/internal/version.version=$$version \
			-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$$minor" \
			-o ../../bin/helm helm.sh/helm/v3/cmd/helm; }

parity: helm ## record anew what helm prints for the charts of pkg/render/testdata/parity
	@sh pkg/render/testdata/parity/record

helmfile-goldens: helm ## record anew what helmfile prints and does for what is in testdata/helmfile (builds helmfile)
	@test -n "$$HELMFILE" || { mkdir -p dist && cd testdata/helmfile/tool && \
		GOFLAGS=-mod=mod $(GO) build -o ../../../dist/helmfile github.com/helmfile/helmfile; }
	@export HELMFILE="$${HELMFILE:-$(CURDIR)/dist/helmfile}"; \
		sh testdata/helmfile/record.sh && sh testdata/helmfile/functions/record.sh && sh testdata/helmfile/hooks/record.sh

clean: ## remove what make built here (the cached control plane stays: see cmd/playground/build)
	rm -rf bin dist

deps: # install what is missing on Debian, name it elsewhere
	@sh .ci/deps
