/* Whether a file is on a drive that other machines share: there is no memory that they share. */
#ifndef MDE_IO_NETWORK_DRIVE_H
#define MDE_IO_NETWORK_DRIVE_H

/* The kind of network drive ("nfs"), or NULL: a local one, or none that this system tells. */
const char *mde_network_drive(int fd);

#endif
