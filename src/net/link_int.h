/* Shared by link.c (one connection) and link_peers.c (who makes connections). */
#pragma once

#include <uv.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/list.h"
#include "base/rng.h"
#include "net/link.h"
#include "net/link_frame.h"
#include "net/link_tls.h"
#include "net/loop_int.h"

enum { LINK_TICK_MS = 250, LINK_READ_CHUNK = 64 << 10 };
extern unsigned link_tick_ms; /* LINK_TICK_MS; tests of silence shorten it */

/* What a link needs from whoever made it: one per link_server or link_client. */
struct link_owner {
    struct loop *loop;
    struct crypto_hmac *key; /* owned */
    enum link_security security;
    struct link_tls_ctx *tls; /* owned; NULL with LINK_PLAIN */
    char *raw;                /* owned; LINK_READ_CHUNK received bytes that are no frames yet */
    char *hello;              /* owned */
    size_t hello_size;
    struct link_events events;
    struct list links; /* struct link.link */
    size_t link_count;
    /* A link of this owner has ended (after its `down`, when it had been up). */
    void (*ended)(struct link_owner *o, struct link *l);
};

struct link {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_connect_t connect;
    struct link_owner *owner; /* NULL once the owner is gone: only memory is left to free */
    struct list link;         /* in owner.links */
    struct loop *loop;
    struct loop_timer *tick; /* owned; NULL when closing */
    struct loop_flush flush;
    enum link_role role;
    bool is_up;
    bool was_up;
    bool is_closing;
    bool is_writing; /* `busy` belongs to libuv */
    bool is_sorted;  /* the first byte has said, or we have, whether this is TLS */
    bool is_connected;
    struct link_tls *tls; /* owned; NULL: plain, or not known yet */
    bool has_heard;       /* bytes came since the last tick */
    bool has_sent;        /* frames were queued since the last tick */
    unsigned silent_ticks;
    unsigned quiet_ticks;
    unsigned greeting_ticks;
    uint8_t version;      /* agreed; 0 before */
    struct buf in;        /* received, starts at a frame boundary */
    size_t need;          /* of `in` for its first frame, as far as known */
    struct buf out;       /* frames to go with the next write */
    struct buf sealed;    /* TLS: records to go with the next write */
    struct buf busy;      /* frames, with TLS records, of the write in progress */
    struct buf own_hello; /* payloads as sent and received, for the proofs */
    struct buf peer_hello;
    void *user;
    const char *end_why; /* static text, or NULL */
    char peer[64];       /* for the log */
    uint64_t up_ms;      /* uv_now when it came up */
};

void link_owner_init(struct link_owner *o, struct loop *loop, struct str secret,
                     enum link_security security, struct str hello,
                     const struct link_events *events,
                     void (*ended)(struct link_owner *o, struct link *l));
/* Ends every link of it (with `down` for those that were up) and frees what it owns. */
void link_owner_done(struct link_owner *o);

/* A link whose tcp handle is initialised but not connected yet. */
struct link *link_new(struct link_owner *o, enum link_role role, const char *peer);
/* The TCP connection is there; a dialler starts with TLS or without. */
void link_connected(struct link *l, bool is_tls);
void link_end(struct link *l, const char *why); /* closes; logs `why` once */
