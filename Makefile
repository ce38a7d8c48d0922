# SPDX-License-Identifier: Apache-2.0
#
# Two commands do everything on a fresh Debian 12 machine, as root:
#
#	make demo     install what is missing, build, start, deploy two functions and call them
#	make test     install what the tests need, build, run them all
#
# Meson and ninja do the building; this file only names what people do.
# `make all` leaves everything that runs side by side in build/bin: the programs (mayfly,
# mayfly-daemon, mayfly-spawner and those that work inside a sandbox), runtimes/ and openapi.yaml.
# build/bin/mayfly works from there; nothing needs to be installed.

BUILD  ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60

.PHONY: all deps demo demo-stop test bench fuzz install format clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(NINJA_FLAGS)
	@packaging/stage.sh $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) $(MESON_FLAGS)

deps:
	@packaging/install-deps.sh

demo: deps
	@$(MAKE) --no-print-directory all
	@packaging/demo.sh

demo-stop:
	@packaging/demo.sh stop

test:
	@tests/run

bench:
	@packaging/install-deps.sh --bench
	@$(MAKE) --no-print-directory all
	@bench/run $(BENCH_FLAGS)

# Looks for new inputs that break a parser, FUZZ_SECONDS for each target.
fuzz:
	@tests/fuzz/run $(FUZZ_SECONDS)

install: all
	@packaging/install.sh $(BUILD) $(PREFIX) $(DESTDIR)

format:
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

clean:
	rm -rf build build-*
