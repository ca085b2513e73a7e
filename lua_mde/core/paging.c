#include "core/paging.h"

#include <string.h>

enum { KEPT_BYTES = 1024 }; /* of each buffer, from call to call: most addresses are shorter */

void mde_paging_init(mde_paging *paging, const mde_memory *memory)
{
  *paging = (mde_paging){.pages = 0};
  mde_buffer_init(&paging->path, memory, MDE_URL_MAX);
  mde_buffer_init(&paging->url, memory, MDE_URL_MAX);
  mde_buffer_init(&paging->seen, memory, MDE_PAGES_MAX * sizeof(uint64_t));
}

void mde_paging_reset(mde_paging *paging)
{
  mde_buffer_trim(&paging->path, KEPT_BYTES);
  mde_buffer_trim(&paging->url, KEPT_BYTES);
  mde_buffer_trim(&paging->seen, KEPT_BYTES);
  paging->items = 0;
  paging->pages = 0;
}

void mde_paging_free(mde_paging *paging)
{
  mde_buffer_free(&paging->path);
  mde_buffer_free(&paging->url);
  mde_buffer_free(&paging->seen);
}

/* --- no circles --- */

static uint64_t address_hash(const mde_buffer *url)
{
  uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a: it guards against accidents only */
  for (size_t i = 0; i < url->length; i++)
    hash = (hash ^ (unsigned char)url->data[i]) * UINT64_C(1099511628211);
  return hash;
}

static bool seen_before(const mde_paging *paging, uint64_t hash)
{
  for (size_t at = 0; at < paging->seen.length; at += sizeof hash) {
    if (memcmp(paging->seen.data + at, &hash, sizeof hash) == 0)
      return true;
  }
  return false;
}

/* Of the page that is left. Most calls have but one, and need not remember any. */
static bool remember_address(mde_paging *paging)
{
  uint64_t hash = address_hash(&paging->url);
  return mde_buffer_append(&paging->seen, (const char *)&hash, sizeof hash) == MDE_OK;
}

static mde_paging_verdict check_address(const mde_paging *paging)
{
  if (seen_before(paging, address_hash(&paging->url)))
    return MDE_PAGING_CIRCLE;
  return paging->pages < MDE_PAGES_MAX ? MDE_PAGING_MORE : MDE_PAGING_TOO_MANY;
}

/* --- the first page --- */

static mde_status make_url(mde_paging *paging)
{
  int64_t skip = paging->query.skip + paging->items;
  mde_buffer_reset(&paging->url);
  mde_buffer_append(&paging->url, paging->path.data, paging->path.length);
  if (paging->query.top > 0)
    mde_uri_query_integer(&paging->url, "$top", paging->query.top);
  if (paging->query.has_skip || skip > 0)
    mde_uri_query_integer(&paging->url, "$skip", skip);
  return paging->url.status;
}

static void take_query(mde_paging *paging, const mde_query *query)
{
  if (query->filter.data != NULL)
    mde_uri_query(&paging->path, "$filter", query->filter);
  if (query->expand.data != NULL)
    mde_uri_query(&paging->path, "$expand", query->expand);
  paging->query = *query;
  paging->query.filter = paging->query.expand = (mde_slice){NULL, 0};
}

mde_status mde_paging_first(mde_paging *paging, const mde_base_url *base,
                            const mde_operation *operation, const mde_slice *segments,
                            const mde_query *query)
{
  paging->base = base;
  mde_buffer_append(&paging->path, base->origin.data, base->origin.length);
  mde_buffer_append(&paging->path, base->prefix.data, base->prefix.length);
  mde_uri_path(&paging->path, operation->path, segments, mde_operation_arguments(operation));
  take_query(paging, query);
  return paging->path.status == MDE_OK ? make_url(paging) : paging->path.status;
}

/* --- the pages after it --- */

/* The part of our own query that begins with `name`, up to the next "&"; empty if there is none. */
static mde_slice own_part(const mde_paging *paging, const char *name)
{
  const char *start = strstr(mde_buffer_text(&paging->path), name);
  if (start == NULL)
    return (mde_slice){"", 0};
  const char *end = strchr(start, '&');
  return (mde_slice){start, end != NULL ? (size_t)(end - start) : strlen(start)};
}

/* Links have been seen that forget the filter, and so go on with everything. A skip token stands for
 * the whole query; without one, what the link has lost is put back. */
static void restore_part(mde_paging *paging, const char *name, const char *escaped_name)
{
  const char *url = mde_buffer_text(&paging->url);
  mde_slice part = own_part(paging, name);
  if (part.length == 0 || strstr(url, "skiptoken") != NULL || strstr(url, name) != NULL ||
      strstr(url, escaped_name) != NULL)
    return;
  mde_buffer_append_char(&paging->url, strchr(url, '?') != NULL ? '&' : '?');
  mde_buffer_append(&paging->url, part.data, part.length);
}

static mde_paging_verdict restore_query(mde_paging *paging)
{
  restore_part(paging, "$filter=", "%24filter=");
  restore_part(paging, "$expand=", "%24expand=");
  switch (paging->url.status) {
  case MDE_OK:
    break;
  case MDE_TOO_LARGE:
    return MDE_PAGING_MALFORMED;
  case MDE_NO_MEMORY:
    return MDE_PAGING_NO_MEMORY;
  }
  return check_address(paging);
}

static mde_paging_verdict follow_link(mde_paging *paging, mde_slice link)
{
  switch (mde_uri_follow(&paging->url, paging->base, link)) {
  case MDE_LINK_OK:
    return restore_query(paging);
  case MDE_LINK_MALFORMED:
    return MDE_PAGING_MALFORMED;
  case MDE_LINK_NO_MEMORY:
    break;
  }
  return MDE_PAGING_NO_MEMORY;
}

/* With $skip, where a full page names no next one. */
static mde_paging_verdict skip_on(mde_paging *paging)
{
  switch (make_url(paging)) {
  case MDE_OK:
    return check_address(paging);
  case MDE_TOO_LARGE:
    return MDE_PAGING_MALFORMED; /* a few digits more, and the address is longer than any may be */
  case MDE_NO_MEMORY:
    break;
  }
  return MDE_PAGING_NO_MEMORY;
}

mde_paging_verdict mde_paging_next(mde_paging *paging, int64_t items, mde_slice next_link)
{
  const mde_query *query = &paging->query;
  paging->pages++;
  paging->items += items;
  if (query->max_items > 0 && paging->items >= query->max_items)
    return MDE_PAGING_END;
  if (next_link.length == 0 && (query->top == 0 || items < query->top))
    return MDE_PAGING_END;
  if (!remember_address(paging))
    return MDE_PAGING_NO_MEMORY;
  return next_link.length > 0 ? follow_link(paging, next_link) : skip_on(paging);
}

int64_t mde_paging_wanted(const mde_paging *paging, int64_t items)
{
  int64_t left = paging->query.max_items - paging->items;
  return paging->query.max_items == 0 || items < left ? items : left;
}
