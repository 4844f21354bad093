/* Base64, hex, percent-encoding, UTF-8 checks. Output goes to buffers with the caller's cap. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

void codec_base64(struct buf *out, struct str in);
bool codec_unbase64(struct buf *out, struct str in); /* padding optional; false = bad text */
void codec_hex(struct buf *out, struct str in, bool upper);
bool codec_unhex(struct buf *out, struct str in);
bool codec_percent_decode(struct buf *out, struct str in); /* '+' stays; false = bad escape */
void codec_percent_encode(struct buf *out, struct str in); /* keeps RFC 3986 unreserved */
bool codec_utf8_valid(struct str s);
/* Length in UTF-16 code units of valid UTF-8 (WTF-8 accepted). */
size_t codec_utf16_len(struct str s);
