# engine: build, try, test, measure. `make help` prints this file's targets.

BUILD    ?= build
CC       ?= gcc
MODE     ?= release
SANITIZE ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
PKGS     := lua5.4 libuv sqlite3 libzstd jansson
# Compiled against, loaded on first use (engine/core/lazy.h): curl, pq, archive, microhttpd, crypto, readline.
PKGS_LAZY := libcurl libpq libarchive libmicrohttpd libcrypto readline

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
# No two operations on numbers are made one: verdicts are the same whichever compiler built the engine.
CFLAGS   := -std=c11 -ffp-contract=off -D_GNU_SOURCE -DCURL_DISABLE_TYPECHECK $(WARN) -Iengine -I$(BUILD) -include base/banned.h -MMD -MP -g -pthread \
            $(shell pkg-config --cflags $(PKGS) $(PKGS_LAZY) 2>/dev/null)
ifeq ($(MODE),release)
CFLAGS   += -O2 $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
endif
ifeq ($(MODE),debug)
CFLAGS   += -O0
endif
ifeq ($(MODE),coverage)
CFLAGS   += -O0 --coverage
LDFLAGS  += --coverage
endif
ifneq ($(SANITIZE),)
CFLAGS   += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS  += -fsanitize=$(SANITIZE)
endif
LDFLAGS  += -pthread -Wl,--as-needed -Wl,-z,relro
LIBS     := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -ldl
CORE_LIBS := $(shell pkg-config --libs $(filter-out lua5.4,$(PKGS)) 2>/dev/null) -lm -ldl

Q := $(if $(V),,@)
say = @$(if $(V),true,printf '  %-7s %s\n' $(1) $(2))

