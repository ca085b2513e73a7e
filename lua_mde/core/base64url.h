/* Base64 as URLs and JSON web tokens have it: RFC 4648, section 5, without padding.
 *
 *   mde_base64url_encode(&out, (mde_slice){"\xfb\xff", 2});            out: "-_8"
 *   if (!mde_base64url_decode(&out, text)) ...      not base64url, or out.status says what is wrong
 *
 * Both append. Decoding knows this alphabet only, no line breaks, and no bits left over; padding may
 * be there if it is the right one. Neither hides by its timing what the bytes are. */
#ifndef MDE_CORE_BASE64URL_H
#define MDE_CORE_BASE64URL_H

#include "core/buffer.h"

mde_status mde_base64url_encode(mde_buffer *out, mde_slice bytes);

/* False: nothing was appended for want of good text, or the buffer failed. */
bool mde_base64url_decode(mde_buffer *out, mde_slice text);

#endif
