/* One link: a TCP connection that proves itself, then carries frames.
 *
 * Reading: bytes land in `in` behind what is left of the last read; every whole frame is handled in
 * place, the rest is moved to the front. Writing: frames are appended to `out`; at the end of the
 * loop's round `out` becomes `busy` and goes to the kernel in one write, while the next frames
 * gather in the other buffer. One copy per frame, no list of small pieces. With TLS the same bytes pass
 * through link_tls.c: received into `raw`, opened into `in`; sealed from `out` into `sealed`, which
 * becomes `busy`.
 *
 * Life: new -> (connected) greeting -> up -> closing -> freed in the closing callback. Callbacks to
 * the owner come from the read callback (up, frame) and from the closing callback (down), so that
 * link_send and link_close never call back into their caller.
 *
 * Silence is counted in ticks, not read off a clock: a process that was stopped for a minute sees
 * one tick, reads what has arrived meanwhile, and does not blame the peer. */
#include "net/link.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/link_int.h"

enum {
    READ_CHUNK = LINK_READ_CHUNK,
    BUFFER_KEEP_MAX = 1 << 20, /* an empty buffer above it is given back */
    SILENT_TICKS_MAX = LINK_SILENCE_MS / LINK_TICK_MS,
    QUIET_TICKS_MAX = LINK_PING_MS / LINK_TICK_MS,
    SEALED_SIZE_MAX = LINK_QUEUE_SIZE_MAX + (LINK_QUEUE_SIZE_MAX >> 8), /* records add 0.14 % */
    GREETING_TICKS_MAX = LINK_CONNECT_MS / LINK_TICK_MS,
};

unsigned link_tick_ms = LINK_TICK_MS;

static struct {
    atomic_uint_least64_t encrypted, plain, refused, tls_failures, late;
} counts;

void link_stats_get(struct link_stats *ret)
{
    *ret = (struct link_stats){
        .encrypted_count = atomic_load(&counts.encrypted),
        .plain_count = atomic_load(&counts.plain),
        .refused_count = atomic_load(&counts.refused),
        .tls_failure_count = atomic_load(&counts.tls_failures),
        .late_count = atomic_load(&counts.late),
    };
}

static void on_flush(struct loop_flush *f);
static void on_tick(void *ctx);

/* --- owner ------------------------------------------------------------------------------------ */

void link_owner_init(struct link_owner *o, struct loop *loop, struct str secret,
                     enum link_security security, struct str hello,
                     const struct link_events *events,
                     void (*ended)(struct link_owner *o, struct link *l))
{
    ASSERT(hello.n <= LINK_HELLO_SIZE_MAX);
    ASSERT(events->up != NULL && events->frame != NULL && events->down != NULL);
    *o = (struct link_owner){.loop = loop, .events = *events, .ended = ended, .security = security};
    o->tls = security == LINK_PLAIN ? NULL : link_tls_ctx_new(secret);
    o->raw = MEM_NEW_ARRAY(char, READ_CHUNK);
    o->key = crypto_hmac_new(secret);
    o->hello = (char *)mem_dup(hello.p, hello.n);
    o->hello_size = hello.n;
    list_init(&o->links);
}

/* After it the link is nobody's. */
static void detach(struct link *l)
{
    struct link_owner *o = l->owner;
    if (o == NULL) {
        return;
    }
    list_remove(&l->link);
    o->link_count--;
    l->owner = NULL;
    if (l->was_up) {
        l->was_up = false;
        o->events.down(o->events.ctx, l);
    }
}

void link_owner_done(struct link_owner *o)
{
    while (!list_is_empty(&o->links)) {
        struct link *l = LIST_ENTRY(o->links.next, struct link, link);
        link_end(l, NULL);
        detach(l);
    }
    crypto_hmac_free(o->key);
    link_tls_ctx_free(o->tls);
    mem_free(o->raw);
    mem_free(o->hello);
}

/* --- life ------------------------------------------------------------------------------------- */

