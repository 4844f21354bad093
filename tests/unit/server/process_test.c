/* What the processes refuse to start with, and what they say then. Only refusals: a process that
 * starts would not come back. */
#include "server/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "lib/t.h"

static struct process p;
static struct errinfo ei;

/* A process of that role configured by `text`. */
static struct conf *configured(const char *text)
{
    struct conf *c = conf_new(process_rows, PROC_ROW_COUNT);
    memset(&ei, 0, sizeof(ei));
    t_ok_info(conf_load_text(c, "test.conf", str_of(text), &ei), &ei);
    return c;
}

static void refuses(const char *role, enum err (*run)(struct process *, struct errinfo *),
                    const char *text, enum err want, const char *says, const char *hints)
{
    struct conf *c = configured(text);
    enum err err = process_init(&p, c, role, &ei);
    if (err == OK) {
        err = run(&p, &ei);
    }
    t_eq_int(err, want);
    t_eq_int(ei.code, want);
    t_contains(str_of(ei.message), says);
    t_contains(str_of(ei.hint), hints);
    conf_free(c);
}

static const char *secret_file(const char *name, const char *text)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", t_tmp_dir(), name);
    t_ok(files_write_durable(path, str_of(text), 0600, NULL));
    return path;
}

T_TEST("the secret is the file's text without blanks around it")
{
    char text[600];
    (void)snprintf(text, sizeof(text), "secret-file = %s\nlog-level = warn\n",
                   secret_file("secret", " s3cret\n\n"));
    struct conf *c = configured(text);
    t_ok(process_init(&p, c, "front", &ei));
    t_eq_u64(p.secrets.count, 1);
    t_eq_str(coord_secret(&p.secrets, 0), STR("s3cret"));
    t_eq_u64(p.socket_count, 0);
    conf_free(c);
}

T_TEST("a secret that is missing, empty or too long is refused with its file's name")
{
    char text[600];
    refuses("front", process_front, "secret-file = /nonexistent/secret\n", ERR_NOT_FOUND,
            "/nonexistent/secret", "");
    (void)snprintf(text, sizeof(text), "secret-file = %s\n", secret_file("empty", " \n"));
    refuses("front", process_front, text, ERR_CONFIG, "empty", "");
    char large[300];
    memset(large, 's', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    (void)snprintf(text, sizeof(text), "secret-file = %s\n", secret_file("large", large));
    refuses("front", process_front, text, ERR_LIMIT, "large", "");
}

T_TEST("every role names what it lacks and how to give it")
{
    refuses("server", process_server, "secret-file =\n", ERR_CONFIG, "secret", "--secret-file");
    refuses("front", process_front, "", ERR_CONFIG, "secret", "--secret-file");
    refuses("coordinator", process_coordinator, "", ERR_CONFIG, "secret", "--secret-file");
    char text[600];
    (void)snprintf(text, sizeof(text), "secret-file = %s\n", secret_file("secret", "s"));
    refuses("server", process_server, text, ERR_CONFIG, "which region", "--region NAME");
    refuses("proxy", process_proxy, "links = a=127.0.0.1:1\n", ERR_CONFIG,
            "'a' has no inherited socket", "");
    refuses("proxy", process_proxy, "", ERR_CONFIG, "no links", "--fault-proxy");
}

T_TEST("values of the wrong form are refused before anything is opened")
{
    char text[1500];
    const char *secret = secret_file("secret", "s");
    refuses("server", process_server, "log-level = loud\n", ERR_CONFIG, "'loud'", "debug");
    (void)snprintf(text, sizeof(text), "secret-file = %s\nregion = east\nprofile = moon\n", secret);
    refuses("server", process_server, text, ERR_CONFIG, "'moon'", "lan or wan");
    (void)snprintf(text, sizeof(text), "secret-file = %s\nregion = east\npeer-override = west\n",
                   secret);
    refuses("server", process_server, text, ERR_CONFIG, "bad peer-override 'west'",
            "NAME=HOST:PORT");
    (void)snprintf(
        text, sizeof(text),
        "secret-file = %s\nregion = east\nengine = floppy\ndir = %s\nlisten = 127.0.0.1:0\n"
        "listen-peer = 127.0.0.1:0\n",
        secret, t_tmp_dir());
    refuses("server", process_server, text, ERR_CONFIG, "floppy", "");
    (void)snprintf(text, sizeof(text), "secret-file = %s\nregion = east\nlisten = localhost:80\n",
                   secret);
    refuses("server", process_server, text, ERR_INVALID, "localhost:80 is not numeric", "");
    refuses("proxy", process_proxy, "links = a\n", ERR_CONFIG, "bad link 'a'", "NAME=HOST:PORT");
}

T_TEST("each role listens where clients look for it when no address is given")
{
    struct conf *c = configured("");
    t_ok(process_init(&p, c, "coordinator", &ei));
    t_eq_cstr(process_listen_addr(&p, "coordinator"), "127.0.0.1:8070");
    t_eq_cstr(conf_cstr(c, PROC_COORDINATOR), "http://127.0.0.1:8070");
    t_eq_cstr(process_listen_addr(&p, "front"), "127.0.0.1:8081");
    t_eq_cstr(process_listen_addr(&p, "server"), "127.0.0.1:8082");
    conf_free(c);
    c = configured("listen = 127.0.0.1:99\n");
    t_ok(process_init(&p, c, "coordinator", &ei));
    t_eq_cstr(process_listen_addr(&p, "coordinator"), "127.0.0.1:99");
    conf_free(c);
}

T_TEST("options are shown to the roles that use them")
{
    t_check(process_row_is_for(PROC_REGION, "server") && !process_row_is_for(PROC_REGION, "front"));
    t_check(process_row_is_for(PROC_LINKS, "proxy") && !process_row_is_for(PROC_LINKS, "server"));
    t_check(process_row_is_for(PROC_DIR, "coordinator") && !process_row_is_for(PROC_DIR, "proxy"));
    for (unsigned row = 0; row < PROC_ROW_COUNT; row++) {
        bool is_used = process_row_is_for(row, "server") || process_row_is_for(row, "front") ||
                       process_row_is_for(row, "coordinator") || process_row_is_for(row, "proxy");
        t_checkf(is_used, "nobody uses %s", process_rows[row].name);
        t_check(process_row_is_for(PROC_LOG_LEVEL, "proxy"));
    }
}

int main(int argc, char **argv)
{
    log_set_level(LOG_LEVEL_ERROR);
    return t_main(argc, argv);
}
