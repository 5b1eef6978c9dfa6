# SPDX-License-Identifier: MIT
#
# A thin face over CMake and its presets; `make help` lists what there is.
.POSIX:
.PHONY: all help deps test demo asan tsan fuzz check models mutants soak soak-full bench
.PHONY: bench-quick bench-growth install clean

DATA =
PREFIX = /usr/local
SECONDS =
ROUNDS = 20
SEEDS = 100000
FROM = 1
PEERS = ../shared/peers

all: ## build what is released, in build/release
	@tools/build release

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 12

deps: ## install what is missing (Debian, Ubuntu)
	@tools/deps

test: ## install what is missing, build, run all tests
	@tools/deps || { echo "0 passed, 1 failed"; exit 1; }
	@tools/test dev

demo: ## install what is missing, build, run the gate; DATA=dir adds HL7 files
	@tools/deps
	@tools/build release gate ward_cli
	@DATA='$(DATA)' examples/gate/demo.sh build/release '$(DATA)'

asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/test asan

tsan: ## race and simulation tests under ThreadSanitizer
	@tools/test tsan

fuzz: ## each fuzzer for SECONDS=60
	@tools/fuzz $(SECONDS)

check: ## all of CI, the format and the lint, here
	@tools/check

models: ## all checks of the models with spin; the longest takes minutes and 6 GiB
	@bad=0; for m in tests/models/*.pml; do tests/models/run.sh $$m all || bad=1; done; exit $$bad

mutants: ## plant mistakes in the sources and see the tests find them; half an hour
	@tools/mutants

soak-full: ## a mailbox kept full for SECONDS=3600, then ten million questions
	@tools/build release ward-bench race_ask
	@seconds='$(SECONDS)'; W=2 build/release/bin/ward-bench full 64 $${seconds:-3600}
	@build/release/tests/race_ask 10

soak: ## each simulation SEEDS=100000 times FROM=1 on, the rest ROUNDS=20 times; soak-full
	@tools/soak $(SEEDS) $(FROM) $(ROUNDS)
	@$(MAKE) soak-full SECONDS='$(SECONDS)'

bench: ## measure beside the peers in PEERS=dir, 5 rounds; writes docs/performance.md
	@tools/bench --peers '$(PEERS)'

bench-quick: ## one round with small numbers, nothing is written
	@tools/bench --quick --peers '$(PEERS)'

bench-growth: ## what an actor costs among a thousand to a million; writes docs/performance.md
	@tools/bench-growth

install: all ## into PREFIX=/usr/local
	cmake --install build/release --prefix '$(PREFIX)'

clean: ## remove what the presets built
	rm -rf build/dev build/release build/asan build/tsan build/cov build/fuzz build/bench build/peers
