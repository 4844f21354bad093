/* Inside of `holdfast up`: the files up*.c. */
#pragma once

#include "account/record.h"
#include "base/buf.h"
#include "base/clock.h"
#include "coord/coord_client.h"
#include "net/loop.h"
#include "server/supervisor.h"
#include "server/up.h"

enum {
    FORMAT_NOW = 1,
    TXN_TIMEOUT_MS = 1000,
    RETRY_MS = 20,
    BIND_WAIT_MS = 5000,
    CONFIRM_RETRY_MS = 100, /* after a stop could not be told */
    FOLLOW_RETRY_MS = 1000, /* after a region's server could not be made, or account.json written */
    STOP_GRACE_MS = 5000,
    TOKEN_BYTES = 32,
    RENEWAL_MS = 86400 * 1000, /* between looks at the certificate */
    PATIENCE_MS = 5000,        /* then an unfinished start is explained */
    PATH_SIZE = 4096,
    COORDINATOR_BACKOFF_MS = 400, /* away for longer, it would cost profile lan its leases */
    SECRET_BYTES = 32,
    KEY_BYTES = 64,
    ENDPOINT_SIZE = 256,           /* as in the record */
    PROXIES_MAX = 64,              /* CONF_LIST_MAX of the proxy's configuration */
    TO_COORDINATOR = UP_NAMES_MAX, /* struct up_proxy.to */
};

struct up_region {
    struct up *up;
    char name[RECORD_NAME_MAX];
    region_id id;
    bool is_member; /* in the account; else it was, and its data and port wait for it */
    unsigned slot;  /* its port is the global one + 1 + slot, now and later */
    unsigned port, peer_port;
    int http_fd, peer_fd; /* 0: not open yet */
    bool is_failure_told; /* of its server that could not be made */
    struct sup_child *child;
    uint64_t stopped_incarnation; /* to be confirmed to the coordinator; 0 = nothing */
    uint64_t told_incarnation;    /* of the latest attempt */
    bool is_confirming;
};

struct up_proxy {                       /* one directed link through the fault proxy */
    char name[2 * RECORD_NAME_MAX + 8]; /* "east>west", "east>coordinator" */
    size_t from;
    size_t to; /* region index, or TO_COORDINATOR */
    int fd;
    unsigned port, upstream_port;
};

struct up {
    struct up_opts opts;
    char dir[PATH_SIZE - 256];
    int lock_fd;
    char tls_cert[PATH_SIZE], tls_key[PATH_SIZE]; /* files; empty: plain HTTP */
    char tls_ca[PATH_SIZE];                       /* empty: the system's authorities */
    struct loop *loop;
    struct supervisor *sup;
    struct coord_client *coord;
    int coord_fd, global_fd, control_fd;
    unsigned coord_port, control_port;
    char key[96];                 /* as in the account record */
    struct coord_secrets secrets; /* of the coordinator, as the start found them */
    char secret_path[PATH_SIZE];  /* their file, which every process follows */
    size_t region_count;          /* also of those that were members once */
    struct up_region regions[UP_NAMES_MAX];
    struct up_proxy proxies[PROXIES_MAX];
    size_t proxy_count;
    struct sup_child *coordinator, *front, *proxy;
    struct hosting *hosting; /* NULL when we are hosted ourselves */
    int front_control[2];    /* we write "down NAME" / "up NAME" lines to [0] */
    int proxy_offers[2];     /* links of regions that join, with their sockets, are sent on [0] */
    struct loop_timer *retry;
    struct loop_timer *again; /* reads the record again and follows it */
    struct loop_timer *unconfirmed;
    bool is_putting_addresses;
    struct loop_timer *patience;
    struct loop_timer *renewal; /* of the certificate */
    bool is_kept;               /* the account was here before */
    bool is_record_ready, is_announced, is_ending;
    bool is_unsaved; /* account.json is behind */
    bool is_save_failure_told;
    usec started_us;
    char prefix[RECORD_NAME_MAX + 64];
    struct errinfo failure;
};

/* By another `up`, whose coordinator we use and who is asked to manage us (server/hosting.h). */
static inline bool up_is_hosted(const struct up *up)
{
    return up->opts.coordinator_port != 0;
}

/* ---- up.c ---- */
/* Ends the loop; up_run returns up->failure. */
void up_fail(struct up *up);

/* ---- up_account.c ---- */
/* Makes the directory if need be, locks it, checks its format. */
enum err up_open_dir(struct up *up, struct errinfo *ei) MUST_CHECK;
/* Fills in what an earlier start decided, which options may repeat but not contradict. */
enum err up_load_account(struct up *up, struct errinfo *ei) MUST_CHECK;
enum err up_save_account(struct up *up, struct errinfo *ei) MUST_CHECK;
/* The management interface belongs to whoever can read the directory. */
enum err up_save_token(struct up *up, struct errinfo *ei) MUST_CHECK;
enum err up_write_ready_file(struct up *up, struct errinfo *ei) MUST_CHECK;
/* ERR_CONFIG when the option was given and is not what the account has. */
enum err up_check_kept(const struct up *up, const char *what, const char *option, struct str kept,
                       struct str asked, bool is_given, struct errinfo *ei) MUST_CHECK;
/* `bytes` random ones, at most KEY_BYTES, as base64 in ret[size]. */
void up_random_base64(char *ret, size_t size, size_t bytes);

/* ---- up_children.c ---- */
enum err up_open_sockets(struct up *up, struct errinfo *ei) MUST_CHECK;
enum err up_listen(struct up *up, unsigned port, int *ret_fd, unsigned *ret_port,
                   struct errinfo *ei) MUST_CHECK;
/* Writes the configuration of every process and adds it to the supervisor, not started yet. */
enum err up_add_children(struct up *up, struct errinfo *ei) MUST_CHECK;
enum err up_add_server(struct up *up, size_t i, struct errinfo *ei) MUST_CHECK;
/* What its files in run/ are called: NAME.conf, NAME.log. */
void up_server_file(const char *region, char ret[RECORD_NAME_MAX + 8]);
/* Puts the links of a region that joins behind the fault proxy and tells everybody. */
enum err up_add_links(struct up *up, size_t i, struct errinfo *ei) MUST_CHECK;
void up_tell_front(struct up *up, const char *what, const struct up_region *r, int with_fd);

/* ---- up_record.c ---- */
/* Timer callbacks; ctx is the `struct up`. The first makes the record or brings it up to date, and starts
 * the processes; the second follows what it says by now. */
void up_read_record(void *ctx);
void up_read_again(void *ctx);
/* Keys may be rotated while we run: tools find the present one in account.json. Regions come and go. */
void up_record_changed(void *ctx, const struct coord_kv *kv);

/* ---- up_tls.c ---- */
/* URL of the global endpoint (r NULL) or of a region's. */
void up_endpoint_url(const struct up *up, const struct up_region *r, char ret[ENDPOINT_SIZE]);
/* The certificate names every region that the account has or had: makes or checks it. Again whenever
 * a region is new. */
enum err up_prepare_tls(struct up *up, struct errinfo *ei) MUST_CHECK;

/* ---- up_regions.c ---- */
enum err up_open_region(struct up *up, struct up_region *r, struct errinfo *ei) MUST_CHECK;
unsigned up_free_slot(const struct up *up);
/* Starts and stops servers so that they are those of the record; addresses follow. */
void up_follow(struct up *up, const struct account_record *rec, coord_rev rev);
