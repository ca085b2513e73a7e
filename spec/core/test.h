/* What the core's unit tests share: cmocka, a heap that counts and fails, and dice with a seed.
 *
 *   test_heap heap = {.fail_at = 3};              the third allocation fails
 *   mde_memory memory = test_memory(&heap);
 *   ...
 *   assert_int_equal(heap.blocks, 0);             nothing leaked
 *
 *   test_random dice = test_random_start();       prints its seed; MDE_SEED=... repeats a run
 *
 * The heap never grows a block in place, and checks that the old sizes it is told are true. */
#ifndef MDE_SPEC_CORE_TEST_H
#define MDE_SPEC_CORE_TEST_H

#include "core/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define TEST_COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* --- memory --- */

typedef struct test_heap {
  size_t fail_at;     /* the number, from 1, of the allocation that fails; 0: none */
  bool fail_for_good; /* ... and all after it */
  bool secret;        /* whatever is given back must be wiped */
  size_t allocations; /* so far, the failed ones included */
  size_t blocks;      /* live */
  size_t bytes;       /* live */
  size_t largest;     /* block that was ever asked for */
  size_t unwiped;     /* blocks that came back with something in them */
} test_heap;

/* Before each block; keeps malloc's alignment. */
typedef union test_block {
  size_t size;
  max_align_t align;
} test_block;

static inline void test_give_back(test_heap *heap, void *bytes, size_t size)
{
  test_block *block = (test_block *)bytes - 1;
  if (block->size != size)
    fail_msg("a block of %zu bytes is said to have %zu", block->size, size);
  bool dirty = false;
  for (size_t i = 0; heap->secret && i < size; i++)
    dirty = dirty || ((unsigned char *)bytes)[i] != 0;
  heap->unwiped += dirty;
  heap->blocks--;
  heap->bytes -= size;
  free(block);
}

static inline void *test_take(test_heap *heap, size_t size)
{
  heap->allocations++;
  if (size > heap->largest)
    heap->largest = size;
  bool fails = heap->fail_at != 0 && (heap->allocations == heap->fail_at ||
                                      (heap->fail_for_good && heap->allocations > heap->fail_at));
  test_block *block = fails ? NULL : malloc(sizeof *block + size);
  if (block == NULL)
    return NULL;
  block->size = size;
  heap->blocks++;
  heap->bytes += size;
  return block + 1;
}

static inline void *test_resize(void *context, void *old, size_t old_size, size_t new_size)
{
  test_heap *heap = context;
  void *block = new_size > 0 ? test_take(heap, new_size) : NULL;
  if (old == NULL || (block == NULL && new_size > 0))
    return block;
  if (block != NULL)
    memcpy(block, old, old_size < new_size ? old_size : new_size);
  test_give_back(heap, old, old_size);
  return block;
}

static inline mde_memory test_memory(test_heap *heap)
{
  return (mde_memory){.resize = test_resize, .context = heap};
}

/* --- dice: bytes that a fuzzer has chosen, if there are any; then splitmix64 --- */

typedef struct test_random {
  uint64_t state;
  const uint8_t *bytes;
  size_t left;
} test_random;

static inline uint64_t test_number_of(const char *variable, uint64_t otherwise)
{
  const char *text = getenv(variable);
  return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

static inline uint64_t test_next(test_random *dice)
{
  uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static inline test_random test_random_start(void)
{
  uint64_t seed = test_number_of("MDE_SEED", (uint64_t)time(NULL));
  print_message("MDE_SEED=%llu\n", (unsigned long long)seed);
  return (test_random){.state = seed};
}

/* How often a random test is repeated; MDE_SCHEDULES changes it. */
static inline uint64_t test_schedules(uint64_t otherwise)
{
  return test_number_of("MDE_SCHEDULES", otherwise);
}

/* A number, of as many bytes as `most` has, so that what a fuzzer changes means something; it may be
 * larger than `most`. Without bytes any number. */
static inline uint64_t test_draw(test_random *dice, uint64_t most)
{
  uint64_t number = 0;
  if (dice->left == 0)
    return test_next(dice);
  for (; most > 0 && dice->left > 0; most >>= 8, dice->left--)
    number = number << 8 | *dice->bytes++;
  return number;
}

/* From low to high, both included. */
static inline int64_t test_between(test_random *dice, int64_t low, int64_t high)
{
  uint64_t most = (uint64_t)(high - low);
  return low + (int64_t)(test_draw(dice, most) % (most + 1));
}

static inline bool test_chance(test_random *dice, int64_t percent)
{
  return test_between(dice, 0, 99) < percent;
}

/* In [0, 1). */
static inline double test_fraction(test_random *dice)
{
  return (double)(test_draw(dice, UINT64_MAX) >> 11) / 9007199254740992.0;
}

#endif