struct link *link_new(struct link_owner *o, enum link_role role, const char *peer)
{
    struct link *l = MEM_NEW(struct link);
    int rc = uv_tcp_init(loop_uv(o->loop), &l->tcp);
    ASSERT(rc == 0); /* makes no socket yet */
    l->tcp.data = l;
    l->write.data = l;
    l->connect.data = l;
    l->owner = o;
    l->loop = o->loop;
    l->role = role;
    list_init(&l->link);
    list_push_back(&o->links, &l->link);
    o->link_count++;
    loop_flush_init(&l->flush, on_flush);
    buf_init(&l->in,
             LINK_FRAME_HEADER_SIZE + LINK_FRAME_SIZE_MAX + READ_CHUNK + 2 * LINK_TLS_RECORD_MAX);
    buf_init(&l->out, LINK_QUEUE_SIZE_MAX + 4 * LINK_GREETING_SIZE_MAX);
    buf_init(&l->sealed, SEALED_SIZE_MAX);
    buf_init(&l->busy, SEALED_SIZE_MAX);
    buf_init(&l->own_hello, LINK_GREETING_SIZE_MAX);
    buf_init(&l->peer_hello, LINK_GREETING_SIZE_MAX);
    (void)snprintf(l->peer, sizeof(l->peer), "%s", peer); /* only shown: may be cut */
    l->tick = loop_timer_new(l->loop, on_tick, l);
    loop_timer_set(l->tick, link_tick_ms, link_tick_ms);
    return l;
}

static void on_closed(uv_handle_t *handle)
{
    struct link *l = (struct link *)handle->data;
    struct link_owner *o = l->owner;
    detach(l);
    if (o != NULL) {
        o->ended(o, l);
    }
    buf_done(&l->in);
    buf_done(&l->out);
    buf_done(&l->sealed);
    buf_done(&l->busy);
    link_tls_free(l->tls);
    buf_done(&l->own_hello);
    buf_done(&l->peer_hello);
    mem_free(l);
}

void link_end(struct link *l, const char *why)
{
    if (l->is_closing) {
        return;
    }
    if (why != NULL) {
        LOG_AT(l->is_up ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "link", "link_down",
               "peer=%s up=%d why=%s", l->peer, l->is_up, why);
    }
    l->end_why = why;
    l->is_closing = true;
    l->is_up = false;
    loop_flush_cancel(&l->flush);
    loop_timer_free(l->tick);
    l->tick = NULL;
    uv_close((uv_handle_t *)&l->tcp, on_closed);
}

/* The peer broke the rules or holds another secret: worth a line even before it was up. */
static void end_broken(struct link *l, const char *why)
{
    if (!l->is_closing) {
        LOG_WARN("link", "link_broken", "peer=%s up=%d why=%s", l->peer, l->is_up, why);
        link_end(l, NULL);
    }
}

/* --- writing ------------------------------------------------------------------------------------ */

static void empty(struct buf *b)
{
    if (b->cap > BUFFER_KEEP_MAX) {
        buf_done(b);
    } else {
        buf_clear(b);
    }
}

/* There is something to write, or will be. */
static bool has_output(const struct link *l)
{
    return l->sealed.n > 0 || (l->out.n > 0 && (l->tls == NULL || link_tls_is_ready(l->tls)));
}

static void on_written(uv_write_t *write, int status)
{
    struct link *l = (struct link *)write->data;
    l->is_writing = false;
    empty(&l->busy);
    if (l->is_closing) {
        return;
    }
    if (status < 0) {
        link_end(l, uv_strerror(status));
    } else if (has_output(l)) {
        loop_flush_later(l->loop, &l->flush);
    }
}

/* What waits in `out` to `sealed`. */
static bool seal_output(struct link *l)
{
    if (l->tls == NULL || l->out.n == 0 || !link_tls_is_ready(l->tls)) {
        return true;
    }
    bool ok = link_tls_seal(l->tls, buf_str(&l->out));
    empty(&l->out);
    return ok;
}

/* Lets an alert go out, as far as the kernel takes it now: the peer's log then says why, too. */
static void end_tls(struct link *l)
{
    atomic_fetch_add(&counts.tls_failures, 1);
    if (!l->is_writing && l->sealed.n > 0) {
        uv_buf_t bytes = uv_buf_init(l->sealed.p, (unsigned)l->sealed.n);
        (void)uv_try_write((uv_stream_t *)&l->tcp, &bytes, 1);
    }
    end_broken(l, link_tls_why(l->tls));
}

static void on_flush(struct loop_flush *f)
{
    struct link *l = CONTAINER_OF(f, struct link, flush);
    if (l->is_writing || l->is_closing || !has_output(l)) {
        return;
    }
    if (!seal_output(l)) {
        end_tls(l);
        return;
    }
    struct buf *from = l->tls != NULL ? &l->sealed : &l->out;
    struct buf full = *from;
    *from = l->busy;
    l->busy = full;
    uv_buf_t bytes = uv_buf_init(l->busy.p, (unsigned)l->busy.n);
    l->is_writing = true;
    int rc = uv_write(&l->write, (uv_stream_t *)&l->tcp, &bytes, 1, on_written);
    if (rc < 0) {
        l->is_writing = false;
        link_end(l, uv_strerror(rc));
    }
}

