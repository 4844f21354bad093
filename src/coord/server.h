/* The built-in coordinator as a process body: the store of store.h over the file of journal.h, spoken to
 * in HTTP (coord/wire.h). One machine, one file: it is not highly available, and does not say it is.
 *
 * Answers leave when everything they show is durable. Volatile changes that touch nothing which waits
 * for the disk are answered at once: a slow disk must not end leases. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "coord/secret.h"
#include "net/loop.h"

enum {
    COORD_SERVER_WATCHES_MAX = 1024,
    COORD_SERVER_WAITING_MAX = 4096, /* answers that wait for the disk */
    COORD_SERVER_ANSWER_MS = 10000,  /* after it a waiting answer becomes "outcome unknown" */
};

struct coord_server_opts {
    const char *dir;
    int listen_fd; /* not closed */
    /* Clients send one of them as bearer token; copied. secret_file: where they come from, followed
     * while it runs; NULL: they stay. */
    const struct coord_secrets *secrets;
    const char *secret_file;
    unsigned http_threads; /* 0 = 2 */
    /* A second socket, for https: with the key that tls_derive makes of the first secret, in
     * DIR/coordinator.pem and .key. Not closed. */
    bool has_tls;
    int tls_fd;
};

struct coord_server;
/* On `loop`, which the caller runs. Errors of journal_open, or ERR_CONFIG. */
enum err coord_server_new(struct loop *loop, const struct coord_server_opts *opts,
                          struct coord_server **ret, struct errinfo *ei) MUST_CHECK;
void coord_server_reread(struct coord_server *s); /* the secret's file, soon; any thread */
void coord_server_free(struct coord_server *s);   /* when the loop no longer runs */

/* The whole process: loop, server, until SIGTERM or SIGINT. */
enum err coord_server_run(const struct coord_server_opts *opts, struct errinfo *ei) MUST_CHECK;
