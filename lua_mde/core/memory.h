/* Memory as an argument.
 *
 * Everything in core/ that grows is given a mde_memory, so that a test can count blocks and let any
 * one of them fail:
 *
 *   char *block = mde_memory_resize(&mde_memory_system, NULL, 0, 100);   returns owned
 *   mde_memory_resize(&mde_memory_system, block, 100, 0);                takes
 *
 * It does not zero, align beyond malloc's promise, or keep statistics. */
#ifndef MDE_CORE_MEMORY_H
#define MDE_CORE_MEMORY_H

#include <stddef.h>

typedef struct mde_memory {
  /* Grows, shrinks, allocates (block NULL) or frees (new_size 0). NULL when there is no memory; the
   * old block then stands. The same contract as lua_Alloc. */
  void *(*resize)(void *context, void *block, size_t old_size, size_t new_size);
  void *context;
} mde_memory;

/* The C library's heap. */
extern const mde_memory mde_memory_system;

/* One block that is there already: for one buffer that never outgrows it. */
mde_memory mde_memory_block(void *block);

void *mde_memory_resize(const mde_memory *memory, void *block, size_t old_size, size_t new_size);

/* Overwrites a secret in a way that no optimiser takes away. */
void mde_wipe(void *bytes, size_t size);

#endif
