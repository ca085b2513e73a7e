# mde: build, test, install. `make help` lists the targets.
#
# Each pair of interpreter and compiler has a build folder of its own, so that all of them stand side
# by side: build/lua5.4-gcc/mde.so, build/luajit-clang/mde.so, ...

LUA ?= lua5.4
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
DESTDIR ?=

INTERPRETERS := lua5.1 lua5.2 lua5.3 lua5.4 luajit
LUA_NAME := $(notdir $(LUA))
CC_NAME := $(notdir $(firstword $(CC)))

# `make SANITIZE=address,undefined` builds beside the ordinary build.
SANITIZE ?=
# Certificates need OpenSSL's libcrypto; `make LIBCRYPTO=no`, or a machine without its headers, builds without them.
ifndef LIBCRYPTO
LIBCRYPTO := $(shell pkg-config --exists libcrypto 2>/dev/null && echo yes || echo no)
endif
WITHOUT_LIBCRYPTO := $(filter no,$(LIBCRYPTO))
VARIANT := $(CC_NAME)$(if $(SANITIZE),$(if $(findstring fuzzer,$(SANITIZE)),-fuzzed,-sanitized))$(if $(WITHOUT_LIBCRYPTO),-without-libcrypto)
BUILD := build/$(LUA_NAME)-$(VARIANT)
COMMON := build/common-$(VARIANT)

# --- flags -------------------------------------------------------------------------------------

# A newer compiler's new warning must not keep a user from installing: only the tests say WERROR=-Werror.
WERROR ?=
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Wundef $(WERROR)
CFLAGS ?= -O2 -g
# _DEFAULT_SOURCE and the like: CLOCK_BOOTTIME and getentropy are not POSIX.
BASE_FLAGS := -std=c11 -D_GNU_SOURCE -Ilua_mde -fPIC -fvisibility=hidden $(WARNINGS) -MMD -MP
ifneq ($(SANITIZE),)
BASE_FLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
endif
# clang links its sanitizers into programs only, unless told otherwise; gcc always takes the shared ones.
SANITIZE_SHARED := $(if $(SANITIZE),$(if $(findstring clang,$(CC_NAME)),-shared-libsan))

UNAME := $(shell uname -s)
ifeq ($(UNAME),Darwin)
SHARED := -bundle -undefined dynamic_lookup
else
SHARED := -shared
endif
ifeq ($(UNAME),Linux)
BASE_FLAGS += -fstack-protector-strong
ifeq ($(SANITIZE),)
BASE_FLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
# nodelete: libcurl may have a resolver's thread running when the interpreter unloads its modules.
SHARED += -Wl,-z,relro,-z,now,-z,nodelete
endif

# libcurl brings a script of its own where there is no pkg-config.
CURL_CFLAGS = $(shell pkg-config --cflags libcurl 2>/dev/null || curl-config --cflags 2>/dev/null)
CURL_LIBS = $(shell pkg-config --libs libcurl 2>/dev/null || curl-config --libs 2>/dev/null)

ifeq ($(WITHOUT_LIBCRYPTO),)
CRYPTO_CFLAGS = -DMDE_WITH_LIBCRYPTO $(shell pkg-config --cflags libcrypto)
CRYPTO_LIBS = $(shell pkg-config --libs libcrypto)
endif

IO_LIBS = $(CURL_LIBS) $(CRYPTO_LIBS) -lpthread -lm

# LuaRocks passes LUA_INCDIR; otherwise pkg-config knows, under one of the names distributions use.
LUA_VERSION = $(shell $(LUA) -e 'io.write(_VERSION:match("%d+%.%d+"))')
LUA_PACKAGE = $(shell for name in $(LUA_NAME) lua$(LUA_VERSION) lua-$(LUA_VERSION) lua; do \
                pkg-config --exists $$name && echo $$name && break; done)
LUA_CFLAGS = $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell pkg-config --cflags $(LUA_PACKAGE)))

# --- the module --------------------------------------------------------------------------------

