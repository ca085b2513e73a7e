#include "io/quota_format.h"

#include <string.h>

static const char MAGIC[8] = "mdequota"; /* no NUL */

enum { BYTE_ORDER_MARK = 0x01020304, HEADER_BYTES = 4096, ALIGNMENT = 64 };

_Static_assert(sizeof(mde_quota_header) <= HEADER_BYTES, "the header has its own page");

/* --- places --- */

static size_t entry_bytes(uint32_t capacity)
{
  size_t bytes = sizeof(mde_quota_entry) + mde_slots_bytes(capacity);
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t mde_quota_file_bytes(uint32_t capacity)
{
  return HEADER_BYTES + MDE_QUOTA_CELLS * entry_bytes(capacity);
}

mde_quota_entry *mde_quota_entry_at(const mde_quota_map *map, uint32_t index)
{
  return (void *)((char *)map->bytes + HEADER_BYTES + index * entry_bytes(map->capacity));
}

void mde_quota_entry_cell(const mde_quota_map *map, uint32_t index, mde_cell *cell)
{
  mde_quota_entry *entry = mde_quota_entry_at(map, index);
  cell->memory = &entry->memory;
  cell->slots = (mde_slots){(mde_word *)(entry + 1), map->capacity, map->salt + index};
}

/* --- checks --- */

static uint64_t mix(uint64_t number)
{
  number = (number ^ (number >> 33)) * UINT64_C(0xff51afd7ed558ccd);
  number = (number ^ (number >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
  return number ^ (number >> 33);
}

/* FNV-1a */
static uint64_t hash(uint64_t start, const void *bytes, size_t size)
{
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i++)
    start = (start ^ at[i]) * UINT64_C(0x100000001b3);
  return start;
}

static uint64_t header_check(const mde_quota_header *header)
{
  return mix(hash(UINT64_C(0xcbf29ce484222325), header, offsetof(mde_quota_header, check)));
}

static uint64_t guard_of(const mde_quota_map *map, uint64_t id)
{
  return mix(id ^ map->salt) | 1; /* zero is never right */
}

uint64_t mde_quota_id(const char *key, const char *operation)
{
  uint64_t id = hash(UINT64_C(0xcbf29ce484222325), key, strlen(key) + 1);
  id = mix(hash(id, operation, strlen(operation)));
  return id != 0 ? id : 1;
}

const char *mde_quota_header_fault(const mde_quota_header *header, uint64_t file_bytes)
{
  if (file_bytes < sizeof *header)
    return "it is cut off";
  if (memcmp(header->magic, MAGIC, sizeof MAGIC) != 0)
    return "it is not a quota file";
  if (header->byte_order != BYTE_ORDER_MARK)
    return "it was made by another kind of machine";
  if (header->format != MDE_QUOTA_FORMAT || header->cells != MDE_QUOTA_CELLS)
    return "it was made by another version of mde, with another format";
  if (header->check != header_check(header))
    return "its header is damaged";
  if (header->capacity == 0 || header->capacity % MDE_SLOTS_BLOCK != 0 ||
      header->capacity > mde_slots_capacity(MDE_CELL_CALLS_MAX))
    return "its header is wrong";
  if (file_bytes != mde_quota_file_bytes(header->capacity))
    return "it is cut off, or something was appended";
  return NULL;
}

/* --- making one --- */

void mde_quota_format(const mde_quota_map *map, const char boot_id[MDE_BOOT_ID_SIZE])
{
  mde_quota_header *header = map->bytes;
  memcpy(header->magic, MAGIC, sizeof MAGIC);
  header->format = MDE_QUOTA_FORMAT;
  header->byte_order = BYTE_ORDER_MARK;
  header->cells = MDE_QUOTA_CELLS;
  header->capacity = map->capacity;
  header->salt = map->salt;
  memcpy(header->boot_id, boot_id, MDE_BOOT_ID_SIZE);
  header->check = header_check(header);
  for (uint32_t i = 0; i < MDE_QUOTA_CELLS; i++) {
    mde_cell cell = {0};
    mde_quota_entry_cell(map, i, &cell);
    mde_cell_clear(&cell);
    atomic_store(&mde_quota_entry_at(map, i)->guard, guard_of(map, 0));
  }
}

/* --- finding a cell --- */

static void name(const mde_quota_map *map, mde_quota_entry *entry, const char *key,
                 const char *operation)
{
  memcpy(entry->key, key, strlen(key) + 1);
  memcpy(entry->operation, operation, strlen(operation) + 1);
  atomic_store(&entry->guard, guard_of(map, atomic_load(&entry->id)));
}

/* Between the two stores of whoever makes a cell the guard is still that of a free one. */
static bool is_damaged(const mde_quota_map *map, const mde_quota_entry *entry, uint64_t id)
{
  uint64_t guard = atomic_load(&entry->guard);
  return guard != guard_of(map, id) && guard != guard_of(map, 0);
}

typedef enum place { PLACE_OURS, PLACE_MADE, PLACE_DAMAGED, PLACE_OTHERS } place;

static place look(const mde_quota_map *map, mde_quota_entry *entry, uint64_t id)
{
  uint64_t seen = atomic_load(&entry->id);
  if (is_damaged(map, entry, seen))
    return seen == id ? PLACE_OURS : PLACE_DAMAGED;
  if (seen == 0 && atomic_compare_exchange_strong(&entry->id, &seen, id))
    return PLACE_MADE;
  return seen == id ? PLACE_OURS : PLACE_OTHERS;
}

mde_quota_found mde_quota_find(const mde_quota_map *map, const char *key, const char *operation,
                               uint32_t *index)
{
  uint64_t id = mde_quota_id(key, operation);
  bool damaged = false;
  for (uint32_t i = 0; i < MDE_QUOTA_CELLS; i++) {
    *index = (uint32_t)((id + i) % MDE_QUOTA_CELLS);
    mde_quota_entry *entry = mde_quota_entry_at(map, *index);
    place found = look(map, entry, id);
    damaged = damaged || found == PLACE_DAMAGED;
    if (found != PLACE_OURS && found != PLACE_MADE)
      continue;
    name(map, entry, key, operation);
    return found == PLACE_MADE && damaged ? MDE_QUOTA_SUSPECT : MDE_QUOTA_FOUND;
  }
  return MDE_QUOTA_FULL;
}

bool mde_quota_is_named(const mde_quota_map *map, uint32_t index, uint64_t id)
{
  const mde_quota_entry *entry = mde_quota_entry_at(map, index);
  return atomic_load(&entry->id) == id && atomic_load(&entry->guard) == guard_of(map, id);
}

static void inherit_name(const mde_quota_map *map, const mde_quota_map *from, uint32_t index)
{
  const mde_quota_entry *entry = mde_quota_entry_at(from, index);
  mde_quota_entry *copy = mde_quota_entry_at(map, index);
  memcpy(copy->key, entry->key, sizeof copy->key);
  memcpy(copy->operation, entry->operation, sizeof copy->operation);
  uint64_t id = atomic_load(&entry->id);
  atomic_store(&copy->id, id);
  atomic_store(&copy->guard, is_damaged(from, entry, id) ? 0 : guard_of(map, id));
}

void mde_quota_inherit(const mde_quota_map *map, const mde_quota_map *from, bool rebooted)
{
  for (uint32_t i = 0; i < MDE_QUOTA_CELLS; i++) {
    mde_cell cell = {0}, old = {0};
    inherit_name(map, from, i);
    mde_quota_entry_cell(map, i, &cell);
    mde_quota_entry_cell(from, i, &old);
    mde_cell_copy(&cell, &old, rebooted);
  }
}
