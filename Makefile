# Common commands. Longer ones are in scripts/.

.PHONY: run test check fmt migrate openapi docs package bench timing conformance

run: ## Build the server and start it with a private Postgres
	cargo run --release --package usher-server -- server

test: ## Run all tests, after installing what they need
	scripts/setup
	scripts/test

conformance: ## Test sign-in through a certified OpenID Connect provider; needs Node
	scripts/conformance

check: ## Check formatting, spelling, lints and documentation, with warnings denied
	cargo fmt --all --check
	scripts/spelling
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --all-features --no-deps

fmt: ## Format the code
	cargo fmt --all

migrate: ## Migrate the database to the schema of this version
	cargo run --release --package usher-server -- migrate

openapi: ## Print the OpenAPI document
	@cargo run --quiet --package usher-server -- openapi

docs: ## Generate docs/configuration.md from the code
	UPDATE_DOCS=1 cargo test --package usher-server --test configuration

package: ## Build each library crate from its package alone
	scripts/package.sh

timing: ## Measure whether the time of a refused sign-in tells anything; takes minutes
	cargo build --release --package usher-server
	USHER_BINARY=$${CARGO_TARGET_DIR:-target}/release/usher cargo test --workspace --all-features --test timing -- --ignored --nocapture

bench: ## Measure the server; ARGS="me start" measures some of it, ARGS=--help says more
	cargo build --profile dist --package usher-server
	cargo build --release --package usher-bench
	target/release/usher-bench $(ARGS)
