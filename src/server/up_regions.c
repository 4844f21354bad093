/* Regions that come and go while the account is up: sockets, servers, addresses. See up_int.h.
 *
 * The record decides; we follow it. A region that joins gets the lowest free port and directory, or
 * its own again when it was here before; the front is handed its socket, to stand in for it. One that
 * left is stopped, its data stay, and the front goes on answering at its address: 403/1008. */
#include <stdio.h>
#include <string.h>

#include "account/region.h"
#include "base/contract.h"
#include "base/log.h"
#include "server/up_int.h"

unsigned up_free_slot(const struct up *up)
{
    unsigned slot = 0;
    for (size_t i = 0; i < up->region_count; i++) {
        if (up->regions[i].slot == slot) {
            slot++;
            i = (size_t)-1; /* look at all again with the next number */
        }
    }
    return slot;
}

enum err up_open_region(struct up *up, struct up_region *r, struct errinfo *ei)
{
    if (r->http_fd == 0) {
        TRY(up_listen(up, up->opts.port + 1 + r->slot, &r->http_fd, &r->port, ei));
    }
    return r->peer_fd == 0 ? up_listen(up, 0, &r->peer_fd, &r->peer_port, ei) : OK;
}

/* A server for a region that this process has none for yet. */
static enum err make_server(struct up *up, struct up_region *r, struct errinfo *ei)
{
    TRY(up_prepare_tls(up, ei)); /* its name has to be in the certificate */
    TRY(up_open_region(up, r, ei));
    if (up->opts.has_fault_proxy) {
        TRY(up_add_links(up, (size_t)(r - up->regions), ei));
    }
    TRY(up_add_server(up, (size_t)(r - up->regions), ei));
    char name[RECORD_NAME_MAX + 8];
    (void)snprintf(name, sizeof(name), "region-%s", r->name);
    sup_child_add_fd(up->front, &(struct sup_fd){r->http_fd, name});
    up_tell_front(up, "add", r, r->http_fd);
    return OK;
}

static struct up_region *find(struct up *up, struct account_record *rec,
                              const struct record_region *g)
{
    for (size_t i = 0; i < up->region_count; i++) {
        if (record_region_by_name(rec, str_of(up->regions[i].name)) == g) {
            return &up->regions[i];
        }
    }
    return NULL;
}

static bool join(struct up *up, struct up_region *r, const struct record_region *g)
{
    struct errinfo ei = {0};
    r->id = g->id;
    if (r->child == NULL && make_server(up, r, &ei) != OK) {
        if (!r->is_failure_told) {
            LOG_ERROR("up", "region_not_started", "region=%s error=\"%s\"", r->name, ei.message);
        }
        r->is_failure_told = true;
        loop_timer_set(up->again, FOLLOW_RETRY_MS, 0); /* the record need not change first */
        return false;
    }
    r->is_failure_told = false;
    r->is_member = true;
    LOG_INFO("up", "region_joins", "region=%s port=%u", r->name, r->port);
    supervisor_start(r->child);
    return true;
}

static void leave(struct up_region *r)
{
    r->is_member = false;
    LOG_INFO("up", "region_left", "region=%s", r->name);
    supervisor_retire(r->child, STOP_GRACE_MS);
}

static void on_addresses_put(void *ctx, const struct coord_txn_result *res)
{
    struct up *up = ctx;
    up->is_putting_addresses = false;
    if (res->err != OK) { /* a lost race is shown by the record that won */
        loop_timer_set(up->again, RETRY_MS, 0);
    }
}

/* Where a region that joins is reached: nobody else can say. */
static void put_addresses(struct up *up, const struct account_record *rec, coord_rev rev)
{
    struct arena arena;
    arena_init(&arena);
    struct account_record *next = ARENA_NEW(&arena, struct account_record);
    record_copy(&arena, rec, next);
    bool is_news = false;
    for (size_t i = 0; i < up->region_count; i++) {
        const struct up_region *r = &up->regions[i];
        struct record_region *g = record_region_by_name(next, str_of(r->name));
        if (!r->is_member || g == NULL || (g->endpoint[0] != 0 && g->peer_addr[0] != 0)) {
            continue;
        }
        up_endpoint_url(up, r, g->endpoint);
        (void)snprintf(g->peer_addr, sizeof(g->peer_addr), "127.0.0.1:%u", r->peer_port);
        is_news = true;
    }
    if (is_news && !up->is_putting_addresses) {
        struct buf text;
        buf_init(&text, COORD_VALUE_SIZE_MAX);
        record_encode(next, &text);
        ASSERT(buf_ok(&text));
        struct str key = arena_printf(&arena, "%srecord", up->prefix);
        struct coord_txn txn = {.compare_count = 1,
                                .compares = {{key, rev}},
                                .put_count = 1,
                                .puts = {{.key = key, .value = buf_str(&text)}}};
        up->is_putting_addresses = true;
        coord_client_txn(up->coord, &txn, TXN_TIMEOUT_MS, on_addresses_put, up);
        buf_done(&text);
    }
    explicit_bzero(next, sizeof(*next));
    arena_done(&arena);
}

static void save(struct up *up)
{
    struct errinfo ei = {0};
    if (!up->is_unsaved) {
        return;
    }
    if (up_save_account(up, &ei) == OK) {
        up->is_unsaved = false;
        up->is_save_failure_told = false;
        return;
    }
    if (!up->is_save_failure_told) {
        LOG_ERROR("up", "account_not_saved", "error=%s", ei.message);
    }
    up->is_save_failure_told = true;
    loop_timer_set(up->again, FOLLOW_RETRY_MS, 0);
}

void up_follow(struct up *up, const struct account_record *rec, coord_rev rev)
{
    struct arena arena;
    arena_init(&arena);
    struct account_record *now = ARENA_NEW(&arena, struct account_record);
    *now = *rec;
    for (size_t i = 0; i < up->region_count; i++) {
        struct up_region *r = &up->regions[i];
        if (r->is_member && record_region_by_name(now, str_of(r->name)) == NULL) {
            leave(r);
            up->is_unsaved = true;
        }
    }
    for (size_t i = 0; i < now->region_count; i++) {
        const struct record_region *g = &now->regions[i];
        struct up_region *r = find(up, now, g);
        if (r == NULL && up->region_count == UP_NAMES_MAX) { /* account.json has names of its own */
            LOG_ERROR("up", "region_not_started", "region=%s error=\"%s has %d other names\"",
                      g->name, "account.json", UP_NAMES_MAX);
            continue;
        }
        if (r == NULL) {
            r = &up->regions[up->region_count];
            r->slot = up_free_slot(up);
            up->region_count++;
            r->up = up;
            memcpy(r->name, g->name, sizeof(r->name));
        }
        if (!r->is_member && join(up, r, g)) {
            up->is_unsaved = true;
        }
    }
    save(up);
    put_addresses(up, rec, rev);
    explicit_bzero(now, sizeof(*now));
    arena_done(&arena);
}
