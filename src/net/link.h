/* Framed, checksummed, authenticated, encrypted streams between processes (region to region), over TCP on a
 * loop. A frame is opaque bytes up to LINK_FRAME_SIZE_MAX; frames arrive whole, in order, at most
 * once per connection; a broken connection loses what was in flight and both sides are told.
 *
 * One outgoing link per peer reconnects by itself with back-off and jitter. Incoming connections
 * are accepted by a link server. TLS 1.3 with a key derived from the secret carries everything (see
 * link_tls.h), unless the owner says otherwise. After TCP connect both sides prove with HMAC-SHA256 over both
 * sides' nonces that they hold the same secret, and exchange protocol versions and their hello
 * bytes (opaque to the link). Frames: magic, version, type, length, crc32c, payload: see
 * doc/format/link.md. Queue per link is bounded (LINK_QUEUE_SIZE_MAX): over it link_send says no.
 * Written frames of one loop round go out in one writev. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/types.h"
#include "net/loop.h"

enum {
    LINK_VERSION = 1,
    LINK_FRAME_SIZE_MAX = 16 << 20,
    LINK_QUEUE_SIZE_MAX = 64 << 20,
    LINK_HELLO_SIZE_MAX = 1024,
    LINK_PING_MS = 500,       /* a side that has sent nothing for so long says it is alive */
    LINK_SILENCE_MS = 2000,   /* nothing heard for so long: the peer is taken for dead */
    LINK_CONNECT_MS = 2000,   /* connecting and proving together */
    LINK_BACKOFF_MIN_MS = 20, /* between attempts to connect, doubling, with jitter */
    LINK_BACKOFF_MAX_MS = 500,
    LINK_CONNECTIONS_MAX = 256, /* per link server; more are closed at once */
};

struct link_server;
struct link; /* one authenticated connection, either direction */

/* Copied by whoever is given it. All functions are called on the loop's thread. */
struct link_events {
    void *ctx;
    /* A connection is up; `hello` is the other side's. For incoming ones return a context for the
     * link by link_set_user. Return false to refuse (closed with a reason in the log). */
    bool (*up)(void *ctx, struct link *l, struct str hello);
    void (*frame)(void *ctx, struct link *l,
                  struct str payload); /* payload valid during the call */
    /* Only after up; l is invalid afterwards. Never from inside link_send or link_close, but from
     * inside link_server_free and link_client_free for what was still up. */
    void (*down)(void *ctx, struct link *l);
};

enum link_security {
    LINK_ENCRYPTED,          /* TLS only; a plain peer is turned away with a reason in the log */
    LINK_ENCRYPTED_OR_PLAIN, /* TLS is tried first; plain for peers of releases without it. Whoever
                              * can break connections can force plain: for upgrades only */
    LINK_PLAIN,              /* no TLS: the network encrypts, or there is none */
};

/* "require", "allow" and "off", in this order; else ERR_CONFIG. */
enum err link_security_parse(const char *text, enum link_security *ret,
                             struct errinfo *ei) MUST_CHECK;

/* Counts of this process since its start; any thread. */
struct link_stats {
    uint64_t encrypted_count;   /* links that came up */
    uint64_t plain_count;       /* links that came up without encryption */
    uint64_t refused_count;     /* peers that are plain, or encrypted, against link_security */
    uint64_t tls_failure_count; /* TLS handshakes and records that were wrong */
    uint64_t late_count;        /* no connection and proof within LINK_CONNECT_MS */
};
void link_stats_get(struct link_stats *ret);

/* Accepts on a listening socket (not closed by it). */
struct link_server *link_server_new(struct loop *loop, int listen_fd, struct str secret,
                                    enum link_security security, struct str hello,
                                    const struct link_events *events);
void link_server_free(struct link_server *s);

/* Keeps one outgoing connection to addr ("host:port") alive. */
struct link_client;
struct link_client *link_client_new(struct loop *loop, const char *addr, struct str secret,
                                    enum link_security security, struct str hello,
                                    const struct link_events *events);
void link_client_set_addr(struct link_client *c, const char *addr); /* reconnects when it differs */
void link_client_free(struct link_client *c);

bool link_send(struct link *l, struct str payload); /* false: queue full or going down; dropped */
/* Several pieces as one frame (no joining copy by the caller). */
bool link_send_parts(struct link *l, const struct str *parts, size_t n);
void link_close(struct link *l); /* sends what it can without waiting; `down` follows */
void link_set_user(struct link *l, void *user);
void *link_user(const struct link *l);
bool link_is_outgoing(const struct link *l);
bool link_is_encrypted(const struct link *l);
size_t link_queued_size(const struct link *l);