static void queue_frame(struct link *l, enum link_frame_type type, const struct str *parts,
                        size_t n)
{
    uint8_t version = l->version == 0 ? LINK_VERSION : l->version;
    link_frame_encode(&l->out, version, type, parts, n);
    ASSERT(buf_ok(&l->out)); /* callers keep the cap */
    l->has_sent = true;
    loop_flush_later(l->loop, &l->flush);
}

bool link_send_parts(struct link *l, const struct str *parts, size_t n)
{
    size_t size = LINK_FRAME_HEADER_SIZE;
    for (size_t i = 0; i < n; i++) {
        size += parts[i].n;
    }
    ASSERT(size - LINK_FRAME_HEADER_SIZE <= LINK_FRAME_SIZE_MAX);
    if (!l->is_up || size > LINK_QUEUE_SIZE_MAX - link_queued_size(l)) {
        return false;
    }
    queue_frame(l, LINK_FRAME_DATA, parts, n);
    return true;
}

bool link_send(struct link *l, struct str payload)
{
    return link_send_parts(l, &payload, 1);
}

size_t link_queued_size(const struct link *l)
{
    size_t size = l->out.n + l->sealed.n + l->busy.n;
    return size < LINK_QUEUE_SIZE_MAX ? size : LINK_QUEUE_SIZE_MAX; /* pings may go a little over */
}

/* Tells the peer why, as far as the kernel takes it now. */
static void say_bye(struct link *l, const char *why)
{
    struct str text = str_slice(str_of(why), 0, LINK_BYE_SIZE_MAX);
    queue_frame(l, LINK_FRAME_BYE, &text, 1);
    if (!l->is_writing && has_output(l) && seal_output(l)) {
        struct buf *b = l->tls != NULL ? &l->sealed : &l->out;
        uv_buf_t bytes = uv_buf_init(b->p, (unsigned)b->n);
        (void)uv_try_write((uv_stream_t *)&l->tcp, &bytes, 1); /* a courtesy: it may not fit */
    }
}

void link_close(struct link *l)
{
    if (!l->is_closing) {
        say_bye(l, "closed by the peer");
        link_end(l, "closed here");
    }
}

/* --- greeting ----------------------------------------------------------------------------------- */

static void send_hello(struct link *l)
{
    struct link_hello h = {.version_min = LINK_VERSION,
                           .version_max = LINK_VERSION,
                           .role = (uint8_t)l->role,
                           .hello = {l->owner->hello, l->owner->hello_size}};
    rng_os_bytes(h.nonce, sizeof(h.nonce));
    link_hello_encode(&l->own_hello, &h);
    ASSERT(buf_ok(&l->own_hello));
    struct str payload = buf_str(&l->own_hello);
    queue_frame(l, LINK_FRAME_HELLO, &payload, 1);
}

static void make_proof(struct link *l, enum link_role prover, uint8_t ret[CRYPTO_SHA256_SIZE])
{
    bool is_dialler = l->role == LINK_ROLE_DIALLER;
    link_proof_make(l->owner->key, prover, l->version,
                    buf_str(is_dialler ? &l->own_hello : &l->peer_hello),
                    buf_str(is_dialler ? &l->peer_hello : &l->own_hello), ret);
}

static void send_proof(struct link *l)
{
    uint8_t proof[CRYPTO_SHA256_SIZE];
    make_proof(l, l->role, proof);
    struct str payload = str_make(proof, sizeof(proof));
    queue_frame(l, LINK_FRAME_PROOF, &payload, 1);
}

static enum link_role other_role(enum link_role r)
{
    return r == LINK_ROLE_DIALLER ? LINK_ROLE_ACCEPTOR : LINK_ROLE_DIALLER;
}

static void handle_hello(struct link *l, struct str payload)
{
    struct link_hello theirs;
    if (l->version != 0 || !link_hello_decode(payload, &theirs) ||
        theirs.role != (uint8_t)other_role(l->role)) {
        end_broken(l, "malformed or unexpected hello");
        return;
    }
    struct link_hello ours = {.version_min = LINK_VERSION, .version_max = LINK_VERSION};
    uint8_t version = link_hello_agree(&ours, &theirs);
    if (version == 0) {
        say_bye(l, "no common protocol version");
        end_broken(l, "no common protocol version");
        return;
    }
    buf_add_str(&l->peer_hello, payload);
    ASSERT(buf_ok(&l->peer_hello));
    if (l->role == LINK_ROLE_ACCEPTOR) {
        send_hello(l);
    }
    l->version = version;
    if (l->role == LINK_ROLE_ACCEPTOR) {
        send_proof(l);
    }
}

