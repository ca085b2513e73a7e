/* The version of mde, in its one place: the module, the user agent, the rockspec's spec and the
 * CHANGELOG's spec all read it from here. */
#ifndef MDE_CORE_VERSION_H
#define MDE_CORE_VERSION_H

#define MDE_VERSION "0.1.0"

#endif
