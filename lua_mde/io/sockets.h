/* The sockets that a transport has open: close-on-exec from birth, and known by number, so that a
 * forked child can let go of its copies without a word to the other side.
 *
 *   int fd = mde_sockets_open(&sockets, AF_INET, SOCK_STREAM, IPPROTO_TCP);
 *   mde_sockets_close(&sockets, fd);
 *   mde_sockets_mute(&sockets);        in a child: whatever is now written to them goes nowhere */
#ifndef MDE_IO_SOCKETS_H
#define MDE_IO_SOCKETS_H

#include "core/memory.h"

typedef struct mde_sockets {
  int *fds;
  size_t count;
  size_t capacity;
  const mde_memory *memory; /* borrows */
} mde_sockets;

void mde_sockets_init(mde_sockets *sockets, const mde_memory *memory);
/* Forgets the numbers; closes nothing. */
void mde_sockets_free(mde_sockets *sockets);

/* -1 if there is no socket, or no memory to remember it. */
int mde_sockets_open(mde_sockets *sockets, int family, int type, int protocol);
void mde_sockets_close(mde_sockets *sockets, int fd);
void mde_sockets_mute(mde_sockets *sockets);

/* Nothing but an end is read from them any more. */
void mde_sockets_end(mde_sockets *sockets);

/* If something has come that nobody has read, its end included, reads it and then nothing but an end. */
void mde_socket_end_unclean(int fd);

/* The lowest descriptors that are free now, to find out which of them a library has opened. */
enum { MDE_SPARE_FDS = 4 };
void mde_spare_fds(int spare[MDE_SPARE_FDS]);
/* Makes close-on-exec those of them that have been opened since. */
void mde_spare_fds_seal(const int spare[MDE_SPARE_FDS]);

#endif
