#include "io/network_drive.h"

#include <stddef.h>

#if defined(__linux__)

#include <sys/vfs.h>

/* From linux/magic.h and statfs(2). */
static const struct {
  unsigned long type;
  const char *name;
} drives[] = {
    {0x6969, "nfs"},        {0xff534d42, "cifs"}, {0xfe534d42, "smb2"},   {0x517b, "smb"},
    {0x5346414f, "afs"},    {0x00c36400, "ceph"}, {0x0bd00bd0, "lustre"}, {0x01161970, "gfs2"},
    {0x7461636f, "ocfs2"},  {0x01021997, "9p"},   {0x73757245, "coda"},   {0x6b414653, "afs"},
    {0x19830326, "beegfs"}, {0x47504653, "gpfs"},
};

const char *mde_network_drive(int fd)
{
  struct statfs facts;
  if (fstatfs(fd, &facts) != 0)
    return NULL;
  for (size_t i = 0; i < sizeof drives / sizeof drives[0]; i++) {
    if (((unsigned long)facts.f_type & 0xffffffff) == drives[i].type)
      return drives[i].name;
  }
  return NULL;
}

#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__)

#include <string.h>
#include <sys/mount.h>
#include <sys/param.h>

static const char *const drives[] = {"nfs", "smbfs", "afpfs", "webdav", "p9fs"};

const char *mde_network_drive(int fd)
{
  struct statfs facts;
  if (fstatfs(fd, &facts) != 0)
    return NULL;
  for (size_t i = 0; i < sizeof drives / sizeof drives[0]; i++) {
    if (strcmp(facts.f_fstypename, drives[i]) == 0)
      return drives[i];
  }
  return NULL;
}

#else

const char *mde_network_drive(int fd)
{
  (void)fd;
  return NULL;
}

#endif
