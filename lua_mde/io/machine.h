/* Facts about the machine's clock that processes must agree on before they compare moments. */
#ifndef MDE_IO_MACHINE_H
#define MDE_IO_MACHINE_H

#include <stdint.h>

enum { MDE_BOOT_ID_SIZE = 48 };

/* Differs after each start of the machine; empty where the system does not tell. NUL-terminated, and
 * filled up with NULs. */
void mde_machine_boot_id(char boot_id[MDE_BOOT_ID_SIZE]);

/* How far this process's clock is ahead of the machine's own: other than 0 in a container with a
 * time namespace (man 7 time_namespaces). */
int64_t mde_machine_clock_ahead_ms(void);

#endif
