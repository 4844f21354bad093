/* The fault proxy's commands, and the socket they come by (see proxy.h). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/contract.h"
#include "base/mem.h"
#include "net/loop_int.h"
#include "net/proxy_int.h"
#include "net/sockets.h"

enum {
    LINE_SIZE_MAX = 1024,
    ANSWER_SIZE_MAX = 64 << 10,
    WORDS_MAX = 6,
    CONTROLS_MAX = 16,
};

struct control_conn {
    uv_tcp_t tcp; /* data: this */
    struct proxy *proxy;
    struct list link;
    char line[LINE_SIZE_MAX];
    size_t line_size;
};

struct answer {
    uv_write_t write; /* data: this */
    char *bytes;      /* owned */
};

/* --- commands -------------------------------------------------------------------------------------- */

/* Blank-separated words, NUL-terminated in `line`, which is changed. */
static size_t split_words(char *line, char *ret[WORDS_MAX])
{
    size_t n = 0;
    char *p = line;
    while (*(p += strspn(p, " \t\r")) != '\0' && n < WORDS_MAX) {
        ret[n++] = p;
        p += strcspn(p, " \t\r");
        if (*p == '\0') {
            break;
        }
        *p++ = '\0';
    }
    return n;
}

static enum err command_add(struct proxy *p, char *const *words, struct buf *out,
                            struct errinfo *ei)
{
    int fd = -1;
    uint16_t port = 0;
    TRY(sockets_listen(words[2], &fd, &port, ei));
    enum err e = proxy_rule_add(p, words[1], fd, words[3], ei);
    (void)close(fd); /* the rule has its own duplicate */
    if (e == OK) {
        buf_printf(out, "ok %u", port);
    }
    return e;
}

static enum err command_mode(struct proxy *p, char *const *words, size_t n, struct buf *out,
                             struct errinfo *ei)
{
    static const enum proxy_mode modes[] = {PROXY_PASS, PROXY_CUT, PROXY_BLACKHOLE, PROXY_DELAY,
                                            PROXY_REFUSE};
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        bool is_delay = modes[i] == PROXY_DELAY;
        uint64_t delay_ms = 0;
        if (strcmp(words[2], proxy_mode_name(modes[i])) != 0 || n != (is_delay ? 4U : 3U)) {
            continue;
        }
        if (is_delay &&
            (!str_to_u64(str_of(words[3]), &delay_ms) || delay_ms > PROXY_DELAY_MS_MAX)) {
            break;
        }
        TRY(proxy_set_mode(p, words[1], modes[i], (unsigned)delay_ms, ei));
        buf_add_cstr(out, "ok");
        return OK;
    }
    return err_set(ei, ERR_INVALID, "want mode NAME pass|cut|blackhole|refuse|delay N");
}

static void command_list(struct proxy *p, struct buf *out)
{
    buf_add_cstr(out, "ok");
    LIST_FOR(item, &p->rules) {
        const struct proxy_rule *r = LIST_ENTRY(item, struct proxy_rule, link);
        buf_printf(out, " %s=%s", r->name, proxy_mode_name(r->mode));
    }
}

void proxy_command(struct proxy *p, struct str line, struct buf *ret_answer)
{
    char text[LINE_SIZE_MAX];
    char *words[WORDS_MAX] = {0};
    struct errinfo ei = {0};
    enum err e = OK;
    ASSERT(line.n < sizeof(text));
    memcpy(text, line.p, line.n);
    text[line.n] = '\0';
    size_t n = split_words(text, words);
    if (n == 4 && strcmp(words[0], "add") == 0) {
        e = command_add(p, words, ret_answer, &ei);
    } else if (n >= 3 && strcmp(words[0], "mode") == 0) {
        e = command_mode(p, words, n, ret_answer, &ei);
    } else if (n == 1 && strcmp(words[0], "list") == 0) {
        command_list(p, ret_answer);
    } else {
        e = err_set(&ei, ERR_INVALID, "want add NAME LISTEN UPSTREAM, mode NAME MODE, or list");
    }
    if (e != OK) {
        buf_printf(ret_answer, "error %s", ei.message);
    }
}

/* --- the socket --------------------------------------------------------------------------------------- */

static void on_control_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void control_close(struct control_conn *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
        list_remove(&c->link);
        c->proxy->control_count--;
        uv_close((uv_handle_t *)&c->tcp, on_control_closed);
    }
}

static void on_answered(uv_write_t *write, int status)
{
    UNUSED(status); /* a caller that is gone needs no answer; its end of file closes the rest */
    struct answer *a = (struct answer *)write->data;
    mem_free(a->bytes);
    mem_free(a);
}

static void answer(struct control_conn *c, struct str line)
{
    struct buf out;
    buf_init(&out, ANSWER_SIZE_MAX);
    proxy_command(c->proxy, line, &out);
    buf_add_char(&out, '\n');
    if (!buf_ok(&out)) {
        buf_clear(&out);
        buf_add_cstr(&out, "error answer too long\n");
    }
    struct answer *a = MEM_NEW(struct answer);
    size_t n = 0;
    a->bytes = buf_take(&out, &n);
    a->write.data = a;
    uv_buf_t bytes = uv_buf_init(a->bytes, (unsigned)n);
    if (uv_write(&a->write, (uv_stream_t *)&c->tcp, &bytes, 1, on_answered) != 0) {
        on_answered(&a->write, 0);
        control_close(c);
    }
}

static void on_control_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    UNUSED(suggested);
    struct control_conn *c = (struct control_conn *)handle->data;
    *ret = uv_buf_init(c->line + c->line_size, (unsigned)(sizeof(c->line) - c->line_size));
}

static void on_control_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    UNUSED(bytes); /* the end of c->line */
    struct control_conn *c = (struct control_conn *)stream->data;
    if (n < 0) {
        control_close(c);
        return;
    }
    c->line_size += (size_t)n;
    char *end = NULL;
    while (!uv_is_closing((uv_handle_t *)&c->tcp) &&
           (end = (char *)memchr(c->line, '\n', c->line_size)) != NULL) {
        size_t used = (size_t)(end - c->line) + 1;
        answer(c, str_make(c->line, used - 1));
        memmove(c->line, c->line + used, c->line_size - used);
        c->line_size -= used;
    }
    if (c->line_size == sizeof(c->line)) {
        control_close(c); /* no such long command */
    }
}

static void on_control_connection(uv_stream_t *listener, int status)
{
    struct proxy *p = (struct proxy *)listener->data;
    if (status < 0) {
        return; /* the next one may do better */
    }
    struct control_conn *c = MEM_NEW(struct control_conn);
    int rc = uv_tcp_init(loop_uv(p->loop), &c->tcp);
    ASSERT(rc == 0);
    c->tcp.data = c;
    c->proxy = p;
    list_init(&c->link);
    list_push_back(&p->controls, &c->link);
    p->control_count++;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || p->control_count > CONTROLS_MAX ||
        uv_read_start((uv_stream_t *)&c->tcp, on_control_alloc, on_control_read) != 0) {
        control_close(c);
    }
}

void proxy_control(struct proxy *p, int listen_fd)
{
    ASSERT(p->control == NULL);
    p->control = proxy_listen(p, listen_fd, on_control_connection, p);
    ASSERT(p->control != NULL); /* the caller gives a listening TCP socket */
}

void proxy_control_free(struct proxy *p)
{
    while (!list_is_empty(&p->controls)) {
        control_close(LIST_ENTRY(p->controls.next, struct control_conn, link));
    }
    if (p->control != NULL) {
        uv_close((uv_handle_t *)p->control, proxy_close_and_free);
    }
}
