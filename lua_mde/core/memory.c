#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

static void *system_resize(void *context, void *block, size_t old_size, size_t new_size)
{
  (void)context;
  (void)old_size;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  return realloc(block, new_size);
}

const mde_memory mde_memory_system = {system_resize, NULL};

static void *block_resize(void *context, void *block, size_t old_size, size_t new_size)
{
  (void)block;
  (void)old_size;
  return new_size > 0 ? context : NULL;
}

mde_memory mde_memory_block(void *block)
{
  return (mde_memory){block_resize, block};
}

void *mde_memory_resize(const mde_memory *memory, void *block, size_t old_size, size_t new_size)
{
  return memory->resize(memory->context, block, old_size, new_size);
}

void mde_wipe(void *bytes, size_t size)
{
#if defined(__GNUC__)
  memset(bytes, 0, size);
  __asm__ __volatile__("" : : "r"(bytes) : "memory"); /* somebody may look: it must be done */
#else
  /* explicit_bzero is not everywhere; a volatile store is, and may not be left out. */
  volatile unsigned char *at = bytes;
  while (size-- > 0)
    *at++ = 0;
#endif
}
