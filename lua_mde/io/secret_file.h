/* A small file that holds a secret: a token, a private key. It is read whole, if it can be trusted.
 *
 *   mde_buffer_init_secret(&content, memory, 65536);       its maximum is the file's
 *   mde_secret_file file = {.what = "token file", .path = path, .mark = &mark};
 *   if (!mde_secret_file_read(&file, &content, &trouble)) ... trouble.text
 *   ...
 *   if (!mde_secret_file_mark(path, &now) || !mde_file_mark_equal(&now, &mark)) ...    read it again
 *
 * It must be a regular file of root or of the effective user which nobody else may write; that others
 * may read it is left to whoever made it. Symbolic links are followed: Kubernetes hands out tokens
 * through them. It does not wait for a FIFO, look at the folders above, or take line breaks off. */
#ifndef MDE_IO_SECRET_FILE_H
#define MDE_IO_SECRET_FILE_H

#include "core/buffer.h"
#include "io/trouble.h"

/* Which file it was, in which state. A zeroed one is no file's. */
typedef struct mde_file_mark {
  uint64_t dev;
  uint64_t ino;
  int64_t size;
  int64_t mtime_ns;
  int64_t ctime_ns;
} mde_file_mark;

typedef struct mde_secret_file {
  const char *what;    /* for people: "token file" */
  const char *path;    /* borrows, as `what` */
  mde_file_mark *mark; /* of the file that was read, from before the reading; NULL: not wanted */
} mde_secret_file;

/* Empties `content` first, and again when it fails. The mark is zeroed when it fails. */
bool mde_secret_file_read(const mde_secret_file *file, mde_buffer *content, mde_trouble *trouble);

/* False, and a zeroed mark: the file cannot be looked at. */
bool mde_secret_file_mark(const char *path, mde_file_mark *mark);
bool mde_file_mark_equal(const mde_file_mark *a, const mde_file_mark *b);

#endif
