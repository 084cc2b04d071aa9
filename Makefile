# What there is to do, each in one command. make help lists it.
.PHONY: help build test lint check bench docs bundle release-check
.DEFAULT_GOAL := help

help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the program, as ./heffl-mcp
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o heffl-mcp .

test: ## the tests, without what takes long
	go test -short ./...

lint: ## vet, and golangci-lint where it is installed
	go vet ./...
	golangci-lint run

check: ## all that must stay true: what a change must pass
	bash .ci/run

bench: ## measure the program beside a bare server and a direct client
	go run ./bench

docs: ## write anew what the documents take from the program
	go test . -run '^Test(Readme|Bundle|Architecture|Scripts)' -update

bundle: ## the bundle for desktop clients, and server.json: in build
	bash .ci/bundle

release-check: ## a release of the last commit, made twice and published nowhere: in dist
	bash .ci/release
