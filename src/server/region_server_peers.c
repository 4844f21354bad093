/* Links to and from the other regions of the account. See region_server.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/str.h"
#include "server/region_server_int.h"
#include "json/json.h"

struct peer *server_peer(struct server *s, region_id id)
{
    for (size_t i = 0; i < s->peer_count; i++) {
        if (s->peers[i].id == id) {
            return &s->peers[i];
        }
    }
    return NULL;
}

static bool parse_hello(struct str hello, struct str account, region_id *ret)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    uint64_t id = 0;
    struct str name = STR_NONE;
    bool is_fine = json_parse(&a, hello, NULL, &doc, NULL) == OK &&
                   json_get_str(doc, STR("account"), &name) && str_eq(name, account) &&
                   json_get_u64(doc, STR("region"), &id) && id > 0 && id <= REGION_ID_MAX;
    arena_done(&a);
    *ret = (region_id)id;
    return is_fine;
}

static bool in_up(void *ctx, struct link *l, struct str hello)
{
    struct server *s = ctx;
    region_id id = 0;
    if (!parse_hello(hello, str_of(s->opts->account), &id) || id == s->self) {
        LOG_WARN("server", "peer_refused", "reason=%s", "not a region of this account");
        return false;
    }
    link_set_user(l, (void *)(uintptr_t)id);
    return true;
}

static void in_frame(void *ctx, struct link *l, struct str payload)
{
    struct server *s = ctx;
    region_on_frame(s->region, (region_id)(uintptr_t)link_user(l), payload);
}

static void in_down(void *ctx, struct link *l)
{
    UNUSED(ctx);
    UNUSED(l);
}

static bool out_up(void *ctx, struct link *l, struct str hello)
{
    struct peer *p = ctx;
    region_id id = 0;
    if (!parse_hello(hello, str_of(p->server->opts->account), &id) || id != p->id) {
        LOG_WARN("server", "peer_refused", "peer=%u reason=%s", p->id,
                 "another region answers at its address");
        return false;
    }
    p->out = l;
    region_on_link(p->server->region, p->id, true);
    return true;
}

static void out_frame(void *ctx, struct link *l, struct str payload)
{
    /* Links are used one way: each side answers on its own outgoing one. */
    UNUSED(ctx);
    UNUSED(l);
    UNUSED(payload);
}

static void out_down(void *ctx, struct link *l)
{
    struct peer *p = ctx;
    if (p->out != l) {
        return; /* of a client that was given up */
    }
    p->out = NULL;
    region_on_link(p->server->region, p->id, false);
}

static void hello_text(const struct server *s, char *ret, size_t size)
{
    (void)snprintf(ret, size, "{\"account\":\"%s\",\"region\":%u,\"incarnation\":%" PRIu64 "}",
                   s->opts->account, s->self, s->incarnation);
}

static const char *override_of(const struct server *s, const struct record_region *r)
{
    for (size_t i = 0; i < s->overrides.count; i++) {
        if (str_eq_nocase(str_of(s->overrides.items[i].region), str_of(r->name))) {
            return s->overrides.items[i].addr;
        }
    }
    return NULL;
}

/* A region that joined while we ran has its link in the configuration before it has an address in the
 * record: the supervisor writes them in this order. */
static const char *peer_addr(struct server *s, const struct record_region *r)
{
    const char *found = override_of(s, r);
    if (found == NULL && s->opts->overrides_again != NULL &&
        s->opts->overrides_again(s->opts->overrides_ctx, &s->overrides)) {
        found = override_of(s, r);
    }
    return found != NULL ? found : r->peer_addr;
}

/* Not at once: that a link goes down must not be told from inside the core. */
void server_free_gone(void *ctx)
{
    struct server *s = ctx;
    while (s->gone_count > 0) {
        link_client_free(s->gone[--s->gone_count]);
    }
}

void server_sync_peers(struct server *s)
{
    const struct account_record *rec = region_record(s->region);
    for (size_t i = 0; i < s->peer_count; i++) {
        struct peer *p = &s->peers[i];
        bool has_room = s->gone_count < ARRAY_COUNT(s->gone);
        if (p->client && has_room &&
            !record_region_const(rec, p->id)) { /* it has left the account */
            s->gone[s->gone_count++] = p->client;
            p->client = NULL;
            loop_timer_set(s->gone_timer, 1, 0);
        }
    }
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *r = &rec->regions[i];
        if (r->id == s->self || !r->peer_addr[0]) {
            continue;
        }
        struct peer *p = server_peer(s, r->id);
        const char *addr = peer_addr(s, r);
        if (!p) {
            ASSERT(s->peer_count < SERVER_PEERS_MAX);
            p = &s->peers[s->peer_count++];
            p->server = s;
            p->id = r->id;
        }
        if (!p->client) {
            struct link_events ev = {.ctx = p, .up = out_up, .frame = out_frame, .down = out_down};
            char hello[256];
            hello_text(s, hello, sizeof(hello));
            p->client = link_client_new(s->loop, addr, str_of(rec->peer_secret),
                                        s->opts->peer_security, str_of(hello), &ev);
        } else if (strcmp(p->addr, addr) != 0) {
            link_client_set_addr(p->client, addr);
        }
        (void)snprintf(p->addr, sizeof(p->addr), "%s", addr);
    }
}

void server_accept_peers(struct server *s, const struct account_record *rec)
{
    struct link_events ev = {.ctx = s, .up = in_up, .frame = in_frame, .down = in_down};
    char hello[256];
    hello_text(s, hello, sizeof(hello));
    s->link_server = link_server_new(s->loop, s->opts->peer_fd, str_of(rec->peer_secret),
                                     s->opts->peer_security, str_of(hello), &ev);
}
