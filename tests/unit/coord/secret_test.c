/* What a secret file may hold, and what is told of one that changes. */
#include "coord/secret.c"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file_watch.h"
#include "lib/t.h"

static struct coord_secrets parsed(struct str text)
{
    struct coord_secrets s = {0};
    struct errinfo ei = {0};
    t_ok_info(coord_secrets_parse(text, &s, &ei), &ei);
    return s;
}

/* `text` is refused, and the reason is not made of it. */
static void refuses(struct str text, enum err want, const char *why)
{
    struct coord_secrets s = {.count = 7};
    struct errinfo ei = {0};
    t_err(coord_secrets_parse(text, &s, &ei), want);
    t_check(strstr(ei.message, why) != NULL);
    t_check(strstr(ei.message, "hush") == NULL && strstr(ei.hint, "hush") == NULL);
    t_eq_u64(s.count, 7);
}

T_TEST("one secret or two, one a line; blanks around them and empty lines do not count")
{
    static const char *const ones[] = {"a b", "a b\n", "\n\n\ta b \r\n\n"};
    for (size_t i = 0; i < ARRAY_COUNT(ones); i++) {
        struct coord_secrets s = parsed(str_of(ones[i]));
        t_eq_u64(s.count, 1);
        t_eq_str(coord_secret(&s, 0), STR("a b"));
    }
    static const char *const twos[] = {"new\nold", "new\r\nold\r\n", "\n new\n\n \nold\n\n"};
    for (size_t i = 0; i < ARRAY_COUNT(twos); i++) {
        struct coord_secrets s = parsed(str_of(twos[i]));
        t_eq_u64(s.count, 2);
        t_eq_str(coord_secret(&s, 0), STR("new"));
        t_eq_str(coord_secret(&s, 1), STR("old"));
    }
}

T_TEST("no secret, three, the same twice, one that cannot be sent: refused without a word of it")
{
    refuses(STR(""), ERR_CONFIG, "empty");
    refuses(STR(" \n\t\n"), ERR_CONFIG, "empty");
    refuses(STR("hush1\nhush2\nhush3"), ERR_CONFIG, "more than 2");
    refuses(STR("hush\nhush"), ERR_CONFIG, "the same");
    refuses(STR("hush1\nhu\0sh"), ERR_CONFIG, "secret 2");
    refuses(STR("hush\rhush"), ERR_CONFIG, "secret 1");
}

T_TEST("a secret has at most 256 bytes, its file 1024")
{
    char text[COORD_SECRET_FILE_SIZE_MAX + 1];
    memset(text, 'x', sizeof(text));
    struct coord_secrets s = parsed(str_make(text, COORD_SECRET_SIZE_MAX));
    t_eq_u64(coord_secret(&s, 0).n, 256);
    refuses(str_make(text, COORD_SECRET_SIZE_MAX + 1), ERR_LIMIT, "secret 1 has 257 bytes");
    memset(text + 10, '\n', sizeof(text) - 10);
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/limit", t_tmp_dir());
    struct errinfo ei = {0};
    t_ok(files_write_durable(path, str_make(text, COORD_SECRET_FILE_SIZE_MAX), 0600, NULL));
    t_ok(coord_secrets_read(path, &s, &ei));
    t_eq_u64(coord_secret(&s, 0).n, 10);
    t_ok(files_write_durable(path, str_make(text, sizeof(text)), 0600, NULL));
    t_err(coord_secrets_read(path, &s, &ei), ERR_LIMIT);
}

T_TEST("an error of a file names it and says what to do")
{
    char path[4096];
    struct coord_secrets s;
    struct errinfo ei = {0};
    (void)snprintf(path, sizeof(path), "%s/three", t_tmp_dir());
    t_err(coord_secrets_read(path, &s, &ei), ERR_NOT_FOUND);
    t_ok(files_write_durable(path, STR("hush1\nhush2\nhush3\n"), 0600, NULL));
    ei = (struct errinfo){0};
    t_err(coord_secrets_read(path, &s, &ei), ERR_CONFIG);
    t_check(strstr(ei.message, path) != NULL && strstr(ei.message, "more than 2") != NULL);
    t_check(strstr(ei.hint, "one a line") != NULL && strstr(ei.message, "hush") == NULL);
}

T_TEST("which of them is given: whole, no part and no more of it")
{
    struct coord_secrets s = parsed(STR("new\nold"));
    t_eq_u64(coord_secrets_find(&s, STR("new")), 0);
    t_eq_u64(coord_secrets_find(&s, STR("old")), 1);
    static const char *const others[] = {"", "ne", "news", "New", "new\nold"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        t_eq_u64(coord_secrets_find(&s, str_of(others[i])), COORD_SECRETS_MAX);
    }
    struct coord_secrets turned = parsed(STR("old\nnew"));
    struct coord_secrets first = coord_secrets_of(STR("new"));
    t_check(coord_secrets_are_same(&s, &s));
    t_check(!coord_secrets_are_same(&s, &turned) && !coord_secrets_are_same(&s, &first));
    coord_secrets_done(&s);
    for (size_t i = 0; i < sizeof(s); i++) {
        t_check(((const char *)&s)[i] == 0);
    }
}

static struct {
    atomic_uint count, calls;
    atomic_bool refuses;
} w;

static bool changed(void *ctx, const struct coord_secrets *now)
{
    t_check(ctx == &w);
    (void)atomic_fetch_add(&w.calls, 1);
    atomic_store(&w.count, (unsigned)now->count);
    return !atomic_load(&w.refuses);
}

T_TEST("a file is followed: what differs is told, what cannot be used or did not differ is not")
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/followed", t_tmp_dir());
    coord_secret_look_ms = coord_secret_settle_ms = 2;
    struct coord_secrets known = coord_secrets_of(STR("old"));
    t_ok(files_write_durable(path, STR("old\nnew"), 0600, NULL)); /* changed before the start */
    struct coord_secret_file *f = NULL;
    t_ok(coord_secret_file_new(path, &known, changed, &w, &f, NULL));
    while (atomic_load(&w.calls) < 1) {
        (void)sched_yield(); /* until the test's time is up */
    }
    t_eq_u64(atomic_load(&w.count), 2);
    t_ok(files_write_durable(path, STR(""), 0600, NULL));
    while (!file_watch_is_refused(f->watch)) {
        (void)sched_yield();
    }
    t_ok(files_write_durable(path, STR(" old\n\nnew\n"), 0600, NULL));
    while (file_watch_is_refused(f->watch)) {
        (void)sched_yield();
    }
    coord_secret_file_reread(f);
    coord_secret_file_look(f);
    atomic_store(&w.refuses, true); /* whoever follows cannot take it yet: told again */
    t_eq_u64(atomic_load(&w.calls), 1);
    t_ok(files_write_durable(path, STR("new"), 0600, NULL));
    while (atomic_load(&w.calls) < 3) {
        (void)sched_yield();
    }
    atomic_store(&w.refuses, false);
    t_eq_u64(atomic_load(&w.count), 1);
    coord_secret_file_free(f);
    coord_secret_file_free(NULL);
    coord_secret_look_ms = COORD_SECRET_LOOK_MS;
    coord_secret_settle_ms = COORD_SECRET_SETTLE_MS;
}

T_MAIN()
