#include "core/buffer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

void mde_buffer_init(mde_buffer *buffer, const mde_memory *memory, size_t max_bytes)
{
  *buffer = (mde_buffer){.memory = memory, .max_bytes = max_bytes};
}

void mde_buffer_init_secret(mde_buffer *buffer, const mde_memory *memory, size_t max_bytes)
{
  mde_buffer_init(buffer, memory, max_bytes);
  buffer->secret = true;
}

static void release(mde_buffer *buffer)
{
  if (buffer->data == NULL)
    return;
  if (buffer->secret)
    mde_wipe(buffer->data, buffer->capacity);
  mde_memory_resize(buffer->memory, buffer->data, buffer->capacity, 0);
}

/* realloc may leave the old bytes behind, so a secret moves by hand. */
static char *move_secret(mde_buffer *buffer, size_t capacity)
{
  char *data = mde_memory_resize(buffer->memory, NULL, 0, capacity);
  if (data == NULL)
    return NULL;
  if (buffer->length > 0)
    memcpy(data, buffer->data, buffer->length);
  release(buffer);
  return data;
}

static size_t next_capacity(const mde_buffer *buffer, size_t wanted)
{
  size_t capacity = buffer->capacity > 0 ? buffer->capacity : FIRST_CAPACITY;
  while (capacity < wanted)
    capacity = capacity > SIZE_MAX / 2 ? wanted : capacity * 2;
  /* Doubling must not take more than the maximum and its NUL. */
  if (capacity - 1 > buffer->max_bytes)
    capacity = buffer->max_bytes + 1;
  return capacity;
}

static mde_status reserve(mde_buffer *buffer, size_t more)
{
  if (more > buffer->max_bytes - buffer->length || more >= SIZE_MAX - buffer->length)
    return buffer->status = MDE_TOO_LARGE;
  size_t wanted = buffer->length + more + 1;
  if (wanted <= buffer->capacity)
    return MDE_OK;
  size_t capacity = next_capacity(buffer, wanted);
  char *data = buffer->secret
                   ? move_secret(buffer, capacity)
                   : mde_memory_resize(buffer->memory, buffer->data, buffer->capacity, capacity);
  if (data == NULL)
    return buffer->status = MDE_NO_MEMORY;
  buffer->data = data;
  buffer->capacity = capacity;
  return MDE_OK;
}

mde_status mde_buffer_append(mde_buffer *buffer, const char *bytes, size_t size)
{
  if (buffer->status != MDE_OK || reserve(buffer, size) != MDE_OK)
    return buffer->status;
  if (size > 0)
    memcpy(buffer->data + buffer->length, bytes, size);
  buffer->length += size;
  buffer->data[buffer->length] = '\0';
  return MDE_OK;
}

mde_status mde_buffer_append_text(mde_buffer *buffer, const char *text)
{
  return mde_buffer_append(buffer, text, strlen(text));
}

mde_status mde_buffer_append_char(mde_buffer *buffer, char byte)
{
  return mde_buffer_append(buffer, &byte, 1);
}

mde_status mde_buffer_append_integer(mde_buffer *buffer, int64_t number)
{
  char digits[24];
  int size = snprintf(digits, sizeof digits, "%" PRId64, number);
  return mde_buffer_append(buffer, digits, (size_t)size);
}

static bool is_blank(char byte)
{
  return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

mde_slice mde_slice_trim(mde_slice text)
{
  while (text.length > 0 && is_blank(text.data[text.length - 1]))
    text.length--;
  while (text.length > 0 && is_blank(text.data[0]))
    text = (mde_slice){text.data + 1, text.length - 1};
  return text;
}

const char *mde_buffer_text(const mde_buffer *buffer)
{
  return buffer->data != NULL ? buffer->data : "";
}

void mde_buffer_reset(mde_buffer *buffer)
{
  if (buffer->secret && buffer->data != NULL)
    mde_wipe(buffer->data, buffer->capacity);
  if (buffer->data != NULL)
    buffer->data[0] = '\0';
  buffer->length = 0;
  buffer->status = MDE_OK;
}

void mde_buffer_trim(mde_buffer *buffer, size_t most)
{
  if (buffer->capacity > most)
    mde_buffer_free(buffer);
  else
    mde_buffer_reset(buffer);
}

void mde_buffer_free(mde_buffer *buffer)
{
  release(buffer);
  buffer->data = NULL;
  buffer->length = 0;
  buffer->capacity = 0;
  buffer->status = MDE_OK;
}
