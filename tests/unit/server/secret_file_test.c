/* A secret that is followed: each change is news once, what is no secret changes nothing. */
#include "server/secret_file.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/t.h"

static char path[64];

static void put(const char *text)
{
    t_ok(files_write_durable(path, str_of(text), 0600, NULL));
}

static void setup(struct secret_file **ret, const char *known)
{
    struct secret_file_opts o = {
        .what = "test", .path = path, .known = str_of(known), .size_min = 4};
    secret_file_look_ms = secret_file_settle_ms = 2;
    (void)snprintf(path, sizeof(path), "/tmp/holdfast-test-secret-%d", (int)getpid());
    put("first\n");
    t_ok(secret_file_new(&o, ret, NULL));
}

/* What comes within a second; "" = nothing. */
static const char *next(struct secret_file *f, unsigned wait_ms)
{
    static char text[FILES_SECRET_SIZE];
    size_t n = 0;
    usec until = clock_boot_us() + (usec)wait_ms * 1000;
    while (!secret_file_take(f, text, &n)) {
        if (clock_boot_us() > until) {
            return "";
        }
        (void)poll(NULL, 0, 1);
    }
    t_eq_u64(n, strlen(text));
    return text;
}

static void teardown(struct secret_file *f)
{
    secret_file_free(f);
    (void)unlink(path);
    secret_file_look_ms = SECRET_FILE_LOOK_MS;
    secret_file_settle_ms = SECRET_FILE_SETTLE_MS;
}

T_TEST("each change is told once; a file without a secret, or with one too short, changes nothing")
{
    struct secret_file *f = NULL;
    setup(&f, "first");
    t_eq_cstr(next(f, 50), "");
    put("second\n");
    t_eq_cstr(next(f, 5000), "second");
    t_eq_cstr(next(f, 20), "");
    put("abc");
    t_eq_cstr(next(f, 50), "");
    put("");
    t_eq_cstr(next(f, 50), "");
    (void)unlink(path);
    t_eq_cstr(next(f, 50), "");
    put("second\n"); /* as it was: no news */
    t_eq_cstr(next(f, 50), "");
    put("third");
    t_eq_cstr(next(f, 5000), "third");
    teardown(f);
}

T_TEST("a change before the watch began is found, and one that a signal asks for is read at once")
{
    struct secret_file *f = NULL;
    setup(&f, "zeroth");
    t_eq_cstr(next(f, 5000), "first");
    teardown(f);
    setup(&f, "first");
    secret_file_look_ms = 3600 * 1000;
    put("second");
    secret_file_reread(f);
    t_eq_cstr(next(f, 5000), "second");
    teardown(f);
    secret_file_reread(NULL);
    size_t n = 0;
    char text[FILES_SECRET_SIZE];
    t_check(!secret_file_take(NULL, text, &n));
    secret_file_free(NULL);
}

T_MAIN()
