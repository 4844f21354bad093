/* What the processes share at start: options, inherited sockets, secrets. Configuration tables are
 * data; `holdfast ROLE --help` and doc/reference come from them. */
#pragma once

#include "base/conf.h"
#include "base/err.h"
#include "base/files.h"
#include "coord/secret.h"
#include "net/sockets.h"

enum {
    PROC_CONFIG,
    PROC_ACCOUNT,
    PROC_COORDINATOR,
    PROC_SECRET_FILE,
    PROC_LOG_LEVEL,
    PROC_PROFILE,
    PROC_REGION,
    PROC_DIR,
    PROC_ENGINE,
    PROC_CONFIRM_STOP,
    PROC_DISK_RESERVE,
    PROC_LOG_BUDGET,
    PROC_ARCHIVE_KEEP,
    PROC_SLOW_COMMIT,
    PROC_SLOW_FOR,
    PROC_FAILOVER_HOLD,
    PROC_SESSION_AFTER_LOSS,
    PROC_KEEP_WRITING,
    PROC_DRILL_FAULTS,
    PROC_PEER_OVERRIDE,
    PROC_PEER_TLS,
    PROC_HTTP_THREADS,
    PROC_LINKS,
    PROC_WEBHOOK,
    PROC_WEBHOOK_SECRET_FILE,
    PROC_MANAGEMENT_TOKEN_FILE,
    PROC_LISTEN,
    PROC_LISTEN_PEER,
    PROC_LISTEN_TLS,
    PROC_ENDPOINT,
    PROC_REGION_ENDPOINT,
    PROC_PEER_ADDRESS,
    PROC_TLS_CERT,
    PROC_TLS_KEY,
    PROC_TLS_CA,
    PROC_ROW_COUNT,
};
extern const struct conf_row process_rows[PROC_ROW_COUNT];

/* Does `role` ("server", "front", "coordinator", "proxy") look at that option? */
bool process_row_is_for(unsigned row, const char *role);

struct process {
    const struct conf *conf;
    const char *role;
    struct coord_secrets secrets; /* count 0: no file was named */
    char webhook_secret[FILES_SECRET_SIZE];
    size_t webhook_secret_n;
    char management_token[FILES_SECRET_SIZE];
    size_t management_token_n;
    size_t socket_count;
    struct sockets_inherited sockets[SOCKETS_INHERITED_MAX];
};
/* Log level and name, secret file, certificate, inherited sockets. */
enum err process_init(struct process *p, const struct conf *c, const char *role,
                      struct errinfo *ei) MUST_CHECK;
/* --listen, or where others expect a process of that role. */
const char *process_listen_addr(const struct process *p, const char *role);
/* The inherited socket of that name, or one bound to `addr`. */
enum err process_socket(const struct process *p, const char *name, const char *addr, int *ret_fd,
                        struct errinfo *ei) MUST_CHECK;

enum err process_server(struct process *p, struct errinfo *ei) MUST_CHECK;
enum err process_front(struct process *p, struct errinfo *ei) MUST_CHECK;
enum err process_coordinator(struct process *p, struct errinfo *ei) MUST_CHECK;
enum err process_proxy(struct process *p, struct errinfo *ei) MUST_CHECK;
