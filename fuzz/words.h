/* What words for people must be, whoever they came from: nothing that disturbs a terminal or a
 * log, and nothing of an address's query, which may hold a filter. */
#ifndef MDE_FUZZ_WORDS_H
#define MDE_FUZZ_WORDS_H

#include "fuzz.h"

static inline void assert_calm(const char *text, size_t length)
{
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    unsigned char next = i + 1 < length ? (unsigned char)text[i + 1] : 0;
    assert_true(byte >= 0x20 && byte != 0x7f);
    assert_false(byte == 0xc2 && next >= 0x80 && next < 0xa0);
  }
}

/* How many bytes of UTF-8 the character there takes; 0: none begins there. Its value does not
 * matter. */
static inline size_t character_at(const char *text, size_t left)
{
  unsigned char first = (unsigned char)text[0];
  size_t size = first < 0x80       ? 1
                : first >> 5 == 6  ? 2
                : first >> 4 == 14 ? 3
                : first >> 3 == 30 ? 4
                                   : 0;
  for (size_t i = 1; i < size; i++) {
    if (i >= left || ((unsigned char)text[i] & 0xc0) != 0x80)
      return 0;
  }
  return size;
}

static inline bool is_utf8(const char *text, size_t length)
{
  for (size_t at = 0, size; at < length; at += size) {
    size = character_at(text + at, length - at);
    if (size == 0)
      return false;
  }
  return true;
}

/* Of one party's words: behind "?x" come at most the three dots that say that there was more. */
static inline void assert_no_query(const char *text, size_t length)
{
  for (size_t i = 0; i + 1 < length; i++) {
    if (text[i] == '?' && strchr(" \"'", text[i + 1]) == NULL) {
      assert_int_equal(length - i, 4);
      assert_memory_equal(text + i, "?...", 4);
    }
  }
}

#endif
