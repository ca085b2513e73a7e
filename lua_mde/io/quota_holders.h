/* Who has a quota's file open: one word for each, for people to read. Nothing is decided by it.
 *
 *   uint8_t number = mde_holders_enter(holders, now_ms);     from 1 on; 255: the table is full
 *   mde_holders_leave(holders, number); */
#ifndef MDE_IO_QUOTA_HOLDERS_H
#define MDE_IO_QUOTA_HOLDERS_H

#include "io/quota_format.h"

typedef struct mde_quota_holder {
  int64_t pid;
  int64_t seconds; /* since it opened the file */
  bool alive;      /* as far as this process can see */
  bool own;        /* it is this opening of the file */
} mde_quota_holder;

uint8_t mde_holders_enter(mde_quota_header *header, int64_t now_ms);
void mde_holders_leave(mde_quota_header *header, uint8_t number);

/* `number` from 1 to MDE_QUOTA_HOLDERS; false: nobody. */
bool mde_holders_look(const mde_quota_header *header, uint32_t number, int64_t now_ms,
                      mde_quota_holder *holder);

#endif
