/* What can go wrong with a call: the kinds that users see as `err.kind`, in one list.
 *
 *   MDE_ERROR_KINDS(X) expands X(SYMBOL, "name", retryable) once for each kind.
 *
 * `retryable` is the kind's usual verdict on "may the same call be tried again as it is?"; where the
 * single case knows better (a POST whose outcome is unknown), the failure says so. */
#ifndef MDE_CORE_ERROR_H
#define MDE_CORE_ERROR_H

#define MDE_ERROR_KINDS(X)                                                                         \
  X(AUTH, "auth", false)                                                                           \
  X(NOT_FOUND, "not_found", false)                                                                 \
  X(RATE_LIMITED, "rate_limited", true)                                                            \
  X(HTTP, "http", false)                                                                           \
  X(TIMEOUT, "timeout", true)                                                                      \
  X(NETWORK, "network", true)                                                                      \
  X(TLS, "tls", false)                                                                             \
  X(JSON, "json", false)                                                                           \
  X(TOO_LARGE, "too_large", false)                                                                 \
  X(CANCELLED, "cancelled", true)                                                                  \
  X(CLOSED, "closed", false)

typedef enum mde_error_kind {
#define MDE_ERROR_SYMBOL(symbol, name, retryable) MDE_ERROR_##symbol,
  MDE_ERROR_KINDS(MDE_ERROR_SYMBOL)
#undef MDE_ERROR_SYMBOL
      MDE_ERROR_KIND_COUNT,
  /* Not a kind that users see: the binding raises Lua's own memory error. */
  MDE_ERROR_MEMORY = MDE_ERROR_KIND_COUNT
} mde_error_kind;

#endif
