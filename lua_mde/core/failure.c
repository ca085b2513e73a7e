#include "core/failure.h"

#include <stdio.h>
#include <string.h>

enum { SERVICE_MESSAGE_MAX = 300 };

mde_error_kind mde_failure_kind_of_status(int status)
{
  switch (status) {
  case 401:
  case 403:
    return MDE_ERROR_AUTH;
  case 404:
    return MDE_ERROR_NOT_FOUND;
  case 429:
    return MDE_ERROR_RATE_LIMITED;
  default:
    return MDE_ERROR_HTTP;
  }
}

/* --- pieces of sentences --- */

static void add(mde_buffer *text, const char *words)
{
  mde_buffer_append_text(text, words);
}

/* ASCII's control characters, and the first byte of UTF-8's C1 ones, which some terminals obey. */
static bool disturbs(mde_slice words, size_t at)
{
  unsigned char byte = (unsigned char)words.data[at];
  unsigned char next = at + 1 < words.length ? (unsigned char)words.data[at + 1] : 0;
  return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0);
}

/* "Why?" is a question, "?a=b" and "/x?a" are not. */
static bool begins_query(mde_slice words, size_t at)
{
  return words.data[at] == '?' && at + 1 < words.length &&
         memchr(" \"'", words.data[at + 1], 3) == NULL;
}

