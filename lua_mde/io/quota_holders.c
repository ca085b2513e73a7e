#include "io/quota_holders.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { PID_SHIFT = 32 };

static uint64_t word_of(int64_t pid, int64_t now_ms)
{
  return (uint64_t)pid << PID_SHIFT | (uint32_t)(now_ms / 1000);
}

static int64_t pid_of(uint64_t word)
{
  return (int64_t)(word >> PID_SHIFT);
}

/* Signal 0 only asks. A process of another container may be alive and not be seen from here. */
static bool is_alive(int64_t pid)
{
  return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

static bool enter_at(mde_word *place, bool instead_of_the_dead, uint64_t word)
{
  uint64_t seen = atomic_load(place);
  if (seen != 0 && !(instead_of_the_dead && !is_alive(pid_of(seen))))
    return false;
  return atomic_compare_exchange_strong(place, &seen, word);
}

uint8_t mde_holders_enter(mde_quota_header *header, int64_t now_ms)
{
  uint64_t word = word_of(getpid(), now_ms);
  for (int i = 0; i < 2 * MDE_QUOTA_HOLDERS; i++) {
    int number = i % MDE_QUOTA_HOLDERS + 1;
    if (enter_at(&header->holders[number], i >= MDE_QUOTA_HOLDERS, word))
      return (uint8_t)number;
  }
  return MDE_HOLDER_UNNUMBERED;
}

void mde_holders_leave(mde_quota_header *header, uint8_t number)
{
  if (number == 0 || number > MDE_QUOTA_HOLDERS)
    return;
  uint64_t seen = atomic_load(&header->holders[number]);
  if (pid_of(seen) == getpid())
    atomic_compare_exchange_strong(&header->holders[number], &seen, 0);
}

bool mde_holders_look(const mde_quota_header *header, uint32_t number, int64_t now_ms,
                      mde_quota_holder *holder)
{
  uint64_t word = atomic_load(&header->holders[number]);
  if (word == 0)
    return false;
  holder->pid = pid_of(word);
  holder->seconds = now_ms / 1000 - (int64_t)(uint32_t)word;
  holder->alive = is_alive(holder->pid);
  holder->own = false;
  return true;
}