obj      = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
BASE_SRC := $(wildcard engine/base/*.c)
CORE_SRC := $(wildcard engine/core/*.c)
BIND_SRC := $(wildcard engine/bind/*.c)
HOST_SRC := $(wildcard engine/host/*.c)
BAKED    := $(sort $(shell find stdlib playbooks -name '*.lua' ! -name '*_test.lua' 2>/dev/null))
C_FILES  := $(sort $(shell find engine tests -name '*.[ch]'))
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all help deps demo test test-kill test-incremental bench bench-verdict bench-backup asan fuzz format format-check hdr-check install docs sbom coverage clean
.DEFAULT_GOAL := all

all: $(BUILD)/engine  ## build the engine (build/engine)

help:  ## this list
	@echo "usage: make TARGET [V=1] [CC=clang] [MODE=release|debug|coverage] [SANITIZE=address,undefined]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

deps:  ## install what is missing of vendor/packages.tsv (Debian 12, as root); SCOPE=run,build,demo,test,bench
	$(Q)vendor/install.sh $(if $(SCOPE),--scope $(SCOPE))

$(BUILD)/engine: $(call obj,engine/main.c) $(BUILD)/libhost.a $(BUILD)/libbind.a $(BUILD)/libcore.a $(BUILD)/libbase.a $(BUILD)/baked.o $(BUILD)/modules.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(call obj,engine/main.c) $(BUILD)/baked.o $(BUILD)/modules.o $(BUILD)/libhost.a $(BUILD)/libbind.a $(BUILD)/libcore.a $(BUILD)/libbase.a $(LIBS)

$(BUILD)/libbase.a: $(call obj,$(BASE_SRC))
$(BUILD)/libcore.a: $(call obj,$(CORE_SRC))
$(BUILD)/libbind.a: $(call obj,$(BIND_SRC))
$(BUILD)/libhost.a: $(call obj,$(HOST_SRC))
$(BUILD)/%.a: $(BUILD)/sources.list
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(BUILD)/obj/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# Changes when a file comes or goes, so that what is made from lists of files is made again, whatever the
# files' own times are.
$(BUILD)/sources.list: FORCE
	@mkdir -p $(@D)
	@echo $(BAKED) $(BASE_SRC) $(CORE_SRC) $(BIND_SRC) $(HOST_SRC) | cmp -s - $@ || echo $(BAKED) $(BASE_SRC) $(CORE_SRC) $(BIND_SRC) $(HOST_SRC) > $@
.PHONY: FORCE

# The Lua library and the stock playbooks, baked into the binary.
$(BUILD)/baked.c: tools/bake.lua $(BAKED) $(BUILD)/sources.list
	$(call say,BAKE,$@)
	@mkdir -p $(@D)
	$(Q)lua5.4 tools/bake.lua $(BAKED) > $@.tmp && mv $@.tmp $@
$(BUILD)/baked.o: $(BUILD)/baked.c
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# Every luaopen_core_x in bind/ is module core.x: the list is made, not kept.
$(BUILD)/modules.c: $(BIND_SRC) $(BUILD)/sources.list
	@mkdir -p $(@D)
	$(Q){ echo '#include "bind/runtime.h"'; \
	  sed -n 's/^int luaopen_core_\([a-z_]*\)(.*/int luaopen_core_\1(lua_State *);/p' $(BIND_SRC) | sort -u; \
	  echo 'const struct bind_module bind_modules[] = {'; \
	  sed -n 's/^int luaopen_core_\([a-z_]*\)(.*/    {"core.\1", luaopen_core_\1},/p' $(BIND_SRC) | sort -u; \
	  echo '    {0, 0},'; echo '};'; } > $@.tmp && mv $@.tmp $@
$(BUILD)/modules.o: $(BUILD)/modules.c
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# Unit tests link base and core only: if core needed Lua, this would not link.
$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libcore.a $(BUILD)/libbase.a
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Itests/unit -o $@ $< $(LDFLAGS) $(BUILD)/libcore.a $(BUILD)/libbase.a $(CORE_LIBS)

unit: $(UNIT)
.PHONY: unit

# What a test loads into the engine, such as a disk that loses writes.
$(BUILD)/faults/%.so: tests/faults/%.c
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fPIC -shared -o $@ $< $(LDFLAGS) $(shell pkg-config --libs sqlite3)

test: deps  ## everything: unit, Lua, playbooks, faults and end-to-end tests on real servers
	$(Q)tests/run.sh

test-kill: deps  ## what make test samples, whole: a deployment killed at every boundary, a run at every write of its journal, a backup at 50 points of each kind of work (hours)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)KILLS=50 SERVER_KILLS=10 ROUNDS=20 tests/e2e/backup_faults.sh
	$(Q)SAMPLE=all tests/faults/kill.sh
	$(Q)POINTS=all bash tests/faults/lost_writes.sh

test-incremental: deps  ## what make test samples, whole: incremental backups after 1,000 random histories, and 200 where transaction numbers wrap (SEED=1)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)HISTORIES=1000 WRAPPED=200 tests/e2e/backup_incremental.sh

demo: SCOPE = run,build,demo
demo: deps  ## Stage 30 for real on this machine (FAULT=errors|slow|crash|smoke|backup|migration|incompatible|dependency, POSTGRES=1)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(BUILD)/engine playbooks/demo.lua $(if $(FAULT),--fault $(FAULT)) $(if $(POSTGRES),--postgres)

bench: deps  ## speed and memory as ratios against a peer in the same run
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/bench/run.sh

$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libcore.a $(BUILD)/libbase.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $< $(LDFLAGS) $(BUILD)/libcore.a $(BUILD)/libbase.a $(CORE_LIBS)

bench-verdict: deps  ## the verdict by simulation: how soon, how rarely wrong, and pollers in the same worlds (SECTION=name)
	$(Q)$(MAKE) --no-print-directory $(BUILD)/bench/verdict
	$(Q)$(BUILD)/bench/verdict $(SECTION)

bench-backup: SCOPE = run,build,demo,test,bench
bench-backup: deps  ## backups, restores and rollbacks against every peer and the limit (SCALE=73 TABLES=300 FILES=90000 RUNS=3)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/bench/run.sh backup in_place rollback files

asan:  ## build and run the unit and Lua tests under AddressSanitizer and UBSan
	$(Q)tests/run.sh asan

coverage:  ## line coverage of the C code by the unit and Lua tests
	$(Q)tests/run.sh coverage

fuzz:  ## every tests/fuzz/*.c with libFuzzer under the sanitizers (SECONDS_EACH=60)
	$(Q)mkdir -p $(BUILD)/fuzz
	$(Q)for f in tests/fuzz/fuzz_*.c; do name=$$(basename $$f .c); \
	  clang -std=c11 -D_GNU_SOURCE -Iengine -g -O1 -fsanitize=fuzzer,address,undefined -o $(BUILD)/fuzz/$$name $$f engine/core/$${name#fuzz_}.c && \
	  mkdir -p $(BUILD)/fuzz/$$name-corpus && \
	  $(BUILD)/fuzz/$$name -max_total_time=$(or $(SECONDS_EACH),60) -print_final_stats=1 -verbosity=0 $(BUILD)/fuzz/$$name-corpus || exit 1; done

format:  ## rewrite the C files in the house style
	$(Q)clang-format -i $(C_FILES)

format-check:  ## fail if a C file is not in the house style
	$(Q)clang-format --dry-run -Werror --ferror-limit=1 $(C_FILES)

hdr-check:  ## every header compiles alone
	$(Q)for h in $(filter-out %/lazy_define.h,$(filter engine/%.h,$(C_FILES))); do \
	  $(CC) $(filter-out -MMD -MP,$(CFLAGS)) -x c -fsyntax-only $$h || exit 1; done

# What a package has: the program, its manual page, and the shells' completion of it, all made by the program itself.
install: all  ## install program, manual page and completions (PREFIX=/usr/local DESTDIR=)
	$(call say,INSTALL,$(DESTDIR)$(PREFIX)/bin/engine)
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	  $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(Q)install -m 755 $(BUILD)/engine $(DESTDIR)$(PREFIX)/bin/engine
	$(Q)$(BUILD)/engine man > $(BUILD)/engine.1 && install -m 644 $(BUILD)/engine.1 $(DESTDIR)$(PREFIX)/share/man/man1/engine.1
	$(Q)$(BUILD)/engine completion bash > $(BUILD)/completion.bash && install -m 644 $(BUILD)/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/engine
	$(Q)$(BUILD)/engine completion zsh > $(BUILD)/completion.zsh && install -m 644 $(BUILD)/completion.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_engine
	$(Q)$(BUILD)/engine completion fish > $(BUILD)/completion.fish && install -m 644 $(BUILD)/completion.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/engine.fish

docs: all  ## generate docs/reference from the annotated library
	$(Q)$(BUILD)/engine tools/reference.lua

sbom:  ## list the installed packages with versions and licences as SPDX (build/sbom.spdx.json)
	$(Q)vendor/sbom.sh $(BUILD)/sbom.spdx.json
	$(call say,SBOM,$(BUILD)/sbom.spdx.json)

clean:  ## remove what was built
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
