/* The addresses of a call's pages: the first, and from each page's answer the next, if there is one.
 *
 *   mde_paging_init(&paging, memory);
 *   mde_paging_first(&paging, &base, operation, ids, &query);
 *   ... paging.url is asked for and answered ...
 *   if (mde_paging_next(&paging, items, next_link) == MDE_PAGING_MORE) ...    paging.url is the next
 *
 * The service's @odata.nextLink is followed; where $top was given it is often left out, and a full
 * page is then followed by asking on with $skip. Neither goes on for ever: an address seen before
 * and more than MDE_PAGES_MAX pages end it. It reads no JSON. */
#ifndef MDE_CORE_PAGING_H
#define MDE_CORE_PAGING_H

#include "core/buffer.h"
#include "core/operation.h"
#include "core/uri.h"

enum { MDE_PAGES_MAX = 1000 }; /* of one call */

/* What `alerts` and the like are asked for. Zeroed: everything. */
typedef struct mde_query {
  mde_slice filter, expand; /* data NULL: not given; borrowed only by mde_paging_first */
  bool has_skip;
  int64_t top, skip; /* top 0: not given */
  int64_t max_items; /* 0: no maximum */
} mde_query;

typedef enum mde_paging_verdict {
  MDE_PAGING_MORE,
  MDE_PAGING_END,
  MDE_PAGING_CIRCLE,
  MDE_PAGING_MALFORMED,
  MDE_PAGING_TOO_MANY,
  MDE_PAGING_NO_MEMORY
} mde_paging_verdict;

typedef struct mde_paging {
  const mde_base_url *base; /* borrows */
  mde_buffer path;          /* with origin and query, but without $top and $skip */
  mde_buffer url;           /* of the page to ask for */
  mde_buffer seen;          /* a hash of the address of each page before it */
  mde_query query;
  int64_t items; /* had so far */
  uint32_t pages;
} mde_paging;

void mde_paging_init(mde_paging *paging, const mde_memory *memory);
/* Forgets the pages, and keeps what memory they had for the next call's: a little. */
void mde_paging_reset(mde_paging *paging);
void mde_paging_free(mde_paging *paging);

/* Makes the first page's address; `segments` fill the path's placeholders. MDE_TOO_LARGE: it would
 * be longer than MDE_URL_MAX. Borrows base. */
mde_status mde_paging_first(mde_paging *paging, const mde_base_url *base,
                            const mde_operation *operation, const mde_slice *segments,
                            const mde_query *query);

/* A page came with so many items and that next link (empty: none). */
mde_paging_verdict mde_paging_next(mde_paging *paging, int64_t items, mde_slice next_link);

/* How many of a page's items are still wanted. */
int64_t mde_paging_wanted(const mde_paging *paging, int64_t items);

#endif
