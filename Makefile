# SPDX-License-Identifier: BSD-2-Clause
# A thin front of Meson: the build is described in meson.build. `make help` lists the targets.

BUILD ?= build
MESON ?= $(firstword $(wildcard /usr/bin/meson) meson)
PREFIX ?= /usr/local
SETUP_ARGS ?=

.DELETE_ON_ERROR:
.PHONY: all demo check bench fuzz install clean help setup

all: $(BUILD)/build.ninja
	@$(MESON) compile -C $(BUILD) programs

# A directory left half-configured by a failed run is configured afresh.
$(BUILD)/build.ninja:
	@rm -rf $(BUILD)/meson-private
	@$(MESON) setup --prefix=$(PREFIX) $(SETUP_ARGS) $(BUILD) || \
		{ todo=$$(scripts/setup --check) || echo "make: not installed:" $$todo "(make setup installs all)" >&2; exit 1; }

setup:
	@scripts/setup

demo: setup
	@$(MAKE) --no-print-directory all
	@scripts/demo

check: setup
	@$(MAKE) --no-print-directory all
	@scripts/check $(BUILD)

bench: setup
	@$(MAKE) --no-print-directory all
	@scripts/bench

fuzz: setup
	@scripts/fuzz

# A PREFIX given now counts, even where the build was configured with another.
install: all
	@$(if $(filter-out file,$(origin PREFIX)),$(MESON) configure --prefix=$(PREFIX) $(BUILD) && $(MESON) compile -C $(BUILD) programs)
	@$(MESON) install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) build-fuzz

help:
	@echo 'make           build; leaves build/vj, build/vj-tools, build/vjd, build/libvj.so, build/libvj-preload.so'
	@echo 'make demo      install missing packages, build, run redis over the kernel and over a channel'
	@echo 'make check     install missing packages, build, run every test'
	@echo 'make bench     build, run every benchmark beside the kernel and others; writes docs/benchmarks'
	@echo 'make fuzz      fuzz each decoder for FUZZ_SECONDS (default 60), with clang'
	@echo 'make install   install under PREFIX (default /usr/local), honours DESTDIR'
	@echo 'make setup     install missing packages only'
	@echo 'make clean     remove what was built'
