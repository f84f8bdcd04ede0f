# Sources are found, not listed: to add a file, a guest or a test, create it.
#
#   make run [DISK=FILE] [CFG=FILE]  boot the image that CFG (grub.cfg) describes
#   make test              everything that must hold; ends in "N passed, N failed"
#   make help              the other targets

B       := build
VERSION := 0.1

# ---- Packages: the one list. -------------------------------------------
PACKAGES := gcc libc6-dev make nasm binutils clang libclang-rt-14-dev \
  grub-pc-bin grub-efi-amd64-bin grub-common xorriso mtools qemu-system-x86 \
  seabios ovmf check \
  pkg-config libsubunit-dev libxen-dev libjansson-dev liblz4-dev libncurses-dev \
  e2fsprogs jq gdb xz-utils g++ relacy-dev spin scdoc
# Of the list, what only `make bench-rings` needs: DPDK brings a hundred more.
PACKAGES_BENCH_RINGS := libck-dev libdpdk-dev valgrind

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
ifneq ($(V),1) # V=1 shows the commands
.SILENT:
endif

# ---- Flags. --------------------------------------------------------------
CC    ?= gcc
ifeq ($(origin CC),default)
CC    := gcc
endif
WARN  := -Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wstrict-prototypes \
  -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wimplicit-fallthrough
COMMON := -std=gnu11 -O2 -g -I. -D__XEN_INTERFACE_VERSION__=0x00040e00 \
  -DBELFRY_VERSION='"$(VERSION)"' $(WARN) -MMD -MP
FREE  := $(COMMON) -ffreestanding -fno-stack-protector -fno-omit-frame-pointer \
  -mno-red-zone -mgeneral-regs-only -fno-asynchronous-unwind-tables \
  -fcf-protection=none -fno-common
HVFLAGS    := $(FREE) -fomit-frame-pointer -fpie -include hv/x86/hidden.h
GUESTFLAGS := $(FREE) -fno-pie
HOSTFLAGS  := $(COMMON) -D_GNU_SOURCE
STRICT     := -Wconversion -Wsign-conversion

obj = $(patsubst %,$(B)/$(1)/%.o,$(basename $(2)))

# ---- The hypervisor. -------------------------------------------------------
LIB_C   := $(wildcard lib/*.c)
HV_C    := $(filter-out hv/x86/asm_offsets.c,$(wildcard hv/*.c hv/x86/*.c))
HV_ASM  := $(wildcard hv/x86/*.asm)
HV_OBJ  := $(call obj,hv,$(HV_C) $(LIB_C) $(wildcard evtchn/*.c)) \
  $(patsubst %,$(B)/hv/%.o,$(HV_ASM))

$(B)/hv/hv/x86/asm_offsets.inc: hv/x86/asm_offsets.c
	@mkdir -p $(@D)
	gcc $(HVFLAGS) -MF $(@:.inc=.d) -MT $@ -S $< -o - | \
	  sed -n 's/^\t@define \([A-Za-z0-9_]*\) \$$*/%define \1 /p' > $@
$(B)/hv/%.asm.o: %.asm $(B)/hv/hv/x86/asm_offsets.inc
	@mkdir -p $(@D)
	nasm -felf64 -g -Fdwarf -I$(B)/hv/hv/x86/ -MD $(@:.o=.d) $< -o $@
$(B)/hv/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HVFLAGS) $(if $(filter evtchn/%,$<),$(STRICT)) -c $< -o $@
$(B)/hv/belfry.lds: hv/x86/belfry.lds.S hv/x86/layout.h
	@mkdir -p $(@D)
	gcc -E -P -x c -I. -D__LINKER__ $< -o $@

# Called with the guest's registers saved, and free for its use (gcc's flag).
ifeq ($(findstring clang,$(CC)),)
$(B)/hv/hv/x86/handoff.o: HVFLAGS += $(patsubst %,-fcall-used-%,rbx r12 r13 r14 r15)
endif

# Programs are linked twice: the second time with the list of the functions of
# the first result, $(1), as $(1).symbols.o, for backtraces.
LD := ld -static -no-pie -nostdlib -z max-page-size=4096 -z noexecstack \
  --no-warn-rwx-segments --build-id=none
define list_symbols
nm $(1) | grep -i ' t ' | sort > $(1).symbols
	objcopy -I binary -O elf64-x86-64 --rename-section \
	  .data=.symbols,alloc,load,readonly,data,contents $(1).symbols $(1).symbols.o
endef
$(B)/belfry.debug: $(HV_OBJ) $(B)/hv/belfry.lds
	$(LD) -T $(B)/hv/belfry.lds $(HV_OBJ) -o $@
	$(call list_symbols,$@)
	$(LD) -T $(B)/hv/belfry.lds $(HV_OBJ) $@.symbols.o -o $@
