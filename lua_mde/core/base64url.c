#include "core/base64url.h"

#include <string.h>

enum { GROUP_BYTES = 3, GROUP_CHARS = 4, CHAR_BITS = 6, CHAR_MASK = 63, NO_VALUE = 64 };

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint32_t byte_at(mde_slice bytes, size_t i)
{
  return i < bytes.length ? (unsigned char)bytes.data[i] : 0;
}

mde_status mde_base64url_encode(mde_buffer *out, mde_slice bytes)
{
  for (size_t i = 0; i < bytes.length; i += GROUP_BYTES) {
    size_t left = bytes.length - i;
    uint32_t group = byte_at(bytes, i) << 16 | byte_at(bytes, i + 1) << 8 | byte_at(bytes, i + 2);
    char chars[GROUP_CHARS];
    for (unsigned k = 0; k < GROUP_CHARS; k++)
      chars[k] = ALPHABET[group >> (18 - CHAR_BITS * k) & CHAR_MASK];
    mde_buffer_append(out, chars, left < GROUP_BYTES ? left + 1 : GROUP_CHARS);
  }
  return out->status;
}

static uint32_t value_of(char c)
{
  const char *place = c != '\0' ? strchr(ALPHABET, c) : NULL;
  return place != NULL ? (uint32_t)(place - ALPHABET) : NO_VALUE;
}

static mde_slice without_padding(mde_slice text)
{
  size_t length = text.length;
  if (length % GROUP_CHARS != 0)
    return text;
  while (length > 0 && text.length - length < 2 && text.data[length - 1] == '=')
    length--;
  return (mde_slice){text.data, length};
}

/* The bits behind the last byte must be zero: otherwise two texts would mean the same. */
static bool is_valid(mde_slice text)
{
  uint32_t value = 0;
  for (size_t i = 0; i < text.length; i++) {
    value = value_of(text.data[i]);
    if (value == NO_VALUE)
      return false;
  }
  switch (text.length % GROUP_CHARS) {
  case 1:
    return false;
  case 2:
    return (value & 15) == 0;
  case 3:
    return (value & 3) == 0;
  default:
    return true;
  }
}

bool mde_base64url_decode(mde_buffer *out, mde_slice text)
{
  text = without_padding(text);
  if (!is_valid(text))
    return false;
  for (size_t i = 0; i < text.length; i += GROUP_CHARS) {
    size_t chars = text.length - i < GROUP_CHARS ? text.length - i : GROUP_CHARS;
    uint32_t group = 0;
    for (size_t k = 0; k < GROUP_CHARS; k++)
      group = group << CHAR_BITS | (k < chars ? value_of(text.data[i + k]) : 0);
    char bytes[GROUP_BYTES] = {(char)(group >> 16), (char)(group >> 8), (char)group};
    mde_buffer_append(out, bytes, chars - 1);
  }
  return out->status == MDE_OK;
}
