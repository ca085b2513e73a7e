/* Tells a forked child from its parent, without a system call each time where the kernel helps: a
 * page that is empty in the child.
 *
 *   mde_fork_mark_set(&mark);
 *   ... fork() ...
 *   if (!mde_fork_mark_is_own(&mark)) ...      only in the child */
#ifndef MDE_IO_FORK_MARK_H
#define MDE_IO_FORK_MARK_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct mde_fork_mark {
  volatile unsigned char *page; /* NULL: the kernel does not help */
  pid_t pid;
} mde_fork_mark;

/* Marks this process. May be set again; cannot fail. */
void mde_fork_mark_set(mde_fork_mark *mark);
/* False in a child, and for a mark that is all zero. */
bool mde_fork_mark_is_own(const mde_fork_mark *mark);
void mde_fork_mark_clear(mde_fork_mark *mark);

#endif
