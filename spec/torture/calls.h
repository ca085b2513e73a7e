/* The system calls of lua_mde/io, each of which can be made to fail.
 *
 *   torture_call *call = torture_call_find("flock");
 *   call->fail_at = 2;  call->code = EINTR;     the second one fails
 *
 * The linker sends here (`ld --wrap`) what our own objects call; Lua, libcurl and the C library call their own. */
#ifndef MDE_TORTURE_CALLS_H
#define MDE_TORTURE_CALLS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct torture_call {
  const char *name;
  size_t fail_at; /* from 1; 0: none */
  bool for_good;  /* ... and all after it */
  int code;       /* errno */
  size_t count;
} torture_call;

/* Ends with one that has no name. */
extern torture_call *torture_calls;

/* First of all. */
bool torture_calls_start(void);

torture_call *torture_call_find(const char *name);

/* What is open, and what is mapped. */
size_t torture_descriptors(void);
size_t torture_maps(void);

#endif