$(B)/belfry.elf: $(B)/belfry.debug
	objcopy --strip-all $< $@

# ---- Guests: one directory each; guests/lib, rings and lib as one library. --
GUEST_DIRS  := $(filter-out guests/lib/ guests/drivers/,$(wildcard guests/*/)) \
  $(dir $(wildcard tests/guest/*/*.c tests/conformance/*/*.c))
GUEST_NAMES := $(sort $(notdir $(patsubst %/,%,$(GUEST_DIRS))))
GUESTS      := $(GUEST_NAMES:%=$(B)/guests/%.elf)
GLIB_SRC    := $(wildcard guests/lib/*.c guests/drivers/*.c rings/*.c links/*.c) $(LIB_C)
GLIB_ASM    := $(wildcard guests/lib/*.asm)
GLIB_OBJ    := $(call obj,guest,$(GLIB_SRC)) $(patsubst %,$(B)/guest/%.o,$(GLIB_ASM))

$(B)/guest/%.asm.o: %.asm
	@mkdir -p $(@D)
	nasm -felf64 -g -Fdwarf -MD $(@:.o=.d) $< -o $@
$(B)/guest/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUESTFLAGS) $(if $(filter rings/% links/%,$<),$(STRICT)) -c $< -o $@
$(B)/libguest.a: $(GLIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

# $(1) the guest's name: its directory is in guests/ or tests/guest/.
GUEST_LD := $(LD) -T guests/lib/guest.lds -u guest_start \
  --whole-archive $(B)/guest/guests/lib/entry.asm.o --no-whole-archive
define guest_rule
$(B)/guests/$(1).elf: $(call obj,guest,$(wildcard guests/$(1)/*.c tests/guest/$(1)/*.c \
      tests/conformance/$(1)/*.c) $(if $(wildcard tests/conformance/$(1)),$(wildcard tests/conformance/*.c))) \
    $(B)/libguest.a guests/lib/guest.lds
	@mkdir -p $$(@D)
	$$(GUEST_LD) $$(filter %.o %.a,$$^) -o $$@.debug
	$$(call list_symbols,$$@.debug)
	$$(GUEST_LD) $$@.debug.symbols.o $$(filter %.o %.a,$$^) -o $$@.debug
	objcopy --strip-debug $$@.debug $$@
endef
$(foreach g,$(GUEST_NAMES),$(eval $(call guest_rule,$(g))))

# ---- The host tool. --------------------------------------------------------
TOOL_SRC := $(wildcard tools/*.c)
TOOL_OBJ := $(call obj,host,$(TOOL_SRC))
$(B)/host/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOSTFLAGS) -c $< -o $@
$(B)/host/lib.a: $(call obj,host,$(filter-out lib/string.c,$(LIB_C)))
	@rm -f $@
	ar rcs $@ $^
$(B)/belfry: $(TOOL_OBJ) $(B)/host/lib.a
	$(CC) $^ -ljansson -llz4 -o $@

# ---- The library of rings and links, for Linux programs. ---------------------
# Calls are between domains: their bells are hypercalls.
RINGS_OBJ := $(call obj,pic,$(filter-out rings/call.c,$(wildcard rings/*.c links/*.c links/linux/*.c)) \
  lib/format.c lib/string_copy.c)
$(B)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOSTFLAGS) $(STRICT) -fPIC -c $< -o $@
# One object, in which only the names of the headers are visible.
$(B)/libbelfry.a: $(RINGS_OBJ) library/belfry.map
	ld -r $(RINGS_OBJ) -o $(B)/libbelfry.o
	sed -n 's/^ *\([a-z_]\{1,\}\*\);/\1/p' library/belfry.map > $(B)/libbelfry.names
	objcopy --wildcard --keep-global-symbols=$(B)/libbelfry.names $(B)/libbelfry.o
	@rm -f $@
	ar rcs $@ $(B)/libbelfry.o
$(B)/libbelfry.so: $(RINGS_OBJ) library/belfry.map
	$(CC) -shared -Wl,-soname,libbelfry.so.$(firstword $(subst ., ,$(VERSION))) \
	  -Wl,--version-script=library/belfry.map -Wl,-z,defs $(RINGS_OBJ) -o $@
$(B)/link-static: $(call obj,pic,tools/linux/link.c) $(B)/libbelfry.a
	$(CC) -static $^ -o $@

install: # the library: PREFIX=/usr/local DESTDIR=
	@$(MAKE) --no-print-directory -s $(B)/libbelfry.a $(B)/libbelfry.so
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" sh library/install.sh $(B) $(VERSION)
example-linux: # two processes that talk, by the library as it is installed
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s install PREFIX="$(CURDIR)/$(B)/stage" DESTDIR=
	@sh library/example.sh "$(CURDIR)/$(B)/stage"

# ---- The rings beside others, natively (tests/bench-rings). -------------------
BENCH_RINGS_OBJ := $(call obj,host,$(wildcard tests/bench-rings/*.c))
$(B)/host/tests/bench-rings/rte_ring.o: tests/bench-rings/rte_ring.c
	@mkdir -p $(@D)
	$(CC) $(HOSTFLAGS) -include rte_config.h \
	  $$(pkg-config --cflags-only-I libdpdk | sed 's/-I/-isystem /g') -c $< -o $@
$(B)/bench-rings: $(BENCH_RINGS_OBJ) $(B)/libbelfry.a
	$(CC) $^ -lrte_ring -pthread -o $@

# ---- Images. ---------------------------------------------------------------
DISK ?= $(B)/disk.img
CFG  ?= grub.cfg
$(B)/disk.img: tools/make-disk.sh
	@mkdir -p $(B)
	sh tools/make-disk.sh $@

all: $(B)/belfry.elf $(GUESTS) $(B)/belfry $(B)/libbelfry.a $(B)/libbelfry.so

.PHONY: all deps run test test-models test-chains bench bench-rings fuzz soak mutate stats headers help clean new-guest new-pair image run-linux run-grub time-linux conformance run-on-xen install example-linux
deps:
	@sh tools/install-packages.sh $(PACKAGES)

image: all $(DISK)
	$(B)/belfry image $(CFG) --root $(B) --file disk.img=$(DISK) -o $(B)/demo.iso

run:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s image
	@$(B)/belfry run $(B)/demo.iso

# ---- Kernels that nobody here built (docs/foreign.md). ----------------------
VCPUS ?= 1
run-linux:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all $(B)/link-static
	@sh tools/linux/run.sh $(B) $(VCPUS)
run-grub:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all $(B)/link-static
	@sh tools/linux/run-grub.sh $(B)
time-linux:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all $(B)/link-static
	@sh tools/linux/time.sh $(B)

# ---- Host tests: one program a file of tests/unit, ASan and UBSan; those
# whose name ends in _threads also under TSan. ---------------------------------
PURE_SRC := $(filter-out lib/string.c,$(LIB_C)) tests/unit/spin_relax.c $(wildcard evtchn/*.c rings/*.c links/*.c links/linux/*.c) \
  $(filter-out hv/grant_glue.c,$(wildcard hv/grant*.c)) hv/evtchn_glue.c hv/budget.c \
  $(wildcard hv/x86/page.c hv/x86/pagetable.c hv/x86/alloc.c hv/x86/mmu_grant.c \
    hv/x86/insn.c) \
  $(wildcard guests/control/store_node.c guests/control/store_draft.c) \
  $(addprefix guests/control/,verdict.c store_tree.c store_ops.c text.c words.c \
    emit.c json.c) \
  guests/lib/sha256.c guests/drivers/blk_check.c
UNIT     := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
ASAN     := -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN     := -fsanitize=thread -fno-builtin
$(B)/asan/%.o: %.c
	@mkdir -p $(@D)
	gcc $(HOSTFLAGS) $(ASAN) -c $< -o $@
$(B)/tsan/%.o: %.c
	@mkdir -p $(@D)
	gcc $(HOSTFLAGS) $(TSAN) -c $< -o $@
$(B)/asan/libpure.a: $(call obj,asan,$(PURE_SRC))
	@rm -f $@
	ar rcs $@ $^
$(B)/tsan/libpure.a: $(call obj,tsan,$(PURE_SRC))
	@rm -f $@
	ar rcs $@ $^
$(B)/unit/%: $(B)/asan/tests/unit/%.o $(B)/asan/libpure.a
	@mkdir -p $(@D)
	gcc $(ASAN) $^ $$(pkg-config --libs check) -o $@
$(B)/unit/%.tsan: $(B)/tsan/tests/unit/%.o $(B)/tsan/libpure.a
	@mkdir -p $(@D)
	gcc $(TSAN) $^ $$(pkg-config --libs check) -o $@
UNIT_BIN := $(UNIT:%=$(B)/unit/%) \
  $(patsubst %,$(B)/unit/%.tsan,$(filter %_threads,$(UNIT)))

# ---- libFuzzer: one program a file of tests/fuzz. -----------------------------
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*.c))
RINGS_BIN := $(FUZZ_BIN) $(B)/unit/test_reqrsp_threads.tsan \
  $(B)/unit/test_spsc_threads.tsan $(B)/unit/test_reqrsp_hostile
$(B)/fuzz/%: tests/fuzz/%.c $(wildcard rings/*.c) $(filter-out lib/string.c,$(LIB_C)) tests/unit/spin_relax.c \
    $(wildcard rings/*.h) tests/unit/victim.h
	@mkdir -p $(@D)
	clang $(filter-out -MMD -MP,$(HOSTFLAGS)) -fsanitize=fuzzer,address,undefined \
	  -fno-sanitize-recover=all $(filter %.c,$^) -o $@

# ---- Models: the rings' own files, every shared access a call to the checker
# (tests/models/README.md). ----------------------------------------------------
MODEL_RINGS := $(call obj,models,$(filter-out rings/shared_copy.c rings/descriptor.c rings/call.c,$(wildcard rings/*.c)))
$(B)/models/%.o: %.c
	@mkdir -p $(@D)
	gcc -Itests/models/hooked $(HOSTFLAGS) -c $< -o $@
$(B)/models/%.o: %.cc
	@mkdir -p $(@D)
	g++ -Itests/models/hooked -std=gnu++17 -O2 -g -I. -Wall -Werror -MMD -MP -c $< -o $@
$(B)/models/explore: $(call obj,models,$(wildcard tests/models/*.c)) $(MODEL_RINGS)
	gcc $^ -o $@
$(B)/models/relacy: $(B)/models/tests/models/relacy.o $(MODEL_RINGS)
	g++ $^ -o $@

test:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all headers $(DISK) $(UNIT_BIN) $(FUZZ_BIN)
	@sh tests/run.sh $(B)

bench:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all
	@sh tests/bench.sh $(B) xen

# The rings beside others, on two CPUs.  ROUNDS= MS= RECORD=yes: into docs/
bench-rings:
	@$(MAKE) --no-print-directory deps PACKAGES="$(PACKAGES) $(PACKAGES_BENCH_RINGS)"
	@$(MAKE) --no-print-directory -s $(B)/bench-rings
	@RECORD=$(RECORD) sh tests/bench-rings/run.sh $(B) $(ROUNDS) $(MS)

conformance:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all
	@sh tests/conformance.sh $(B)

run-on-xen:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all
	@sh tools/run-on-xen.sh $(B) "$(GUEST)" "$(WORDS)"

fuzz soak:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all $(DISK) $(RINGS_BIN)
	@sh tests/$@.sh $(B)

test-models: # every interleaving of the rings, and faults that must be seen
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s $(B)/models/explore $(B)/models/relacy
	@sh tests/models/run.sh $(B)

test-chains: # on A calls B calls C, whoever ends, at every step: who saw what
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all
	@sh tests/chains.sh $(B)

mutate: # do the tests see faults?  ONLY=PATTERN picks some
	@$(MAKE) --no-print-directory deps
	@sh tests/mutate.sh $(B) $(if $(ONLY),'$(ONLY)')

headers: # every header compiles alone
	@for h in $$(find lib hv rings links evtchn guests -name '*.h'); do \
	  echo "#include \"$$h\"" | gcc -std=gnu11 -fsyntax-only -ffreestanding -I. \
	    -D__XEN_INTERFACE_VERSION__=0x00040e00 $(WARN) -x c - || exit 1; done

new-guest:
	@sh tools/new-guest.sh "$(NAME)"
new-pair:
	@sh tools/new-pair.sh "$(NAME)"

stats: # lines of code: neither blank nor comment, own headers in
	@sh tools/stats.sh

clean:
	rm -rf $(B)

help:
	@sed -n 's/^#   make/  make/p' Makefile
	@echo "  make image             build/demo.iso alone"
	@echo "  make new-guest NAME=x  a guest of 15 lines that builds and boots"
	@echo "  make new-pair NAME=x   a frontend and a backend over a ring"
	@echo "  make run-linux VCPUS=n Debian's kernel as a domain, on our disk"
	@echo "  make install           the library of rings: PREFIX=/usr/local DESTDIR="
	@echo "  make example-linux     two Linux processes that talk over a ring"
	@echo "  make run-grub          Debian's GRUB for Xen, which boots that kernel"
	@echo "  make time-linux        that kernel to its init, here and on Xen"
	@echo "  make bench             cost in instructions, beside Xen and seL4"
	@echo "  make bench-rings       the rings on two CPUs, beside Xen's, DPDK's and the kernel's"
	@echo "  make fuzz, make soak   longer suites"
	@echo "  make conformance       the same calls on Xen and here: no difference"
	@echo "  make run-on-xen GUEST=x   a guest as the initial domain of Xen"
	@echo "  make test-models       every interleaving of the rings' code; faults that must be seen"
	@echo "  make test-chains       A calls B calls C, and one dies at every step: KILLS="
	@echo "  make mutate            faults put into the code, which the tests must see"
	@echo "  make stats             lines of code"

-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)
