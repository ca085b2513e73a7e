#include "core/uri.h"

#include <string.h>

static bool is_control(char byte)
{
  return (unsigned char)byte < 0x20 || byte == 0x7f;
}

static bool is_digit(char byte)
{
  return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_unreserved(char byte)
{
  return is_letter(byte) || is_digit(byte) || (byte != '\0' && strchr("-._~", byte) != NULL);
}

/* What RFC 3986 lets stand in a path and query, "%" included: a link comes escaped already. */
static bool stands_in_link(char byte)
{
  return is_unreserved(byte) || (byte != '\0' && strchr("%!$&'()*+,;=:@/?", byte) != NULL);
}

static bool is_hex(char byte)
{
  return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

static mde_slice slice(const char *data, size_t length)
{
  return (mde_slice){data, length};
}

static mde_slice skip(mde_slice text, size_t count)
{
  return slice(text.data + count, text.length - count);
}

static bool starts_with(mde_slice text, const char *start)
{
  size_t length = strlen(start);
  return text.length >= length && memcmp(text.data, start, length) == 0;
}

/* Whether a "%" stands there that escapes nothing. */
static bool is_bare_percent(mde_slice text, size_t at)
{
  return text.data[at] == '%' &&
         !(text.length - at >= 3 && is_hex(text.data[at + 1]) && is_hex(text.data[at + 2]));
}

static size_t find_any(mde_slice text, const char *stops)
{
  size_t at = 0;
  while (at < text.length && (text.data[at] == '\0' || strchr(stops, text.data[at]) == NULL))
    at++;
  return at;
}

/* --- the configured host --- */

static bool equals(mde_slice text, const char *other)
{
  return text.length == strlen(other) && memcmp(text.data, other, text.length) == 0;
}

/* An address that starts like this, in the usual four parts; "127.1" and names that begin like it are
 * not taken: what is no address would be looked up, and could be anybody's. */
static bool is_ipv4(mde_slice host, const char *start)
{
  size_t dots = 0;
  size_t digits = 0;
  int number = 0;
  for (size_t i = 0; i < host.length; i++) {
    if (host.data[i] == '.') {
      if (digits == 0)
        return false;
      dots++;
      digits = 0;
      number = 0;
      continue;
    }
    number = number * 10 + (host.data[i] - '0');
    if (!is_digit(host.data[i]) || ++digits > 3 || number > 255 || (digits == 2 && number < 10))
      return false;
  }
  return starts_with(host, start) && dots == 3 && digits > 0;
}

static bool is_loopback(mde_slice host)
{
  return equals(host, "localhost") || equals(host, "[::1]") || is_ipv4(host, "127.");
}

static bool host_valid(mde_slice host)
{
  bool literal = host.length > 2 && host.data[0] == '[' && host.data[host.length - 1] == ']';
  mde_slice inner = literal ? slice(host.data + 1, host.length - 2) : host;
  for (size_t i = 0; i < inner.length; i++) {
    char byte = inner.data[i];
    bool ok = literal ? is_digit(byte) || is_letter(byte) || byte == ':' || byte == '.'
                      : is_unreserved(byte) && byte != '~';
    if (!ok)
      return false;
  }
  return inner.length > 0;
}

static bool port_valid(mde_slice port)
{
  unsigned number = 0;
  for (size_t i = 0; i < port.length; i++) {
    if (!is_digit(port.data[i]) || port.length > 5)
      return false;
    number = number * 10 + (unsigned)(port.data[i] - '0');
  }
  return number > 0 && number <= 65535;
}

static bool authority_parse(mde_base_url *base, mde_slice authority)
{
  size_t host_length = authority.length;
  for (size_t i = authority.length; i > 0 && authority.data[i - 1] != ']'; i--) {
    if (authority.data[i - 1] == ':')
      host_length = i - 1;
  }
  mde_slice host = slice(authority.data, host_length);
  if (!host_valid(host))
    return false;
  if (host_length < authority.length && !port_valid(skip(authority, host_length + 1)))
    return false;
  base->loopback = is_loopback(host);
  base->link_local = is_ipv4(host, "169.254.");
  return true;
}

static bool prefix_valid(mde_slice prefix)
{
  for (size_t i = 0; i < prefix.length; i++) {
    if (!stands_in_link(prefix.data[i]) || prefix.data[i] == '?' || is_bare_percent(prefix, i))
      return false;
  }
  return true;
}

bool mde_base_url_parse(mde_base_url *base, const char *text, size_t length)
{
  mde_slice all = slice(text, length);
  base->https = starts_with(all, "https://");
  if (!base->https && !starts_with(all, "http://"))
    return false;
  mde_slice rest = skip(all, base->https ? 8 : 7);
  size_t authority = find_any(rest, "/?#");
  mde_slice prefix = skip(rest, authority);
  while (prefix.length > 0 && prefix.data[prefix.length - 1] == '/')
    prefix.length--;
  base->origin = slice(text, length - rest.length + authority);
  base->prefix = prefix;
  return authority_parse(base, slice(rest.data, authority)) && prefix_valid(prefix);
}

/* --- paths and queries --- */

bool mde_uri_segment_valid(mde_slice segment)
{
  if (segment.length == 0 || equals(segment, ".") || equals(segment, ".."))
    return false;
  for (size_t i = 0; i < segment.length; i++) {
    if (is_control(segment.data[i]))
      return false;
  }
  return true;
}

static mde_status escape_byte(mde_buffer *out, char byte)
{
  static const char digits[] = "0123456789ABCDEF";
  unsigned code = (unsigned char)byte;
  char escaped[3] = {'%', digits[code >> 4], digits[code & 15]};
  return mde_buffer_append(out, escaped, sizeof escaped);
}

mde_status mde_uri_escape(mde_buffer *out, mde_slice bytes)
{
  for (size_t i = 0; i < bytes.length; i++) {
    size_t plain = i;
    while (i < bytes.length && is_unreserved(bytes.data[i]))
      i++;
    mde_buffer_append(out, bytes.data + plain, i - plain);
    if (i < bytes.length)
      escape_byte(out, bytes.data[i]);
  }
  return out->status;
}

mde_status mde_uri_path(mde_buffer *out, const char *path, const mde_slice *segments, size_t count)
{
  mde_slice rest = slice(path, strlen(path));
  for (size_t i = 0; i < count; i++) {
    size_t open = find_any(rest, "{");
    mde_buffer_append(out, rest.data, open);
    mde_uri_escape(out, segments[i]);
    rest = skip(rest, open);
    size_t close = find_any(rest, "}");
    rest = skip(rest, close < rest.length ? close + 1 : close);
  }
  return mde_buffer_append(out, rest.data, rest.length);
}

static void query_name(mde_buffer *out, const char *name)
{
  bool first = out->length == 0 || memchr(out->data, '?', out->length) == NULL;
  mde_buffer_append_char(out, first ? '?' : '&');
  mde_buffer_append_text(out, name);
  mde_buffer_append_char(out, '=');
}

mde_status mde_uri_query(mde_buffer *out, const char *name, mde_slice value)
{
  query_name(out, name);
  return mde_uri_escape(out, value);
}

mde_status mde_uri_query_integer(mde_buffer *out, const char *name, int64_t value)
{
  query_name(out, name);
  return mde_buffer_append_integer(out, value);
}

/* --- next links --- */

/* The path and query of https://host/path?query, //host/path?query or /path?query. */
static mde_slice link_target(mde_slice link)
{
  mde_slice rest = link;
  if (starts_with(rest, "https://"))
    rest = skip(rest, 6);
  else if (starts_with(rest, "http://"))
    rest = skip(rest, 5);
  if (starts_with(rest, "//")) {
    rest = skip(rest, 2);
    rest = skip(rest, find_any(rest, "/?#"));
  }
  rest.length = find_any(rest, "#");
  return rest;
}

static bool target_valid(mde_slice target)
{
  if (target.length == 0 || target.data[0] != '/')
    return false;
  for (size_t i = 0; i < target.length; i++) {
    if (is_control(target.data[i]) || is_bare_percent(target, i))
      return false;
  }
  return true;
}

static bool under_prefix(mde_slice target, mde_slice prefix)
{
  return target.length >= prefix.length && memcmp(target.data, prefix.data, prefix.length) == 0 &&
         (target.length == prefix.length || target.data[prefix.length] == '/');
}

mde_link_verdict mde_uri_follow(mde_buffer *out, const mde_base_url *base, mde_slice link)
{
  mde_slice target = link_target(link);
  mde_buffer_reset(out);
  if (!target_valid(target))
    return MDE_LINK_MALFORMED;
  mde_buffer_append(out, base->origin.data, base->origin.length);
  /* Behind a gateway that adds a prefix the service's links do not know it. */
  if (base->prefix.length > 0 && !under_prefix(target, base->prefix))
    mde_buffer_append(out, base->prefix.data, base->prefix.length);
  for (size_t i = 0; i < target.length; i++) {
    if (stands_in_link(target.data[i]))
      mde_buffer_append_char(out, target.data[i]);
    else
      escape_byte(out, target.data[i]);
  }
  if (out->status == MDE_NO_MEMORY)
    return MDE_LINK_NO_MEMORY;
  return out->status == MDE_OK ? MDE_LINK_OK : MDE_LINK_MALFORMED;
}
