/* What an answer's head and body say to the caller: the status, how long to wait, which limit holds.
 *
 *   mde_response response;
 *   mde_response_init(&response, memory, max_body_bytes);
 *   mde_response_header(&response, "Retry-After: 12\r\n", 17);   line by line, as they arrive
 *   mde_buffer_append(&response.body, bytes, size);              decoded bytes
 *   mde_response_retry_after_ms(&response)                       12000
 *
 * It keeps only the headers that it understands, and reads no JSON: a body is Lua's business. */
#ifndef MDE_CORE_RESPONSE_H
#define MDE_CORE_RESPONSE_H

#include "core/buffer.h"
#include "core/window.h"

enum {
  MDE_BODY_KEPT_MAX = 16384,       /* bytes of memory; an alert is smaller, a page of many is not */
  MDE_HEADER_VALUE_MAX = 63,       /* longer values of the headers below are garbage */
  MDE_RETRY_AFTER_MAX_MS = 3600000 /* the longest window there is; more is clamped to it */
};

typedef struct mde_response {
  int status;
  mde_buffer body;
  char retry_after[MDE_HEADER_VALUE_MAX + 1];
  char retry_after_ms[MDE_HEADER_VALUE_MAX + 1];
  char date[MDE_HEADER_VALUE_MAX + 1];
} mde_response;

void mde_response_init(mde_response *response, const mde_memory *memory, size_t max_body_bytes);

/* Forgets the answer, keeps the body's memory for the next one. */
void mde_response_reset(mde_response *response);
void mde_response_free(mde_response *response);

/* Takes in one line of a head, line end included or not. A status line starts a new head (after 100
 * Continue and the like). */
void mde_response_header(mde_response *response, const char *line, size_t length);

/* What Retry-After, retry-after-ms or x-ms-retry-after-ms asks for, between 0 and
 * MDE_RETRY_AFTER_MAX_MS; -1 if nothing (or garbage, or a negative number) was said. A date is taken
 * against the answer's own Date, so that no clock need be right. */
int64_t mde_response_retry_after_ms(const mde_response *response);

/* Reads "maximum allowed N per HH:MM:SS" out of a body. False if it is not there. */
bool mde_response_limit(const mde_response *response, mde_window *limit);

/* Seconds since 1970 of an HTTP date in any of its three forms (RFC 9110, 5.6.7); -1 for others. */
int64_t mde_http_date(const char *text);

#endif
