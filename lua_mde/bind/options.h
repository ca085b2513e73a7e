/* Options tables: one row for each option says its name, its type, its range and where it goes.
 *
 *   static const option_row rows[] = {
 *       {"timeout", OPTION_SECONDS, offsetof(mde_call_limits, timeout_ms), 0.001, 86400},
 *       {"on_event", OPTION_FUNCTION, 0, 0, 0},
 *       {NULL, OPTION_END, 0, 0, 0}};
 *   options_read(L, 1, rows, &limits);
 *
 * An unknown name raises an error that names the nearest known one; so does a wrong type and a value
 * out of range. Options that are not there leave their place as it was. */
#ifndef MDE_BIND_OPTIONS_H
#define MDE_BIND_OPTIONS_H

#include "bind/compat.h"
#include "core/window.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum option_type {
  OPTION_END,
  OPTION_SECONDS,  /* int64_t, in milliseconds */
  OPTION_COUNT,    /* uint32_t */
  OPTION_NUMBER,   /* int64_t, a whole number */
  OPTION_SIZE,     /* size_t, bytes */
  OPTION_TEXT,     /* mde_slice; visible ASCII and spaces; borrows from the options table */
  OPTION_BYTES,    /* mde_slice; anything but control characters */
  OPTION_FUNCTION, /* only checked: the caller takes it out of the table */
  OPTION_WINDOWS,  /* mde_windows */
  OPTION_ANY       /* the caller's own business */
} option_type;

typedef struct option_row {
  const char *name;
  option_type type;
  size_t offset;
  double min, max; /* of numbers */
} option_row;

/* Raw, as options_read reads: a metatable would have options taken that nobody has checked. */
void options_push(lua_State *L, int argument, const char *name);
bool options_has(lua_State *L, int argument, const char *name);

/* Reads the table at `argument` into `target`. Raises with luaL_argerror. */
void options_read(lua_State *L, int argument, const option_row *rows, void *target);

#endif
