# Every step is written once, in .ci/run; the pinned versions stand here.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help test race vet fmt staticcheck fuzz benchmarks guard bench chaos ci

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 14

test: ## the tests
	.ci/run test

race: ## the tests under the race detector
	.ci/run race

vet: ## go vet, all modules
	.ci/run vet

fmt: ## formats the code
	gofmt -l -w $$(git ls-files '*.go')

staticcheck: ## staticcheck, all modules
	.ci/run staticcheck

fuzz: ## every fuzz target for a minute
	FUZZTIME=60s .ci/run fuzz

benchmarks: ## builds and tests the benchmarks module
	.ci/run benchmarks

guard: ## fails if the client has become slow
	.ci/run guard

bench: ## compares with other clients: a table of ratios
	cd benchmarks && go run .

chaos: ## the long random runs against servers that are killed and stopped
	CHAOS=1 MSM_CHAOS_REQUESTS=$${MSM_CHAOS_REQUESTS:-20000} go test -count=1 -timeout=60m -run Chaos ./msm/...

ci: ## all that CI runs
	.ci/run
