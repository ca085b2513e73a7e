/* The three allocators that are made to fail: Lua's, ours and libcurl's, each a heap of test.h.
 *
 *   lua_newstate(torture_lua_resize, NULL);
 *   torture_heaps_start();                      before anybody else starts libcurl
 *   torture_heap(TORTURE_OWN)->fail_at = 3;     the third allocation fails
 *
 * Ours is `mde_memory_system`, in whose place the linker puts one that counts. */
#ifndef MDE_TORTURE_HEAPS_H
#define MDE_TORTURE_HEAPS_H

#include "test.h"

enum { TORTURE_LUA, TORTURE_OWN, TORTURE_CURL, TORTURE_HEAPS };

extern const char *const torture_heap_names[TORTURE_HEAPS];

test_heap *torture_heap(int which);

/* Hands libcurl its allocator. */
bool torture_heaps_start(void);

/* How often libcurl has given a block back that was not its any more. */
size_t torture_given_back_twice(void);

/* A lua_Alloc. */
void *torture_lua_resize(void *unused, void *block, size_t old_size, size_t new_size);

#endif
