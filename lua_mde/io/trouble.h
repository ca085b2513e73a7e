/* What went wrong, as a text for people, in room that the caller has.
 *
 *   char text[MDE_TROUBLE_SIZE];
 *   mde_trouble trouble = {.text = text, .size = sizeof text};
 *   return mde_trouble_say_of(&trouble, "private key", path, "it is empty");
 *       false, and the text is: private key 'PATH': it is empty
 *
 * A want of memory is told apart, since Lua has an error of its own for it. Nothing here is freed, and
 * a text that is too long is cut. */
#ifndef MDE_IO_TROUBLE_H
#define MDE_IO_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>

enum { MDE_TROUBLE_SIZE = 1024 };

typedef struct mde_trouble {
  char *text; /* borrows */
  size_t size;
  bool no_memory;
} mde_trouble;

#if defined(__GNUC__)
#define MDE_TROUBLE_FORMAT(template, first) __attribute__((format(printf, template, first)))
#else
#define MDE_TROUBLE_FORMAT(template, first)
#endif

/* All of them return false, so that whoever fails can return them. */
bool mde_trouble_say(mde_trouble *trouble, const char *format, ...) MDE_TROUBLE_FORMAT(2, 3);
/* About a file: `what` it is, and its path, of which a very long one is cut. */
bool mde_trouble_say_of(mde_trouble *trouble, const char *what, const char *path,
                        const char *format, ...) MDE_TROUBLE_FORMAT(4, 5);
bool mde_trouble_no_memory(mde_trouble *trouble);

#endif
