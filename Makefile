# The interface of this repository: `make help`. CI calls the same targets.
SHELL := /bin/sh
BENCH ?=

.PHONY: help build runtime deps demo test lint bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

runtime: ## install ONNX Runtime's library into .cache/
	@sh scripts/need cargo cc python3
	@sh scripts/onnxruntime

build: ## build the tidegate binary (dev profile)
	@sh scripts/need cargo cc
	cargo build -p tidegate

demo: runtime ## a year of real flights in, fused predictions out
	cargo run -p tidegate -- demo

deps: runtime ## install what the tests need: Redis, strace, the Feast client
	@sh scripts/test-deps

test: deps ## run all tests
	sh scripts/run-tests

lint: ## formatting, clippy with warnings denied, crate edges, file sizes
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --test house

bench: runtime ## run one bench: make bench BENCH=predict
	@test -n "$(BENCH)" || { echo "which bench? make bench BENCH=<name>; names: $$(cd benches/src/bin && ls *.rs | sed 's/\.rs//' | tr '\n' ' ')"; exit 2; }
	@sh scripts/bench $(BENCH)
