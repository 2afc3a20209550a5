# What people type; CMake (CMakePresets.json) does the building. `make help` lists the targets.
BUILD := build
JOBS := $(shell nproc 2>/dev/null || echo 2)
SET ?= quick
SECONDS ?= 60
MINUTES ?= 5

.PHONY: all deps demo stop test bench interop soak mutants fuzz lint clean help
.DEFAULT_GOAL := all

all: deps ## build build/weir (release)
	@[ -f $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@cmake --build --preset release --target weir -j $(JOBS)

deps: ## install the Debian and npm packages that are missing
	@tools/deps

demo: all ## start the athlete lake with generated events and show it; FILES="a.fit b.csv" adds yours, KEEP=no stops it at the end
	@tools/demo start

stop: ## stop what `make demo` left running
	@tools/demo stop

test: deps ## unit tests, fuzz corpora, the same under address and undefined sanitizers, the page's tests
	@tests/run

bench: all ## run bench/ against the release build; ONLY="ingest query" picks some
	@bench/run $(ONLY)

interop: deps ## other engines read weir's files and weir theirs: SET=quick (PyIceberg, DuckDB) or SET=full (Spark, Trino too); ONLY="NAME..." runs those judges
	@tools/deps interop-$(SET)
	@tests/interop/run $(SET) $(ONLY)

soak: deps ## two weir writers, one of them killed again and again, and Spark (PEER="pyiceberg duckdb": those) on one table for MINUTES=5
	@tools/deps interop-full
	@cmake --preset dev >/dev/null && cmake --build --preset dev --target weir soak_writer
	@tests/soak/run $(MINUTES)

mutants: deps ## each patch of tests/mutants breaks one guard; its test must fail. ONLY=regex picks some
	@tools/deps mutants
	@tests/mutants/run "$(ONLY)"

fuzz: deps ## libFuzzer on every parser, SECONDS=60 for each (needs clang)
	@tools/deps fuzz
	@tests/fuzz/run $(SECONDS)

lint: ## clang-format and clang-tidy, where they are installed
	@tools/lint

clean: stop ## stop the demo, and remove all that was built or installed here
	rm -rf $(BUILD) web/dist web/build web/node_modules third_party/duckdb/node_modules
	@find tools tests bench -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  %-9s %s\n' "$$name" "$$text"; done
