#include "io/fork_mark.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
  long size = sysconf(_SC_PAGESIZE);
  return size > 0 ? (size_t)size : 4096;
}

#if defined(MADV_WIPEONFORK)
static volatile unsigned char *new_page(void)
{
  void *page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return NULL;
  if (madvise(page, page_size(), MADV_WIPEONFORK) == 0)
    return page;
  munmap(page, page_size());
  return NULL;
}
#else
static volatile unsigned char *new_page(void)
{
  return NULL;
}
#endif

void mde_fork_mark_set(mde_fork_mark *mark)
{
  if (mark->page == NULL)
    mark->page = new_page();
  if (mark->page != NULL)
    *mark->page = 1;
  mark->pid = getpid();
}

bool mde_fork_mark_is_own(const mde_fork_mark *mark)
{
  return mark->page != NULL ? *mark->page == 1 : mark->pid == getpid();
}

void mde_fork_mark_clear(mde_fork_mark *mark)
{
  if (mark->page != NULL)
    munmap((void *)(size_t)mark->page, page_size());
  mark->page = NULL;
  mark->pid = 0;
}
