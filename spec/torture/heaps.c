#include "heaps.h"

#include <curl/curl.h>

#include <pthread.h>

static test_heap heaps[TORTURE_HEAPS];

const char *const torture_heap_names[TORTURE_HEAPS] = {"lua", "own", "curl"};

test_heap *torture_heap(int which)
{
  return &heaps[which];
}

/* --- Lua's --- */

void *torture_lua_resize(void *unused, void *block, size_t old_size, size_t new_size)
{
  test_heap *heap = &heaps[TORTURE_LUA];
  (void)unused;
  if (block == NULL || new_size == 0 || new_size > old_size)
    return test_resize(heap, block, old_size, new_size);
  /* Lua may take it for granted that a block can be made smaller: that is no point to fail at. */
  size_t fail_at = heap->fail_at;
  heap->fail_at = 0;
  void *smaller = test_resize(heap, block, old_size, new_size);
  heap->fail_at = fail_at;
  heap->allocations--;
  return smaller;
}

/* --- ours --- */

/* By `ld --wrap`: what is said of mde_memory_system is meant for this one. */
extern const mde_memory __wrap_mde_memory_system;
const mde_memory __wrap_mde_memory_system = {test_resize, &heaps[TORTURE_OWN]};

/* --- libcurl's, which does not say how large a block is --- */

enum { KEPT = 4096 };

#define GIVEN_BACK SIZE_MAX

static test_block *kept[KEPT];
static size_t kept_at, twice;

size_t torture_given_back_twice(void)
{
  return twice;
}

static size_t size_of(const void *bytes)
{
  return bytes != NULL ? ((const test_block *)bytes - 1)->size : 0;
}

/* Without memory for a numeric address libcurl asks its resolver, which is a thread. */
static pthread_mutex_t curl_lock = PTHREAD_MUTEX_INITIALIZER;

static void *curl_take(size_t size)
{
  pthread_mutex_lock(&curl_lock);
  void *block = test_resize(&heaps[TORTURE_CURL], NULL, 0, size > 0 ? size : 1);
  pthread_mutex_unlock(&curl_lock);
  return block;
}

/* libcurl 7.88 gives some blocks back twice when it has no memory. They are kept for a while, so that this is
 * seen and does no harm. */
static void keep(test_block *block)
{
  if (block->size == GIVEN_BACK) {
    twice++;
    return;
  }
  heaps[TORTURE_CURL].blocks--;
  heaps[TORTURE_CURL].bytes -= block->size;
  memset(block + 1, 0xdd, block->size);
  free(kept[kept_at]);
  kept[kept_at] = block;
  kept_at = (kept_at + 1) % KEPT;
  block->size = GIVEN_BACK;
}

static void curl_give_back(void *bytes)
{
  if (bytes == NULL)
    return;
  pthread_mutex_lock(&curl_lock);
  keep((test_block *)bytes - 1);
  pthread_mutex_unlock(&curl_lock);
}

static void *curl_resize(void *old, size_t size)
{
  void *block = curl_take(size);
  size_t old_size = size_of(old);
  if (block == NULL || old == NULL)
    return block;
  memcpy(block, old, old_size < size ? old_size : size);
  curl_give_back(old);
  return block;
}

static void *curl_zeroed(size_t count, size_t size)
{
  void *block = curl_take(count * size);
  return block != NULL ? memset(block, 0, count * size) : NULL;
}

static char *curl_copy(const char *text)
{
  size_t size = strlen(text) + 1;
  void *copy = curl_take(size);
  return copy != NULL ? memcpy(copy, text, size) : NULL;
}

bool torture_heaps_start(void)
{
  return curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_take, curl_give_back, curl_resize,
                              curl_copy, curl_zeroed) == CURLE_OK;
}
