/* The file of the coordinator's secret. See secret.h. */
#include "coord/secret.h"

#include <string.h>

#include "base/buf.h"
#include "base/contract.h"
#include "base/file_watch.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"

unsigned coord_secret_look_ms = COORD_SECRET_LOOK_MS;
unsigned coord_secret_settle_ms = COORD_SECRET_SETTLE_MS;

struct coord_secret_file {
    char *path; /* owned */
    struct file_watch *watch;
    struct coord_secrets known; /* belongs to `take` once the watch has started */
    coord_secrets_changed *changed;
    void *ctx;
};

/* --- text ----------------------------------------------------------------------------------------- */

static enum err add(struct coord_secrets *s, struct str secret, struct errinfo *ei)
{
    if (s->count == COORD_SECRETS_MAX) {
        err_set(ei, ERR_CONFIG, "more than %d secrets", COORD_SECRETS_MAX);
        err_hint(ei, "one a line: the one to present, then one more to accept while it changes");
        return ERR_CONFIG;
    }
    if (secret.n > COORD_SECRET_SIZE_MAX) {
        return err_set(ei, ERR_LIMIT, "secret %zu has %zu bytes, at most %d are taken",
                       s->count + 1, secret.n, COORD_SECRET_SIZE_MAX);
    }
    if (memchr(secret.p, '\0', secret.n) != NULL || memchr(secret.p, '\r', secret.n) != NULL) {
        err_set(ei, ERR_CONFIG, "secret %zu has a byte that cannot be sent in a header",
                s->count + 1);
        err_hint(ei, "write it as base64 or hex");
        return ERR_CONFIG;
    }
    if (coord_secrets_find(s, secret) < COORD_SECRETS_MAX) {
        return err_set(ei, ERR_CONFIG, "both secrets are the same");
    }
    memcpy(s->list[s->count].text, secret.p, secret.n);
    s->list[s->count++].size = secret.n;
    return OK;
}

enum err coord_secrets_parse(struct str text, struct coord_secrets *ret, struct errinfo *ei)
{
    struct coord_secrets s = {0};
    enum err err = OK;
    while (err == OK && text.n > 0) {
        struct str line = text;
        struct str rest = STR_NONE;
        (void)str_split(text, '\n', &line, &rest); /* no line end: the last one */
        line = str_trim(line);
        text = rest;
        if (line.n > 0) {
            err = add(&s, line, ei);
        }
    }
    if (err == OK && s.count == 0) {
        err = err_set(ei, ERR_CONFIG, "no secret: it is empty");
    }
    if (err == OK) {
        *ret = s;
    }
    coord_secrets_done(&s);
    return err;
}

enum err coord_secrets_read(const char *path, struct coord_secrets *ret, struct errinfo *ei)
{
    struct buf text;
    buf_init(&text, COORD_SECRET_FILE_SIZE_MAX);
    enum err err = files_read(path, &text, ei);
    if (err == OK) {
        struct errinfo why = {0};
        err = coord_secrets_parse(buf_str(&text), ret, &why);
        if (err != OK) {
            (void)err_set(ei, err, "the secret file %s: %s", path, why.message);
            err_hint(ei, "%s", why.hint); /* may be none */
        }
    }
    buf_done_secret(&text);
    return err;
}

struct coord_secrets coord_secrets_of(struct str secret)
{
    ASSERT(secret.n > 0 && secret.n <= COORD_SECRET_SIZE_MAX);
    struct coord_secrets ret = {.count = 1};
    ret.list[0].size = secret.n;
    memcpy(ret.list[0].text, secret.p, secret.n);
    return ret;
}

struct str coord_secret(const struct coord_secrets *s, size_t i)
{
    ASSERT(i < s->count);
    return str_make(s->list[i].text, s->list[i].size);
}

bool coord_secrets_are_same(const struct coord_secrets *a, const struct coord_secrets *b)
{
    bool ret = a->count == b->count;
    for (size_t i = 0; ret && i < a->count; i++) {
        ret = str_eq_secret(coord_secret(a, i), coord_secret(b, i));
    }
    return ret;
}

size_t coord_secrets_find(const struct coord_secrets *s, struct str given)
{
    size_t ret = COORD_SECRETS_MAX;
    for (size_t i = 0; i < s->count; i++) { /* all of them, found or not */
        ret = str_eq_secret(given, coord_secret(s, i)) ? i : ret;
    }
    return ret;
}

void coord_secrets_done(struct coord_secrets *s)
{
    explicit_bzero(s, sizeof(*s));
}

/* --- file ----------------------------------------------------------------------------------------- */

static bool take(void *ctx, bool is_news)
{
    struct coord_secret_file *f = (struct coord_secret_file *)ctx;
    struct coord_secrets now;
    struct errinfo ei = {0};
    if (coord_secrets_read(f->path, &now, &ei) != OK) {
        if (is_news) {
            LOG_ERROR("coord", "secret_refused", "why=\"%s\" hint=\"%s\"", ei.message,
                      "the former secrets hold until the file is right");
        }
        return false;
    }
    bool is_changed = !coord_secrets_are_same(&now, &f->known);
    bool is_taken = !is_changed || f->changed(f->ctx, &now);
    if (is_changed && is_taken) {
        LOG_INFO("coord", "secret_taken", "file=%s secrets=%zu", f->path, now.count);
        f->known = now;
    }
    coord_secrets_done(&now);
    return is_taken;
}

enum err coord_secret_file_new(const char *path, const struct coord_secrets *known,
                               coord_secrets_changed *changed, void *ctx,
                               struct coord_secret_file **ret, struct errinfo *ei)
{
    struct coord_secret_file *f = MEM_NEW(struct coord_secret_file);
    f->path = mem_strdup(path);
    f->known = *known;
    f->changed = changed;
    f->ctx = ctx;
    struct file_watch_opts opts = {.paths = {path},
                                   .look_ms = &coord_secret_look_ms,
                                   .settle_ms = &coord_secret_settle_ms,
                                   .take = take,
                                   .ctx = f};
    f->watch = file_watch_new(&opts);
    enum err err = file_watch_start(f->watch, ei);
    if (err != OK) {
        coord_secret_file_free(f);
        return err;
    }
    /* The file may have changed between the reading of `known` and the start of the watch. */
    file_watch_ask(f->watch, FILE_WATCH_ALWAYS);
    *ret = f;
    return OK;
}

void coord_secret_file_free(struct coord_secret_file *f)
{
    if (f == NULL) {
        return;
    }
    file_watch_free(f->watch);
    mem_free(f->path);
    mem_free_secret(f, sizeof(*f));
}

void coord_secret_file_reread(struct coord_secret_file *f)
{
    file_watch_ask(f->watch, FILE_WATCH_ALWAYS);
}

void coord_secret_file_look(struct coord_secret_file *f)
{
    file_watch_ask(f->watch, FILE_WATCH_IF_CHANGED);
}