/* Of a UTF-8 character, but its first. */
static bool is_continuation(char byte)
{
  return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Whole UTF-8 characters only. */
static size_t shortened(mde_slice words, size_t most)
{
  if (words.length <= most)
    return words.length;
  size_t length = most;
  while (length > 0 && is_continuation(words.data[length]))
    length--;
  return length;
}

/* What is appended as one: where a sentence has no more room it ends with a whole one. */
static size_t character_bytes(mde_slice words, size_t at, size_t length)
{
  size_t end = at + 1;
  while ((unsigned char)words.data[at] >= 0xc0 && end < length && is_continuation(words.data[end]))
    end++;
  return end - at;
}

/* Whoever cut the words before may have cut their last character, too. */
static bool is_half(mde_slice words, size_t at, size_t size)
{
  unsigned char first = (unsigned char)words.data[at];
  size_t whole = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  return size < whole && at + size == words.length;
}

/* Another party's words: shortened, without anything that would disturb a terminal or a log, and
 * only up to the query of an address that they quote: where it ends cannot be told, because a filter
 * may hold spaces and quotes. */
static void add_at_most(mde_buffer *text, mde_slice words, size_t most)
{
  size_t length = shortened(words, most);
  for (size_t i = 0, size; i < length; i += size) {
    size = character_bytes(words, i, length);
    if (disturbs(words, i))
      mde_buffer_append_char(text, ' ');
    else if (!is_half(words, i, size))
      mde_buffer_append(text, words.data + i, size);
    if (begins_query(words, i))
      length = i + size;
  }
  if (length < words.length)
    add(text, "...");
}

static void add_foreign(mde_buffer *text, mde_slice words)
{
  add_at_most(text, words, SERVICE_MESSAGE_MAX);
}

static void end_sentence(mde_buffer *text)
{
  if (text->length > 0 && text->data[text->length - 1] != '.')
    add(text, ".");
}

static void add_detail(mde_buffer *text, const char *start, const mde_failure *failure)
{
  if (failure->detail[0] == '\0')
    return;
  add(text, start);
  add_foreign(text, (mde_slice){failure->detail, strlen(failure->detail)});
}

static void add_seconds(mde_buffer *text, int64_t wait_ms)
{
  int64_t tenths = (wait_ms + 99) / 100;
  mde_buffer_append_integer(text, tenths / 10);
  if (tenths % 10 != 0) {
    mde_buffer_append_char(text, '.');
    mde_buffer_append_integer(text, tenths % 10);
  }
  add(text, " s");
}

static void add_retry_after(mde_buffer *text, const mde_failure *failure)
{
  if (failure->retry_after_ms < 0)
    return;
  add(text, " Try again in ");
  add_seconds(text, failure->retry_after_ms);
  add(text, ".");
}

static void add_unknown(mde_buffer *text, const mde_failure *failure)
{
  if (failure->unknown)
    add(text,
        " The request was sent: whether it took effect is unknown; look before you repeat it.");
}

static void add_origin(mde_buffer *text, const mde_failure_context *context)
{
  mde_buffer_append(text, context->origin.data, context->origin.length);
}

static void add_attempts(mde_buffer *text, const mde_failure *failure)
{
  if (failure->attempts < 2)
    return;
  add(text, " after ");
  mde_buffer_append_integer(text, failure->attempts);
  add(text, " attempts");
}

/* " (404 ResourceNotFound): what the service said." */
static void add_answer(mde_buffer *text, const mde_failure *failure,
                       const mde_failure_context *context)
{
  add(text, " (");
  mde_buffer_append_integer(text, failure->status);
  if (context->service_code.length > 0) {
    mde_buffer_append_char(text, ' ');
    add_foreign(text, context->service_code);
  }
  add(text, ")");
  add_attempts(text, failure);
  if (context->service_message.length > 0) {
    add(text, ": ");
    add_foreign(text, context->service_message);
  }
  end_sentence(text);
}

/* --- sentences --- */

static const char *status_says(const mde_failure *failure)
{
  switch (failure->status) {
  case 401:
    return "the service refused the token";
  case 403:
    return "not permitted";
  case 429:
    return "the service's limit for this operation is used up";
  default:
    break;
  }
  if (failure->status >= 300 && failure->status < 400)
    return "answered with a redirect, which is not followed";
  return failure->status >= 500 ? "the service failed" : "the request was refused";
}

static void explain_subject(mde_buffer *text, const mde_failure *failure,
                            const mde_failure_context *context)
{
  if (failure->status == 404) {
    add(text, "the ");
    add(text, context->operation->subject);
    add(text, " was not found");
  } else {
    add(text, status_says(failure));
  }
}

static void advise(mde_buffer *text, const mde_failure *failure, const mde_failure_context *context)
{
  if (context->hint.length > 0) {
    add(text, " ");
    add_at_most(text, context->hint, MDE_FAILURE_TEXT_MAX);
  } else if (failure->status == 401) {
    add(text, " Get a new token; its audience must be ");
    mde_buffer_append(text, context->audience.data, context->audience.length);
    add(text, ".");
  } else if (failure->status == 403) {
    add(text, " The token needs the permission ");
    add(text, context->operation->permission);
    add(text, ", granted to the app registration and consented to by an administrator.");
  } else if (failure->status == 404) {
    add(text,
        " Check the id; it may also be past the retention period or out of the token's reach.");
  } else if (failure->status >= 300 && failure->status < 400) {
    add(text, " Check base_url and the proxy.");
  }
}

static void explain_status(mde_buffer *text, const mde_failure *failure,
                           const mde_failure_context *context)
{
  explain_subject(text, failure, context);
  add_answer(text, failure, context);
  advise(text, failure, context);
  if (context->service_target.length > 0) {
    add(text, " Correlation id: ");
    add_foreign(text, context->service_target);
    add(text, ".");
  }
  add_unknown(text, failure);
  add_retry_after(text, failure);
}

/* Of what is too large, the body is meant unless something else is named. */
static const char *transport_advice(const mde_failure *failure)
{
  bool is_named = failure->kind == MDE_ERROR_TOO_LARGE && failure->detail[0] != '\0';
  switch (is_named ? MDE_ERROR_NETWORK : failure->kind) {
  case MDE_ERROR_TLS:
    return " Check the host name, the clock and, behind an inspecting proxy, ca_file.";
  case MDE_ERROR_TIMEOUT:
    return " Check the network, or allow more with timeout or connect_timeout.";
  case MDE_ERROR_TOO_LARGE:
    return " Ask for less (top, filter), or allow more with max_body.";
  default:
    return " Check the network, base_url and the proxy.";
  }
}

static const char *transport_says(const mde_failure *failure)
{
  switch (failure->kind) {
  case MDE_ERROR_TLS:
    return "no trusted connection to ";
  case MDE_ERROR_TIMEOUT:
    return "no answer in time from ";
  case MDE_ERROR_TOO_LARGE:
    return "the answer is too large, from ";
  default:
    return "no answer from ";
  }
}

static void explain_transport(mde_buffer *text, const mde_failure *failure,
                              const mde_failure_context *context)
{
  add(text, transport_says(failure));
  add_origin(text, context);
  add_attempts(text, failure);
  add_detail(text, ": ", failure);
  add(text, ".");
  add(text, transport_advice(failure));
  add_unknown(text, failure);
}

/* Our own words, with another party's in them. */
static void explain_token(mde_buffer *text, const mde_failure *failure)
{
  add(text, "no token: ");
  add_at_most(text, (mde_slice){failure->detail, strlen(failure->detail)}, MDE_FAILURE_DETAIL_MAX);
  end_sentence(text);
  add_retry_after(text, failure);
}

static void explain_budget(mde_buffer *text, const mde_failure *failure, const char *what)
{
  add(text, what);
  add(text, " would last longer than the budget allows");
  if (failure->status != 0) {
    add(text, "; the last answer's status was ");
    mde_buffer_append_integer(text, failure->status);
  }
  add_detail(text, "; the last attempt failed: ", failure);
  add(text, ".");
  add_retry_after(text, failure);
}

static void explain_quota(mde_buffer *text, const mde_failure *failure)
{
  add(text, "the quota cannot be asked, and nothing is sent without it");
  add_detail(text, ": ", failure);
  add(text, ".");
  add_retry_after(text, failure);
}

static void explain_body(mde_buffer *text, const mde_failure *failure,
                         const mde_failure_context *context)
{
  add(text, "the answer (");
  mde_buffer_append_integer(text, failure->status);
  add(text, ") is not the JSON that the API sends");
  add_detail(text, ": ", failure);
  add(text, ". Check base_url and the proxy: is it really the API that answers at ");
  add_origin(text, context);
  add(text, "?");
}

void mde_failure_explain(mde_buffer *text, const mde_failure *failure,
                         const mde_failure_context *context)
{
  add(text, context->operation->name);
  add(text, ": ");
  switch (failure->reason) {
  case MDE_FAILURE_STATUS:
    explain_status(text, failure, context);
    break;
  case MDE_FAILURE_TRANSPORT:
    explain_transport(text, failure, context);
    break;
  case MDE_FAILURE_TOKEN:
    explain_token(text, failure);
    break;
  case MDE_FAILURE_BUDGET_QUOTA:
    explain_budget(text, failure, "the quota is used up; waiting for it");
    break;
  case MDE_FAILURE_QUOTA:
    explain_quota(text, failure);
    break;
  case MDE_FAILURE_QUOTA_CLOSED:
    add(text, "the client's quota is closed.");
    break;
  case MDE_FAILURE_BUDGET_RETRY:
    explain_budget(text, failure, "the service asks for a pause, which");
    break;
  case MDE_FAILURE_BUDGET_BACKOFF:
    explain_budget(text, failure, "the pause before another attempt");
    break;
  case MDE_FAILURE_BUDGET_SPENT:
    add(text, "the budget is spent. Allow more with budget.");
    break;
  case MDE_FAILURE_BODY:
    explain_body(text, failure, context);
    break;
  case MDE_FAILURE_LINK_MALFORMED:
    add(text, "the answer's @odata.nextLink is malformed. Ask with top and skip instead.");
    break;
  case MDE_FAILURE_LINK_CIRCLE:
    add(text, "the answer's @odata.nextLink leads to a page seen before. Ask with top and skip.");
    break;
  case MDE_FAILURE_PAGES:
    add(text, "more pages than one call follows. Narrow it with filter, or set max_items.");
    break;
  case MDE_FAILURE_CANCELLED:
    add(text, "cancelled.");
    add_unknown(text, failure);
    break;
  case MDE_FAILURE_CLOSED:
    add(text, "the client is closed.");
    break;
  case MDE_FAILURE_MEMORY:
    add(text, "not enough memory.");
    break;
  }
}

size_t mde_failure_text(char *text, size_t size, const mde_failure *failure,
                        const mde_failure_context *context)
{
  mde_memory array = mde_memory_block(text);
  mde_buffer sentence;
  mde_buffer_init(&sentence, &array, size - 1);
  mde_failure_explain(&sentence, failure, context);
  return sentence.length;
}

size_t mde_failure_quote(char *text, size_t size, mde_slice words)
{
  mde_memory array = mde_memory_block(text);
  mde_buffer quote;
  mde_buffer_init(&quote, &array, size - 1);
  add_foreign(&quote, words);
  return quote.length;
}
