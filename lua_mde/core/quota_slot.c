#include "core/quota_slot.h"

uint64_t mde_slot_make(int64_t stamp_ms, uint8_t holder, uint64_t salt)
{
  uint64_t word = mde_slot_since(stamp_ms) | (uint64_t)holder << 16;
  return word | mde_slot_check(word, salt);
}
