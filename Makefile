# `make help` lists what there is. CI calls these targets and nothing else, so what passes here passes there.
SHELL := /bin/bash
CARGO ?= cargo
BIN := target/debug/cocoasyncer
PREFIX ?= $(HOME)/.local
.DEFAULT_GOAL := help

.PHONY: help build run demo test test-cluster bench fuzz generate docs check lint fmt install-plugin clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the program
	$(CARGO) build --locked

.PHONY: version static image image-test sbom dist

version: ## Print the version
	@sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1

static: ## Build the program without any library of the system's beside it
	scripts/static.sh

image: ## Build the image into the local Docker engine; needs no registry
	scripts/image.sh

image-test: ## Test the image on the local Docker engine
	COCOA_TEST_IMAGE=$$(scripts/image.sh) $(CARGO) test --locked --test it -- image::

sbom: ## Print what the program is made of (CycloneDX)
	@python3 scripts/sbom.py

dist: ## Put what a release consists of into target/dist
	scripts/dist.sh

run: build ## Run two sites on this machine: control planes, v1 API, DNS per line
	scripts/run.sh $(BIN)

demo: build ## Start three sites, kill one, and watch DNS follow by real queries
	$(BIN) demo

test: build test-cluster ## Run all tests
	$(CARGO) test --locked

test-cluster: ## Run the operator in a cluster: the embedded one, or COCOA_TEST_KUBECONFIG's
	$(CARGO) test --locked --test cluster -- --test-threads 12

bench: ## Measure what the project promises, as ratios against a baseline of the same run
	$(CARGO) bench --locked --bench figures

fuzz: ## Throw hostile texts at the readers of templates, a minute each
	scripts/fuzz.sh

generate: build ## Print the generated files anew
	$(BIN) crd --write crds
	$(BIN) crd --write charts/cocoasyncer/files/crds
	$(BIN) rbac --write charts/cocoasyncer/files/rbac.yaml
	scripts/chart-readme.sh > charts/cocoasyncer/README.md
	scripts/chart-readme.sh --page > docs/operations/values.md
	scripts/manifests.sh $(BIN)
	$(BIN) docs --write docs/reference

docs: ## Build the documents as a book under target/book, where mdbook is installed
	@command -v mdbook >/dev/null || { echo 'mdbook is not installed: cargo install mdbook'; exit 1; }
	mdbook build docs

lint: ## Formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt: ## Format the code
	$(CARGO) fmt

check: lint ## What every commit keeps green: lints, unit tests, architecture, generated files
	$(CARGO) test --locked --lib
	$(CARGO) test --locked --test it -- tidy:: fresh:: book::

install-plugin: build ## Link `kubectl cocoa` and its completion into PREFIX/bin (PREFIX is ~/.local)
	mkdir -p $(PREFIX)/bin
	ln -sf $(abspath $(BIN)) $(PREFIX)/bin/kubectl-cocoa
	ln -sf $(abspath scripts/kubectl_complete-cocoa) $(PREFIX)/bin/kubectl_complete-cocoa

clean: ## Remove what was built and the data of `make run`
	$(CARGO) clean
	rm -rf data
