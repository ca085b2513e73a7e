/* Addresses: the configured host, path templates, OData queries and the service's next links.
 *
 *   mde_base_url base;
 *   mde_base_url_parse(&base, text, length);              https://api.security.microsoft.com
 *   mde_uri_path(&url, "/api/alerts/{id}/ips", ids, 1);   /api/alerts/da637%2F1/ips
 *   mde_uri_query(&url, "$filter", filter);               ?$filter=severity%20eq%20%27High%27
 *
 * It does not resolve names, normalise dot segments or decode anything. */
#ifndef MDE_CORE_URI_H
#define MDE_CORE_URI_H

#include "core/buffer.h"

enum { MDE_URL_MAX = 32768 };

typedef struct mde_base_url {
  mde_slice origin; /* scheme, host and port */
  mde_slice prefix; /* of every path: empty, or begins with "/" and does not end with it */
  bool https;
  bool loopback;   /* localhost, 127.0.0.0/8 or ::1 */
  bool link_local; /* 169.254.0.0/16: what it is sent stays on this machine's own link */
} mde_base_url;

/* Borrows `text`. False for anything but http(s)://host[:port][/prefix]: no user name, no query. */
bool mde_base_url_parse(mde_base_url *base, const char *text, size_t length);

/* May it stand as one path segment? Not if empty, "." or "..", nor with control characters. */
bool mde_uri_segment_valid(mde_slice segment);

/* Appends all bytes but RFC 3986's unreserved as %XX. */
mde_status mde_uri_escape(mde_buffer *out, mde_slice bytes);

/* Appends the path with each {placeholder} filled in, in order, as one escaped segment. */
mde_status mde_uri_path(mde_buffer *out, const char *path, const mde_slice *segments, size_t count);

/* Appends name=value, escaped, behind the right one of "?" and "&". */
mde_status mde_uri_query(mde_buffer *out, const char *name, mde_slice value);
mde_status mde_uri_query_integer(mde_buffer *out, const char *name, int64_t value);

typedef enum mde_link_verdict {
  MDE_LINK_OK,
  MDE_LINK_MALFORMED,
  MDE_LINK_NO_MEMORY
} mde_link_verdict;

/* Makes `out` the link's path and query on the configured host, whatever host the link names: the
 * token goes nowhere else. What may not stand in a URL is escaped; a control character, a "%" that
 * escapes nothing, a missing path or an endless one makes the link malformed. */
mde_link_verdict mde_uri_follow(mde_buffer *out, const mde_base_url *base, mde_slice link);

#endif
