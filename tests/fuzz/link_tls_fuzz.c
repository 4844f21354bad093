/* Two ends of a TLS link with somebody in between who alters what passes: the input says where, what
 * and in which pieces. Whatever it is, an end gets a beginning of what the other one sent, or less.
 *
 *   0: bit 0: who is altered; bit 1: the other's key is wrong; bit 2: put in, not over   1: size of
 *   pieces - 1   2-3: after how many bytes   4-: what is put there */
#include "base/contract.h"
#include "net/link_tls.h"

enum { HEAD_SIZE = 5, ROUNDS_MAX = 64, SEALED_MAX = 1 << 20, MESSAGES = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char message[] = "a frame, or a part of one, that only the other end may read";

struct end {
    struct link_tls *tls;
    struct buf sealed; /* what it sends */
    struct buf in;     /* what it understood */
    bool is_over;
    unsigned sealed_count;
};

struct between {
    size_t after; /* bytes that pass unaltered, counted down */
    struct str put;
    bool is_put_in;
};

static void alter(struct between *m, struct str sent, struct buf *ret)
{
    if (m->after >= sent.n || m->put.n == 0) {
        buf_add_str(ret, sent);
        m->after -= sent.n < m->after ? sent.n : m->after;
        return;
    }
    buf_add_str(ret, str_slice(sent, 0, m->after));
    buf_add_str(ret, m->put);
    size_t lost = m->is_put_in ? 0 : m->put.n;
    buf_add_str(ret, str_slice(sent, m->after + lost, sent.n));
    m->put = STR_NONE;
    m->after = 0;
}

static void carry(struct end *from, struct end *to, struct between *m, size_t piece)
{
    struct buf wire;
    buf_init(&wire, SEALED_MAX);
    if (m != NULL) {
        alter(m, buf_str(&from->sealed), &wire);
    } else {
        buf_add_str(&wire, buf_str(&from->sealed));
    }
    from->sealed.n = 0;
    for (size_t at = 0; at < wire.n && !to->is_over; at += piece) {
        struct str received = str_slice(buf_str(&wire), at, piece);
        to->is_over = link_tls_receive(to->tls, received, &to->in) != LINK_TLS_MORE;
        ASSERT(buf_ok(&to->in));
    }
    buf_done(&wire);
}

static void speak(struct end *e)
{
    if (!e->is_over && link_tls_is_ready(e->tls) && e->sealed_count < MESSAGES) {
        bool ok = link_tls_seal(e->tls, STR(message));
        ASSERT(ok);
        e->sealed_count++;
    }
}

static void end_init(struct end *e, struct link_tls_ctx *ctx, enum link_role role)
{
    *e = (struct end){0};
    buf_init(&e->sealed, SEALED_MAX);
    buf_init(&e->in, SEALED_MAX);
    e->tls = link_tls_new(ctx, role, &e->sealed);
}

static void end_done(struct end *e)
{
    link_tls_free(e->tls);
    buf_done(&e->sealed);
    buf_done(&e->in);
}

static void check(const struct end *e, const struct end *other, bool is_known)
{
    size_t n = sizeof(message) - 1;
    ASSERT(e->in.n <= n * other->sealed_count);
    ASSERT(is_known || e->in.n == 0);
    for (size_t at = 0; at < e->in.n; at++) {
        ASSERT(e->in.p[at] == message[at % n]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_SIZE) {
        return 0;
    }
    bool is_known = (data[0] & 2) == 0;
    struct link_tls_ctx *ctx = link_tls_ctx_new(STR("secret"));
    struct link_tls_ctx *other = link_tls_ctx_new(is_known ? STR("secret") : STR("another"));
    struct end a;
    struct end b;
    end_init(&a, ctx, LINK_ROLE_DIALLER);
    end_init(&b, other, LINK_ROLE_ACCEPTOR);
    struct between m = {
        .after = (size_t)data[2] | (size_t)data[3] << 8,
        .put = str_make(data + HEAD_SIZE - 1, size - HEAD_SIZE + 1),
        .is_put_in = (data[0] & 4) != 0,
    };
    size_t piece = (size_t)data[1] + 1;
    bool is_first = (data[0] & 1) != 0;
    for (int round = 0; round < ROUNDS_MAX && (a.sealed.n > 0 || b.sealed.n > 0); round++) {
        carry(&a, &b, is_first ? &m : NULL, piece);
        speak(&b);
        carry(&b, &a, is_first ? NULL : &m, piece);
        speak(&a);
    }
    check(&a, &b, is_known);
    check(&b, &a, is_known);
    /* Nobody in between yet: it must have worked. */
    ASSERT(!is_known || m.put.n == 0 ||
           (a.in.n == b.in.n && a.in.n == (sizeof(message) - 1) * MESSAGES));
    end_done(&a);
    end_done(&b);
    link_tls_ctx_free(ctx);
    link_tls_ctx_free(other);
    return 0;
}