CORE_OBJECTS := $(patsubst lua_mde/%.c,$(COMMON)/%.o,$(wildcard lua_mde/core/*.c))
IO_SOURCES := $(filter-out $(if $(WITHOUT_LIBCRYPTO),lua_mde/io/signer.c),$(wildcard lua_mde/io/*.c))
IO_OBJECTS := $(patsubst lua_mde/%.c,$(COMMON)/%.o,$(IO_SOURCES))
BIND_OBJECTS := $(patsubst lua_mde/%.c,$(BUILD)/%.o,$(wildcard lua_mde/bind/*.c))
LUA_FILES := $(wildcard lua_mde/*.lua)
BUILT_LUA_FILES := $(patsubst lua_mde/%,$(BUILD)/mde/%,$(LUA_FILES))

.PHONY: all
all: $(BUILD)/mde.so $(BUILT_LUA_FILES)

$(BUILD)/mde.so: $(CORE_OBJECTS) $(IO_OBJECTS) $(BIND_OBJECTS)
	$(CC) $(CFLAGS) $(BASE_FLAGS) $(SANITIZE_SHARED) $(SHARED) $(LDFLAGS) $^ -o $@ $(IO_LIBS)

$(COMMON)/core/%.o: lua_mde/core/%.c | $(COMMON)/core
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) -c $< -o $@

$(COMMON)/io/%.o: lua_mde/io/%.c | $(COMMON)/io
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) $(LIBRARY_CFLAGS) -c $< -o $@

# The only ones that know of these libraries.
$(COMMON)/io/transport.o: LIBRARY_CFLAGS = $(CURL_CFLAGS)
$(COMMON)/io/assertion.o $(COMMON)/io/signer.o: LIBRARY_CFLAGS = $(CRYPTO_CFLAGS)

$(BUILD)/bind/%.o: lua_mde/bind/%.c | $(BUILD)/bind
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) $(LUA_CFLAGS) -c $< -o $@

# Links, so that a change of a Lua file needs no build.
$(BUILD)/mde/%.lua: lua_mde/%.lua | $(BUILD)/mde
	ln -sf $(CURDIR)/$< $@

$(COMMON)/core $(COMMON)/io $(COMMON)/unit $(BUILD)/bind $(BUILD)/fuzz $(BUILD)/mde $(BUILD)/torture:
	mkdir -p $@

-include $(wildcard $(COMMON)/*/*.d $(BUILD)/*/*.d)

.PHONY: build-all
build-all: $(addprefix build-,$(INTERPRETERS))

.PHONY: $(addprefix build-,$(INTERPRETERS))
# What they share is built first: with -j they would all write the same objects.
$(addprefix build-,$(INTERPRETERS)): build-%: $(CORE_OBJECTS) $(IO_OBJECTS)
	@$(MAKE) --no-print-directory all LUA=$* CC="$(CC)"

# --- tests -------------------------------------------------------------------------------------

UNIT_TESTS := $(patsubst spec/core/%.c,$(COMMON)/unit/%,$(wildcard spec/core/*_test.c))

$(COMMON)/unit/%: spec/core/%.c $(wildcard spec/core/*.h) $(CORE_OBJECTS) $(IO_OBJECTS) | $(COMMON)/unit
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) -Ispec/core $(LDFLAGS) $< $(CORE_OBJECTS) $(IO_OBJECTS) \
	  -o $@ -lcmocka $(IO_LIBS)

.PHONY: build-unit
build-unit: $(UNIT_TESTS)

# A program in which allocations and system calls fail: the linker sends it what would go to the C library.
TORTURE := $(BUILD)/torture/torture
TORTURE_OBJECTS := $(patsubst spec/torture/%.c,$(BUILD)/torture/%.o,$(wildcard spec/torture/*.c))
LUA_LIBS = $(shell pkg-config --libs $(LUA_PACKAGE))

$(TORTURE): $(CORE_OBJECTS) $(IO_OBJECTS) $(BIND_OBJECTS) $(TORTURE_OBJECTS)
	$(CC) $(CFLAGS) $(BASE_FLAGS) $(LDFLAGS) $^ @spec/torture/wrap.txt -o $@ $(LUA_LIBS) $(IO_LIBS) -lcmocka

$(BUILD)/torture/%.o: spec/torture/%.c spec/core/test.h | $(BUILD)/torture
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) -Ispec/core $(LUA_CFLAGS) $(CURL_CFLAGS) -c $< -o $@

.PHONY: build-torture
build-torture: all $(TORTURE)

# `make test` is all of them; `make test-luajit SPEC=spec/quota_spec.lua` runs one file on one interpreter.
PARTS := lint check-format unit spec timing sanitize valgrind torture other-compiler
PART_TARGETS := $(PARTS) $(addprefix test-,$(INTERPRETERS))

.PHONY: test $(PART_TARGETS)
test: bootstrap-test
	@scripts/test.sh "$(CC)"

$(PART_TARGETS): bootstrap-test
	@scripts/test.sh "$(CC)" $(@:test-%=%)

# What continuous integration runs besides: what needs more than the suite does, or no second look by others.
.PHONY: test-more
test-more: bootstrap-test bootstrap-oauth bootstrap-browser
	@AT_ONCE=3 TORTURE_EVERY=20 scripts/test.sh "$(CC)" fuzz other-specs browser oauth torture

# Everything there is, for a release; most of an hour.
.PHONY: check
check: bootstrap-test
	@scripts/runs.sh '$(MAKE) test' '$(MAKE) test-more' '$(MAKE) torture' 'scripts/test.sh clang sanitize' \
	  'scripts/test.sh gcc eager' 'scripts/test.sh gcc valgrind-suite' '$(MAKE) endurance'

# Not among the parts: it needs node, and what npm installs from its registry.
.PHONY: test-oauth
test-oauth: bootstrap-oauth
	@scripts/test.sh "$(CC)" oauth

# Likewise; and a browser.
.PHONY: test-browser
test-browser: bootstrap-browser
	@scripts/test.sh "$(CC)" browser

# A million calls, and shorter ones on which something goes wrong; the suite has a part of the same name, of 20000.
.PHONY: endurance
endurance: bootstrap-test
	@$(MAKE) --no-print-directory -s all LUA=lua5.4
	@CALLS="$(or $(CALLS),1000000)" LUA_CPATH="build/lua5.4-$(VARIANT)/?.so;;" \
	  LUA_PATH="build/lua5.4-$(VARIANT)/?.lua;./?.lua;;" lua5.4 scripts/busted.lua spec/endurance/flows.lua

BOOTSTRAPS := $(addprefix bootstrap-,test demo bench gateway oauth browser)
.PHONY: $(BOOTSTRAPS)
$(BOOTSTRAPS): bootstrap-%:
	@scripts/bootstrap.sh $*

.PHONY: format
format:
	clang-format -i $(wildcard lua_mde/*/*.[ch] spec/core/*.[ch] fuzz/*.[ch] spec/torture/*.[ch] bench/*.[ch])

# --- fuzzing -----------------------------------------------------------------------------------

# `make fuzz` is all of it, with clang's libFuzzer; `make fuzz FUZZ="uri call" FUZZ_SECONDS=600` a part, for longer.
FUZZ_TARGETS := $(patsubst fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard fuzz/*.c))

$(BUILD)/fuzz/%: fuzz/%.c $(wildcard fuzz/*.h spec/core/*.h) $(CORE_OBJECTS) $(IO_OBJECTS) $(BIND_OBJECTS) | $(BUILD)/fuzz
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) -fsanitize=fuzzer $(LUA_CFLAGS) -Ispec/core $(LDFLAGS) $< \
	  $(CORE_OBJECTS) $(IO_OBJECTS) $(BIND_OBJECTS) -o $@ -lcmocka $(shell pkg-config --libs $(LUA_PACKAGE)) $(IO_LIBS)

# There hundreds of words are compared for each decision, and libFuzzer would be told of each.
$(COMMON)/core/quota_slots.o: CFLAGS += $(if $(findstring fuzzer,$(SANITIZE)),-fno-sanitize-coverage=trace-cmp)

.PHONY: fuzz-programs build-fuzz fuzz
fuzz-programs: $(FUZZ_TARGETS)

build-fuzz:
	@$(MAKE) --no-print-directory fuzz-programs SANITIZE=fuzzer-no-link,address,undefined CC=clang LUA=lua5.4

fuzz: bootstrap-test
	@$(MAKE) --no-print-directory -s build-fuzz
	@scripts/fuzz.sh $(FUZZ)

# --- measuring ---------------------------------------------------------------------------------

$(BUILD)/quota_bench.so: bench/quota.c $(CORE_OBJECTS) $(IO_OBJECTS) | $(BUILD)/mde
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) $(LUA_CFLAGS) $(SHARED) $(LDFLAGS) $< $(CORE_OBJECTS) $(IO_OBJECTS) \
	  -o $@ $(IO_LIBS)

.PHONY: bench-quota
bench-quota: all $(BUILD)/quota_bench.so
	@LUA_CPATH="$(BUILD)/?.so;;" LUA_PATH="$(BUILD)/?.lua;;" $(LUA) bench/quota.lua

# `make bench` is all of it; `make bench BENCH="sequential page" ROUNDS=9 PEERS=no` a part, measured more often.
BENCH_BUILD := build/bench-$(CC_NAME)
BENCH_PROGRAMS = $(BENCH_BUILD)/floor $(BENCH_BUILD)/launch $(BENCH_BUILD)/bench_native.so \
                 $(if $(shell command -v go),$(BENCH_BUILD)/net_http)

.PHONY: bench
bench: bootstrap-bench
	@$(MAKE) --no-print-directory -s bench-programs LUA=lua5.4
	@LUA_CPATH="build/lua5.4-$(VARIANT)/?.so;$(BENCH_BUILD)/?.so;;" LUA_PATH="build/lua5.4-$(VARIANT)/?.lua;./?.lua;;" \
	  BENCH="$(BENCH)" ROUNDS="$(ROUNDS)" PEERS="$(PEERS)" lua5.4 bench/run.lua $(BENCH_BUILD)

.PHONY: bench-programs
bench-programs: all $(BENCH_PROGRAMS)

$(BENCH_BUILD)/floor $(BENCH_BUILD)/launch: $(BENCH_BUILD)/%: bench/%.c | $(BENCH_BUILD)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) $(CURL_CFLAGS) $(LDFLAGS) $< -o $@ $(CURL_LIBS)

$(BENCH_BUILD)/bench_native.so: bench/native.c | $(BENCH_BUILD)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(BASE_FLAGS) $(LUA_CFLAGS) $(CURL_CFLAGS) $(SHARED) $(LDFLAGS) $< -o $@ $(CURL_LIBS)

$(BENCH_BUILD)/net_http: bench/peers/net_http.go | $(BENCH_BUILD)
	GOCACHE=$(CURDIR)/$(BENCH_BUILD)/go-cache GO111MODULE=off go build -o $@ $<

$(BENCH_BUILD):
	mkdir -p $@

# --- trying ------------------------------------------------------------------------------------

.PHONY: demo
demo: bootstrap-demo
	@$(MAKE) --no-print-directory -s all LUA=lua5.4
	@scripts/demo.sh build/lua5.4-$(VARIANT)

.PHONY: simulator
simulator: bootstrap-demo
	@$(MAKE) --no-print-directory -s all LUA=lua5.4
	@mkdir -p build
	@spec/simulator/simulator.sh foreground build/simulator

# nginx's interpreter is LuaJIT.
.PHONY: gateway
gateway: bootstrap-gateway
	@$(MAKE) --no-print-directory -s all LUA=luajit
	@examples/gateway/gateway.sh demo build/luajit-$(VARIANT) build/gateway

# --- installing --------------------------------------------------------------------------------

# LuaRocks sets both; without it they follow PREFIX and the interpreter's version.
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)

.PHONY: install
install: all
	install -d "$(DESTDIR)$(INST_LIBDIR)" "$(DESTDIR)$(INST_LUADIR)/mde"
	install -m 755 $(BUILD)/mde.so "$(DESTDIR)$(INST_LIBDIR)/mde.so"
	install -m 644 $(LUA_FILES) "$(DESTDIR)$(INST_LUADIR)/mde/"

.PHONY: uninstall
uninstall:
	rm -f "$(DESTDIR)$(INST_LIBDIR)/mde.so" \
	      $(patsubst lua_mde/%,"$(DESTDIR)$(INST_LUADIR)/mde/%",$(LUA_FILES))

.PHONY: clean
clean:
	rm -rf build

.PHONY: help
help:
	@echo 'make demo              build, start a local service, print the IPs of a few alerts'
	@echo 'make test [CC=clang]   the whole suite, on every interpreter'
	@echo 'make test-more         what continuous integration runs besides'
	@echo 'make check             all that, and all of it under sanitizers and valgrind; most of an hour'
	@echo 'make gateway           the gateway of examples/gateway against such a service, until Ctrl-C'
	@echo 'make simulator         a local service to try scripts with, until Ctrl-C'
	@echo 'make [LUA=luajit]      build for one interpreter; build-all: for every one'
	@echo 'make LIBCRYPTO=no      likewise, without libcrypto and so without certificates'
	@echo 'make PART              one part of the suite: $(PARTS)'
	@echo 'make test-LUA [SPEC=]  the specs, or one of them, on one interpreter: $(INTERPRETERS)'
	@echo 'make endurance         a million calls: memory, descriptors, counts; CALLS=20000 for fewer'
	@echo 'make test-oauth        the client against a token server by others, which npm installs'
	@echo 'make test-browser      the page of examples/gateway in Chromium'
	@echo 'make fuzz              bytes at random, with clang; FUZZ=TARGET FUZZ_SECONDS=30'
	@echo 'make bench             the client against a bare C program and others; BENCH=ROW ROUNDS=5 PEERS=no'
	@echo 'make bench-quota       what a decision of the quota costs'
	@echo 'make install [PREFIX=/usr/local] [LUA=lua5.4] [DESTDIR=]; uninstall'
	@echo 'make format clean'
