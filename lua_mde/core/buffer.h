/* Bounded growable bytes. The maximum is fixed at init; the first failure sticks.
 *
 *   mde_buffer url;
 *   mde_buffer_init(&url, memory, 8192);
 *   mde_buffer_append_text(&url, "https://");
 *   mde_buffer_append(&url, host.data, host.length);
 *   if (url.status != MDE_OK) ...          one check for the whole chain
 *   mde_buffer_free(&url);
 *
 * A failed buffer keeps what it held before and ignores further appends. The bytes are always
 * followed by a NUL that is not counted. It does not insert, search or convert. */
#ifndef MDE_CORE_BUFFER_H
#define MDE_CORE_BUFFER_H

#include "core/memory.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum mde_status { MDE_OK, MDE_TOO_LARGE, MDE_NO_MEMORY } mde_status;

/* Bytes that somebody else owns. */
typedef struct mde_slice {
  const char *data;
  size_t length;
} mde_slice;

typedef struct mde_buffer {
  char *data; /* NULL until the first append */
  size_t length;
  size_t capacity;
  size_t max_bytes;
  const mde_memory *memory; /* borrows */
  mde_status status;
  bool secret; /* wiped wherever it has been */
} mde_buffer;

void mde_buffer_init(mde_buffer *buffer, const mde_memory *memory, size_t max_bytes);
void mde_buffer_init_secret(mde_buffer *buffer, const mde_memory *memory, size_t max_bytes);

mde_status mde_buffer_append(mde_buffer *buffer, const char *bytes, size_t size);
mde_status mde_buffer_append_text(mde_buffer *buffer, const char *text);
mde_status mde_buffer_append_char(mde_buffer *buffer, char byte);
mde_status mde_buffer_append_integer(mde_buffer *buffer, int64_t number);

/* Without blanks and line ends before and behind. */
mde_slice mde_slice_trim(mde_slice text);

/* The bytes as a C string; "" for an empty buffer. Borrows: valid until the next change. */
const char *mde_buffer_text(const mde_buffer *buffer);

/* Empties it and forgets a failure; the memory is kept for the next use. */
void mde_buffer_reset(mde_buffer *buffer);

/* Likewise, but memory of more than `most` bytes is given back. */
void mde_buffer_trim(mde_buffer *buffer, size_t most);

/* Gives the memory back. Accepts zeroed, used and freed buffers; afterwards it is empty. */
void mde_buffer_free(mde_buffer *buffer);

#endif
