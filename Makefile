# SPDX-License-Identifier: Apache-2.0
# The entry to Farlane. `make` alone lists what there is. Everything that is built lands in build/;
# programs in build/release/bin.

JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
SETUP   ?= yes
PREFIX  ?= /usr/local
DESTDIR ?=
RELEASE := build/release

export FARLANE_JOBS := $(JOBS)
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help setup configure build demo demo-native examples test test-long bench bench-gpu gpu-bundle bench-guest check format install clean qemu-test qemu-shell qemu-kernels qemu-debug-kernel

help:
	@echo 'Farlane: PCIe functions of another machine, over Ethernet, in software.'
	@echo
	@echo '  make setup      install the Debian packages that are missing (sudo when not root)'
	@echo '  make build      build everything; programs in $(RELEASE)/bin'
	@echo '  make demo       a virtual machine whose stock drivers use a remote NVMe; the remote accelerator at work'
	@echo '                  PICTURE=path (PNG or PPM to filter)  KERNEL=6.1|6.12'
	@echo '  make demo-native  without a virtual machine: two daemons here, the same devices from user space'
	@echo '                  PICTURE=path  PORT=udp|dpdk'
	@echo '  make examples   programs for the accelerator (docs/examples/accel), their results checked; half a minute'
	@echo '                  EXAMPLE_ARGS="--executor cuda" goes to each of them'
	@echo '  make test       build, then the tests: style, release, fuzz (asan+ubsan), guests in the testbed; about 40 minutes'
	@echo '                  STAGES="style release testbed nodpdk fuzz asan tsan" picks some of them, STAGES=all takes all: about 75'
	@echo '  make test-long  all stages, with fuzz 60 s each, the long simulations and all guest tests'
	@echo '  make bench      benchmarks beside the limits of this machine and its peers, and their plots; about eight minutes'
	@echo '                  BENCH_ARGS="--only rtt,posted --ports vhost --compare old.json" goes to farlane-bench'
	@echo '  make bench-gpu  checks and measures the CUDA executor on an NVIDIA GPU of this machine (bench/README.md)'
	@echo '  make gpu-bundle the same, built here, as a folder to carry to a machine with a GPU (build/gpu-bundle/run.sh)'
	@echo '  make bench-guest  benchmarks of the driver, in a virtual machine (docs/performance.md)'
	@echo '                  GUEST_ARGS="--parts trap --kernel 6.12"'
	@echo '  make check      static checks: format, cppcheck, shellcheck, style'
	@echo '  make format     clang-format over all sources'
	@echo '  make qemu-test  tests in virtual machines with stock kernels (docs/testbed.md)'
	@echo '                  KERNEL=6.1|6.12|both  TESTS="boot userland" picks some of them'
	@echo '  make qemu-shell log in to a virtual machine with Farlane and a remote NVMe and accelerator'
	@echo '                  TOPOLOGY=one|two|mesh  KERNEL=6.1|6.12  ARGS="--add FILE --gdb i0 ..."'
	@echo '  make qemu-kernels  fetch the stock kernels (by themselves at the first run); lists them'
	@echo '  make qemu-debug-kernel  build kernels with KASAN, lockdep, kmemleak and KUnit, once;'
	@echo '                  KERNEL=6.1|6.12|both, then: make qemu-test KERNEL=6.1-debug'
	@echo '  make install    install into DESTDIR/PREFIX (PREFIX=$(PREFIX))'
	@echo '  make clean      remove build/'
	@echo
	@echo 'Variables: JOBS=$(JOBS)  SETUP=no skips the package check  DESTDIR  PREFIX'

setup:
ifeq ($(SETUP),yes)
	@bash sdk/tools/setup/setup.sh
endif

configure: setup
	@test -f $(RELEASE)/build.ninja || cmake --preset release

build: configure
	@cmake --build --preset release --parallel $(JOBS)

ifneq ($(and $(PORT),$(filter demo,$(MAKECMDGOALS))),)
$(error PORT is of 'make demo-native': 'make demo' has an emulated network of its own)
endif
demo: build
	@qemu/testbed demo --kernel '$(or $(KERNEL),6.1)' $(if $(PICTURE),--picture '$(PICTURE)')

demo-native: build
	@bash sdk/tools/demo/demo.sh --bin $(RELEASE)/bin $(if $(PORT),--port '$(PORT)') $(if $(PICTURE),--picture '$(PICTURE)')

examples: build
	@bash docs/examples/accel/run.sh $(RELEASE)/bin build/examples $(EXAMPLE_ARGS)

test: setup
	@bash tests/run.sh $(STAGES)

test-long: setup
	@bash tests/run.sh --long $(STAGES)

bench: build
	@mkdir -p bench/results
	@$(RELEASE)/bench/farlane-bench $(BENCH_ARGS)
	@python3 bench/plots/plot.py

# By itself: a machine with a GPU needs no DPDK for it, and neither root nor network.
bench-gpu:
	@cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFARLANE_DPDK=OFF
	@cmake --build build/gpu --parallel $(JOBS) --target farlane_bench_gpu accel_cuda_test
	@mkdir -p bench/results
	@build/gpu/tests/accel_cuda_test --gtest_brief=1
	@build/gpu/bench/farlane-bench-gpu --out bench/results/gpu.json || [ $$? -eq 77 ]

# For a GPU machine that has nothing to build with.
gpu-bundle:
	@mkdir -p build
	@JOBS=$(JOBS) bash bench/gpu/bundle.sh build/gpu-bundle-build build/gpu-bundle

bench-guest: build
	@mkdir -p bench/results
	@bench/guest/bench.py $(GUEST_ARGS)

check: configure
	@bash tests/style/static.sh $(RELEASE)

format: setup
	@bash tests/style/format.sh --write

qemu-test: build
	@qemu/testbed test --kernel '$(or $(KERNEL),both)' $(TESTS)

qemu-shell: build
	@qemu/testbed shell $(or $(TOPOLOGY),one) --kernel '$(or $(KERNEL),6.1)' $(ARGS)

qemu-kernels: setup
	@qemu/testbed kernels

qemu-debug-kernel: setup
	@qemu/testbed debug-kernel --kernel '$(or $(KERNEL),both)'

install: build
	@DESTDIR='$(DESTDIR)' cmake --install $(RELEASE) --prefix '$(PREFIX)'

clean:
	rm -rf build
