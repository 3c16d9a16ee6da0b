# What people type. `make test` is what CI runs.
.PHONY: demo test fmt lint bench

demo:
	cargo build --quiet --package kubespray
	./scripts/demo target/debug/kubespray

test:
	./scripts/test

fmt:
	cargo fmt --all

lint:
	cargo clippy --workspace --all-targets -- -D warnings

bench:
	cargo bench --package kubespray-spec
	./scripts/bench