static void handle_proof(struct link *l, struct str payload)
{
    uint8_t want[CRYPTO_SHA256_SIZE];
    if (l->version == 0 || l->is_up) {
        end_broken(l, "unexpected proof");
        return;
    }
    make_proof(l, other_role(l->role), want);
    if (!str_eq_secret(payload, str_make(want, sizeof(want)))) {
        end_broken(l, "the peer holds another secret");
        return;
    }
    if (l->role == LINK_ROLE_DIALLER) {
        send_proof(l);
    }
    l->is_up = true;
    l->was_up = true;
    atomic_fetch_add(l->tls != NULL ? &counts.encrypted : &counts.plain, 1);
    if (l->tls == NULL && l->owner->security != LINK_PLAIN) {
        LOG_WARN("link", "link_plain", "peer=%s hint=%s", l->peer,
                 "what it carries can be read on the way; once every region runs this release, "
                 "set peer-tls back to require");
    }
    l->up_ms = uv_now(loop_uv(l->loop));
    LOG_INFO("link", "link_up", "peer=%s outgoing=%d version=%u encrypted=%d", l->peer,
             l->role == LINK_ROLE_DIALLER, l->version, l->tls != NULL);
    struct link_hello theirs;
    bool is_whole = link_hello_decode(buf_str(&l->peer_hello), &theirs);
    ASSERT(is_whole); /* it was when it came */
    if (!l->owner->events.up(l->owner->events.ctx, l, theirs.hello)) {
        l->was_up = false; /* refused: no `down` for it */
        say_bye(l, "refused");
        link_end(l, "refused here");
    }
}

/* --- reading ------------------------------------------------------------------------------------- */

static void handle_frame(struct link *l, const struct link_frame *f)
{
    if (l->version != 0 && f->version != l->version) {
        end_broken(l, "frame of another protocol version");
        return;
    }
    switch ((enum link_frame_type)f->type) {
    case LINK_FRAME_HELLO:
        handle_hello(l, f->payload);
        return;
    case LINK_FRAME_PROOF:
        handle_proof(l, f->payload);
        return;
    case LINK_FRAME_DATA:
        if (!l->is_up) {
            end_broken(l, "data before proof");
            return;
        }
        l->owner->events.frame(l->owner->events.ctx, l, f->payload);
        return;
    case LINK_FRAME_PING:
        return; /* having heard it is all */
    case LINK_FRAME_BYE:
        LOG_DEBUG("link", "bye", "peer=%s why=" STR_FMT, l->peer,
                  STR_ARG(str_slice(f->payload, 0, LINK_BYE_SIZE_MAX)));
        link_end(l, "the peer said goodbye");
        return;
    }
    UNREACHABLE();
}

