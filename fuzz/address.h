/* What every address must be that a token is sent to, whatever the ids, filters and links that it
 * was made of. */
#ifndef MDE_FUZZ_ADDRESS_H
#define MDE_FUZZ_ADDRESS_H

#include "core/uri.h"
#include "fuzz.h"

/* Scheme, host and port, and nothing that a client could take for the host's end or for somebody's
 * name. */
static inline void assert_origin(const mde_base_url *base)
{
  size_t scheme = base->https ? 8 : 7;
  assert_memory_equal(base->origin.data, base->https ? "https://" : "http://", scheme);
  assert_true(base->origin.length > scheme);
  for (size_t i = scheme; i < base->origin.length; i++) {
    char byte = base->origin.data[i];
    assert_true(byte > ' ' && byte < 0x7f && strchr("/\\?#@%\"<>", byte) == NULL);
  }
}

/* Visible ASCII only, and the configured host's: what follows the origin can be no part of a host.
 * */
static inline void assert_address(const mde_base_url *base, const mde_buffer *url)
{
  assert_true(url->length > base->origin.length && url->length <= MDE_URL_MAX);
  assert_memory_equal(url->data, base->origin.data, base->origin.length);
  assert_int_equal(url->data[base->origin.length], '/');
  for (size_t i = 0; i < url->length; i++)
    assert_true(url->data[i] > ' ' && url->data[i] < 0x7f && url->data[i] != '#');
}

static inline int hex_value(char digit)
{
  static const char digits[] = "0123456789ABCDEF";
  const char *at = memchr(digits, digit, 16);
  assert_non_null(at);
  return (int)(at - digits);
}

/* How many bytes of the text stand for the bytes, escaped: each must do so in the one right way. */
static inline size_t assert_escaped(const char *text, mde_slice bytes)
{
  const char *at = text;
  for (size_t i = 0; i < bytes.length; i++) {
    unsigned char byte = (unsigned char)bytes.data[i];
    bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                 (byte >= 'a' && byte <= 'z') || (byte != 0 && strchr("-._~", byte) != NULL);
    if (plain) {
      assert_int_equal(*at++, byte);
      continue;
    }
    assert_int_equal(at[0], '%');
    assert_int_equal(hex_value(at[1]) * 16 + hex_value(at[2]), byte);
    at += 3;
  }
  return (size_t)(at - text);
}

#endif
