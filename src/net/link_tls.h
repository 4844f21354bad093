/* TLS 1.3 below one link: turns frames into records and back. No sockets here: the link gives what
 * it received and sends what is in `sealed`.
 *
 * Both ends prove with an external pre-shared key (RFC 8446, 4.2.11) that they hold the account's
 * peer secret; there are no certificates. Every connection makes its own keys by ECDHE
 * (psk_dhe_ke), so that who learns the secret later cannot read what was recorded before. One cipher
 * suite: TLS_AES_128_GCM_SHA256. No tickets, no early data. See doc/design/0008-links-tls.md.
 *
 * The loop's thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/link_frame.h"

enum {
    LINK_TLS_FIRST_BYTE = 0x16,     /* of a TLS connection: a handshake record (RFC 8446, 5.1) */
    LINK_TLS_RECORD_MAX = 16 << 10, /* plain bytes of one record */
};
/* New keys after so many bytes sent: AES-GCM's limit is 2^24.5 full records (RFC 8446, 5.5), and this
 * is a twentieth of it. A variable for the tests. */
extern uint64_t link_tls_rekey_size;

struct link_tls_ctx; /* what the connections of one owner share */
struct link_tls_ctx *link_tls_ctx_new(struct str secret);
void link_tls_ctx_free(struct link_tls_ctx *c); /* zeroes the key */

enum link_tls_outcome {
    LINK_TLS_MORE,   /* all that was given is used up */
    LINK_TLS_CLOSED, /* the peer ended the connection in order */
    LINK_TLS_BROKEN, /* link_tls_why says why; `sealed` may hold an alert */
};

struct link_tls;
/* `ctx` and `sealed` outlive it. A dialler's first bytes are in `sealed` at once. */
struct link_tls *link_tls_new(struct link_tls_ctx *ctx, enum link_role role, struct buf *sealed);
void link_tls_free(struct link_tls *t);

/* Handles received bytes; adds to `in` what they held, at most received.n + LINK_TLS_RECORD_MAX. */
enum link_tls_outcome link_tls_receive(struct link_tls *t, struct str received, struct buf *in);
bool link_tls_is_ready(const struct link_tls *t); /* frames may be sealed */
/* False: broken. Only when ready. */
bool link_tls_seal(struct link_tls *t, struct str plain);
/* Text for people, with no secrets, valid until the next call. */
const char *link_tls_why(const struct link_tls *t);
