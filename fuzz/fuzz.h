/* What the fuzz targets share: an input that is cut into lines, and beside it all of
 * spec/core/test.h. Outside of a test cmocka's assertions end the program, which libFuzzer takes
 * for a crash.
 *
 *   fuzz_input input = fuzz_begin(bytes, size);
 *   mde_slice id = fuzz_line(&input);
 *   mde_slice body = fuzz_rest(&input);
 *   fuzz_free(&input);
 *
 * Each piece is a block of its own: whoever reads beyond its end is found out. */
#ifndef MDE_FUZZ_H
#define MDE_FUZZ_H

#include "core/buffer.h"
#include "test.h"

enum { FUZZ_PIECES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

typedef struct fuzz_input {
  const uint8_t *at;
  size_t left;
  char *pieces[FUZZ_PIECES_MAX];
  size_t count;
} fuzz_input;

static inline fuzz_input fuzz_begin(const uint8_t *bytes, size_t size)
{
  return (fuzz_input){.at = bytes, .left = size};
}

static inline mde_slice fuzz_piece(fuzz_input *input, size_t length)
{
  assert_true(input->count < FUZZ_PIECES_MAX);
  char *piece = malloc(length > 0 ? length : 1);
  if (length > 0)
    memcpy(piece, input->at, length);
  input->pieces[input->count++] = piece;
  input->at += length;
  input->left -= length;
  return (mde_slice){piece, length};
}

static inline mde_slice fuzz_rest(fuzz_input *input)
{
  return fuzz_piece(input, input->left);
}

/* Without its end. */
static inline mde_slice fuzz_line(fuzz_input *input)
{
  const uint8_t *end = input->left > 0 ? memchr(input->at, '\n', input->left) : NULL;
  if (end == NULL)
    return fuzz_rest(input);
  mde_slice line = fuzz_piece(input, (size_t)(end - input->at));
  input->at++;
  input->left--;
  return line;
}

/* A line's number, between the two; anything else is one, too. */
static inline int64_t fuzz_number(fuzz_input *input, int64_t low, int64_t high)
{
  mde_slice line = fuzz_line(input);
  uint64_t number = 0;
  for (size_t i = 0; i < line.length; i++)
    number = number * 10 + (uint64_t)(line.data[i] - '0');
  return low + (int64_t)(number % (uint64_t)(high - low + 1));
}

static inline void fuzz_free(fuzz_input *input)
{
  while (input->count > 0)
    free(input->pieces[--input->count]);
}

static inline bool fuzz_same(mde_slice one, const char *data, size_t length)
{
  return one.length == length && (length == 0 || memcmp(one.data, data, length) == 0);
}

#endif
