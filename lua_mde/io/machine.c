#include "io/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The start of a small file, as text; empty if it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd >= 0 ? read(fd, text, size - 1) : 0;
  text[length > 0 ? length : 0] = '\0';
  if (fd >= 0)
    close(fd);
}

void mde_machine_boot_id(char boot_id[MDE_BOOT_ID_SIZE])
{
  char text[MDE_BOOT_ID_SIZE];
  memset(boot_id, 0, MDE_BOOT_ID_SIZE);
  read_text("/proc/sys/kernel/random/boot_id", text, sizeof text);
  text[strcspn(text, "\n")] = '\0';
  memcpy(boot_id, text, strlen(text));
}

/* "monotonic 0 0\nboottime SECONDS NANOSECONDS\n" */
int64_t mde_machine_clock_ahead_ms(void)
{
  char text[256];
  int64_t seconds = 0, nanoseconds = 0;
  read_text("/proc/self/timens_offsets", text, sizeof text);
  const char *line = strstr(text, "boottime");
  if (line == NULL || sscanf(line, "boottime %" SCNd64 " %" SCNd64, &seconds, &nanoseconds) != 2)
    return 0;
  return seconds * 1000 + nanoseconds / 1000000;
}