/* Handles every whole frame; the callbacks may close the link in between. */
static void handle_input(struct link *l)
{
    size_t used = 0;
    while (!l->is_closing) {
        struct link_frame f;
        size_t need = 0;
        const char *why = NULL;
        size_t payload_max = l->is_up ? LINK_FRAME_SIZE_MAX : LINK_GREETING_SIZE_MAX;
        enum link_frame_outcome outcome = link_frame_decode(
            str_make(l->in.p + used, l->in.n - used), payload_max, &f, &need, &why);
        if (outcome == LINK_FRAME_MORE) {
            l->need = need;
            break;
        }
        if (outcome == LINK_FRAME_BAD) {
            end_broken(l, why);
            return;
        }
        handle_frame(l, &f);
        used += f.size;
    }
    if (l->is_closing) {
        return;
    }
    l->in.n -= used;
    if (l->in.n > 0 && used > 0) {
        memmove(l->in.p, l->in.p + used, l->in.n);
    }
    if (l->in.n == 0 && l->in.cap > BUFFER_KEEP_MAX) {
        buf_done(&l->in);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    UNUSED(suggested);
    struct link *l = (struct link *)handle->data;
    if (l->tls != NULL || !l->is_sorted) {
        *ret = uv_buf_init(l->owner->raw, READ_CHUNK);
        return;
    }
    size_t room = l->in.cap - l->in.n;
    if (room < READ_CHUNK) {
        room = READ_CHUNK;
    }
    if (l->need > l->in.n && room < l->need - l->in.n) {
        room = l->need - l->in.n; /* of a large frame, in one go */
    }
    if (room > l->in.max - l->in.n) {
        room = l->in.max - l->in.n;
    }
    buf_reserve(&l->in, room);
    *ret = uv_buf_init(l->in.p + l->in.n, (unsigned)room);
}

/* A peer's first bytes: TLS, or the magic of a plain frame. False: it is gone. */
static bool sort(struct link *l, struct str received)
{
    enum link_security security = l->owner->security;
    bool is_tls = (uint8_t)received.p[0] == LINK_TLS_FIRST_BYTE;
    l->is_sorted = true;
    if (is_tls ? security == LINK_PLAIN : security == LINK_ENCRYPTED) {
        atomic_fetch_add(&counts.refused, 1);
        end_broken(l, is_tls
                          ? "the peer speaks TLS, this side has peer-tls = off"
                          : "the peer does not speak TLS (hint: it has peer-tls = off or is of a "
                            "release without it: see peer-tls = allow)");
        return false;
    }
    if (is_tls) {
        l->tls = link_tls_new(l->owner->tls, l->role, &l->sealed);
    }
    return true;
}

static void receive_tls(struct link *l, struct str received)
{
    enum link_tls_outcome outcome = link_tls_receive(l->tls, received, &l->in);
    if (outcome == LINK_TLS_BROKEN) {
        end_tls(l);
        return;
    }
    if (has_output(l)) {
        loop_flush_later(l->loop, &l->flush);
    }
    handle_input(l);
    if (outcome == LINK_TLS_CLOSED) {
        link_end(l, "the peer closed");
    }
}

static void receive(struct link *l, struct str received)
{
    if (!l->is_sorted && !sort(l, received)) {
        return;
    }
    if (l->tls != NULL) {
        receive_tls(l, received);
        return;
    }
    if (received.p == l->owner->raw) {
        buf_add_str(&l->in, received); /* the first of a plain link */
    } else {
        l->in.n += received.n; /* they are where they belong */
    }
    handle_input(l);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct link *l = (struct link *)stream->data;
    if (n < 0) {
        const char *why = n == UV_EOF ? "the peer closed" : uv_strerror((int)n);
        if (l->tls != NULL && !link_tls_is_ready(l->tls)) {
            atomic_fetch_add(&counts.tls_failures, 1);
            why = "the peer closed during the TLS handshake (hint: its log says why; a release "
                  "without TLS needs peer-tls = allow here)";
        }
        link_end(l, why);
        return;
    }
    if (n > 0) {
        l->has_heard = true;
        receive(l, str_make(bytes->base, (size_t)n));
    }
}

static void on_tick(void *ctx)
{
    struct link *l = (struct link *)ctx;
    l->silent_ticks = l->has_heard ? 0 : l->silent_ticks + 1;
    l->quiet_ticks = l->has_sent || link_queued_size(l) > 0 ? 0 : l->quiet_ticks + 1;
    l->has_heard = false;
    l->has_sent = false;
    if (!l->is_up) {
        if (++l->greeting_ticks >= GREETING_TICKS_MAX) {
            atomic_fetch_add(&counts.late, 1);
            link_end(l, "no connection and proof in time");
        }
        return;
    }
    if (l->silent_ticks >= SILENT_TICKS_MAX) {
        link_end(l, "the peer is silent");
        return;
    }
    if (l->quiet_ticks >= QUIET_TICKS_MAX) {
        l->quiet_ticks = 0;
        queue_frame(l, LINK_FRAME_PING, NULL, 0);
    }
}

void link_connected(struct link *l, bool is_tls)
{
    l->is_connected = true;
    (void)uv_tcp_nodelay(&l->tcp, 1); /* slower without, not wrong */
    int rc = uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
    if (rc < 0) {
        link_end(l, uv_strerror(rc));
        return;
    }
    if (l->role == LINK_ROLE_DIALLER) {
        l->is_sorted = true;
        if (is_tls) {
            l->tls = link_tls_new(l->owner->tls, l->role, &l->sealed);
        }
        send_hello(l); /* waits in `out` for TLS */
    }
}

/* --- accessors ------------------------------------------------------------------------------------ */

void link_set_user(struct link *l, void *user)
{
    l->user = user;
}

void *link_user(const struct link *l)
{
    return l->user;
}

bool link_is_outgoing(const struct link *l)
{
    return l->role == LINK_ROLE_DIALLER;
}

bool link_is_encrypted(const struct link *l)
{
    return l->tls != NULL;
}
