/* The environment variables that a client heeds where an option leaves the choice to them. */
#ifndef MDE_IO_ENVIRONMENT_H
#define MDE_IO_ENVIRONMENT_H

#include <stdbool.h>

/* Each borrows from the environment: copy it at once. NULL: not set, or set to nothing. */
const char *mde_environment_proxy(bool https);
const char *mde_environment_no_proxy(void);
const char *mde_environment_ca_file(void);
/* AZURE_CLIENT_ID and the others that Azure's SDKs read. */
const char *mde_environment_azure(const char *name);

#endif
