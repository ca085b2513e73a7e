/* Ctrl-C, as the plain interpreters have it: a hook that raises "interrupted!" once, wherever Lua code
 * happens to run: also in somebody else's function that we call protected, to turn its failure into an
 * error of ours. The signal is no such failure.
 *
 *   if (!interrupt_pcall(L, 1, 1)) ...         the function's own error is on top */
#ifndef MDE_BIND_INTERRUPT_H
#define MDE_BIND_INTERRUPT_H

#include "bind/compat.h"

#include <stdbool.h>

/* As lua_pcall, true for success, but passes an interruption on. */
bool interrupt_pcall(lua_State *L, int arguments, int results);

#endif
