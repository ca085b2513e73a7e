#include "core/login_failure.h"

#include "core/uri.h"

#include <string.h>

enum { REFUSED_PAUSE_MS = 300000, WORDS_MAX = 400 };

/* --- advice --- */

typedef struct advice_row {
  long number;
  const char *words;
} advice_row;

static const advice_row advice[] = {
    {7000215, "Give the secret's value, not its id."},
    {7000222, "Make a new secret for the app registration."},
    {7000112, "The app registration is disabled."},
    {700016, "Check client_id and tenant_id: the tenant does not know this app."},
    {700027, "Upload the certificate to the app registration, or use the one that is there."},
    {700024, "Check this machine's clock: the assertion is not valid at this time."},
    {700021, "Check the clock and the issuer of the federated token."},
    {70021, "Check issuer, subject and audience of the app registration's federated credential."},
    {700211, "Check the issuer of the app registration's federated credential."},
    {700212, "Check the audience of the app registration's federated credential."},
    {700213, "Check the subject of the app registration's federated credential."},
    {90002, "Check tenant_id, and that authority is the login host of its cloud."},
    {900023, "Check tenant_id: an id or a domain name."},
    {900382, "Check cloud: the tenant is not in this one."},
    {70011, "Check scope: it must be RESOURCE/.default."},
    {500011, "Check cloud and scope: the tenant has no service of that name."},
    {53003, "A conditional access policy forbids it: ask the tenant's administrator."},
};

/* What the digits say that stand there; as many as any row has. */
static long read_digits(mde_slice text, size_t at)
{
  long number = 0;
  for (; at < text.length && text.data[at] >= '0' && text.data[at] <= '9' && number < 100000000;
       at++)
    number = number * 10 + (text.data[at] - '0');
  return number;
}

/* The number behind "AADSTS"; 0: there is none. */
static long number_of(mde_slice description)
{
  static const char start[] = "AADSTS";
  for (size_t at = 0; at + sizeof start - 1 < description.length; at++) {
    if (memcmp(description.data + at, start, sizeof start - 1) == 0)
      return read_digits(description, at + sizeof start - 1);
  }
  return 0;
}

static const char *advise(const mde_login_failure *failure)
{
  long number = number_of(failure->description);
  for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++) {
    if (advice[i].number == number)
      return advice[i].words;
  }
  if (failure->failure->kind == MDE_ERROR_TLS)
    return "Check the clock and, behind an inspecting proxy, ca_file.";
  if (!failure->local)
    return failure->failure->status == 0 ? "Check the network, authority and the proxy." : "";
  return failure->failure->status == 0
             ? "Does this machine have a managed identity? Only Azure's machines do."
             : "Check that the identity is assigned to this machine.";
}

/* --- the sentence --- */

static void add(mde_buffer *text, const char *words)
{
  mde_buffer_append_text(text, words);
}

static void add_foreign(mde_buffer *text, mde_slice words)
{
  char quoted[WORDS_MAX];
  mde_buffer_append(text, quoted, mde_failure_quote(quoted, sizeof quoted, words));
}

static void add_origin(mde_buffer *text, mde_slice endpoint)
{
  mde_base_url url;
  size_t length = 0;
  while (length < endpoint.length && endpoint.data[length] != '?')
    length++;
  if (mde_base_url_parse(&url, endpoint.data, length))
    mde_buffer_append(text, url.origin.data, url.origin.length);
}

/* Microsoft's login repeats its ids and the time behind the sentence. */
static mde_slice first_line(mde_slice words)
{
  size_t length = 0;
  while (length < words.length && words.data[length] != '\r' && words.data[length] != '\n')
    length++;
  for (size_t at = 0; at + 9 < length; at++) {
    if (memcmp(words.data + at, " Trace ID", 9) == 0)
      length = at;
  }
  return (mde_slice){words.data, length};
}

static void end_sentence(mde_buffer *text)
{
  if (text->length > 0 && text->data[text->length - 1] != '.')
    add(text, ".");
}

static const char *words_for(int status)
{
  if (status == 429)
    return " asks for a pause (";
  if (status < 400)
    return " answered with a redirect, which is not followed (";
  return status < 500 ? " refused the credential (" : " failed (";
}

static void explain_answer(mde_buffer *text, const mde_login_failure *failure)
{
  int status = failure->failure->status;
  add_origin(text, failure->endpoint);
  add(text, words_for(status));
  mde_buffer_append_integer(text, status);
  if (failure->code.length > 0) {
    add(text, " ");
    add_foreign(text, failure->code);
  }
  add(text, ")");
  if (failure->description.length > 0) {
    add(text, ": ");
    add_foreign(text, first_line(failure->description));
  }
  end_sentence(text);
  if (failure->trace_id.length > 0) {
    add(text, " Trace id: ");
    add_foreign(text, failure->trace_id);
    add(text, ".");
  }
}

static void explain_silence(mde_buffer *text, const mde_login_failure *failure)
{
  const char *detail = failure->failure->detail;
  add(text, failure->failure->reason == MDE_FAILURE_BODY ? "what is no token came from "
                                                         : "none could be fetched from ");
  add_origin(text, failure->endpoint);
  if (detail[0] != '\0') {
    add(text, ": ");
    add_foreign(text, (mde_slice){detail, strlen(detail)});
  }
  end_sentence(text);
}

void mde_login_explain(mde_buffer *text, const mde_login_failure *failure)
{
  const char *words = advise(failure);
  if (failure->failure->reason == MDE_FAILURE_MEMORY) {
    add(text, "not enough memory to fetch it");
    return;
  }
  if (failure->failure->status != 0 && failure->failure->reason != MDE_FAILURE_BODY)
    explain_answer(text, failure);
  else
    explain_silence(text, failure);
  if (words[0] != '\0') {
    add(text, " ");
    add(text, words);
  }
}

void mde_login_text(char *text, size_t size, const mde_login_failure *failure)
{
  mde_memory array = mde_memory_block(text);
  mde_buffer sentence;
  text[0] = '\0';
  mde_buffer_init(&sentence, &array, size - 1);
  mde_login_explain(&sentence, failure);
}

/* --- what follows --- */

mde_fetch_end mde_login_end(const mde_failure *failure, int64_t *wait_ms)
{
  *wait_ms = failure->retry_after_ms > 0 ? failure->retry_after_ms : 0;
  if (failure->status == 429 || *wait_ms > 0)
    return MDE_FETCH_THROTTLED;
  if (failure->retryable)
    return MDE_FETCH_PASSING;
  if (failure->reason != MDE_FAILURE_STATUS)
    return MDE_FETCH_FAILED;
  *wait_ms = REFUSED_PAUSE_MS;
  return MDE_FETCH_REFUSED;
}
