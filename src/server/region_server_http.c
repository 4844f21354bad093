/* The way from the HTTP threads into the region core. See region_server.h. */
#include "base/log.h"
#include "base/mem.h"
#include "server/region_server_int.h"
#include "server/server_admin.h"

struct submit {
    struct server *server;
    struct region_write *write;
    struct region_wait *wait;
};

static void submit_arrived(void *ctx)
{
    struct submit *sub = ctx;
    struct server *s = sub->server;
    if (sub->write && s->is_disk_low && region_role(s->region) == ROLE_WRITER) {
        sub->write->err = ERR_DISK_FULL; /* certainly not applied */
        server_reply(s, sub->write);
    } else if (sub->write) {
        region_write(sub->server->region, sub->write);
    } else {
        region_wait(sub->server->region, sub->wait);
    }
    mem_free(sub);
}

static bool submit_post(struct server *s, struct region_write *write, struct region_wait *wait)
{
    struct submit *sub = mem_alloc(sizeof(*sub));
    *sub = (struct submit){s, write, wait};
    bool is_posted = false;
    if (server_is_crowded(s)) {
        is_posted = loop_post(s->loop, submit_arrived, sub);
    } else if (write && committer_is_busy(s->committer)) {
        /* What is ordered now would not be written any sooner: it is left to whoever does the present
         * group, who then orders all that came meanwhile in one round. */
        is_posted = loop_leave(s->loop, submit_arrived, sub);
        if (!committer_is_busy(s->committer)) {
            loop_help(s->loop); /* it has settled meanwhile, perhaps without seeing ours */
        }
    } else {
        is_posted = loop_enter(s->loop, submit_arrived, sub);
    }
    if (!is_posted) {
        mem_free(sub);
    }
    return is_posted;
}

/* Set while this thread is on its way to committer_help(). */
static _Thread_local bool will_help;

static bool backend_write(void *ctx, struct region_write *w)
{
    struct server *s = ctx;
    /* A thread that serves one busy client, whose write is the only one: nobody waits for it but that
     * client, so it may as well wait for the disk. */
    bool is_alone = atomic_fetch_add_explicit(&s->writes_open, 1, memory_order_relaxed) == 0 &&
                    http_thread_is_alone();
    will_help = is_alone;
    bool is_posted = submit_post(s, w, NULL);
    will_help = false;
    if (!is_posted) {
        atomic_fetch_sub_explicit(&s->writes_open, 1, memory_order_relaxed);
    } else if (is_alone) {
        committer_help(s->committer);
    }
    return is_posted;
}

static bool backend_wait(void *ctx, struct region_wait *w)
{
    return submit_post(ctx, NULL, w);
}

struct unreadable {
    struct server *server;
    pid pid;
    struct errinfo ei;
};

static void unreadable_arrived(void *ctx)
{
    struct unreadable *u = ctx;
    region_part_unreadable(u->server->region, u->pid, &u->ei);
    mem_free(u);
}

static void backend_unreadable(void *ctx, pid p, const struct errinfo *ei)
{
    struct server *s = ctx;
    struct unreadable *u = mem_alloc(sizeof(*u));
    *u = (struct unreadable){s, p, *ei};
    if (!loop_post(s->loop, unreadable_arrived, u)) {
        mem_free(u);
    }
}

struct admin_call {
    struct server *server;
    struct http_req *req;
};

static void admin_arrived(void *ctx)
{
    struct admin_call *call = ctx;
    struct server *s = call->server;
    const struct server_admin admin = {.region = s->region,
                                       .coord = s->coord,
                                       .engine = s->engine,
                                       .committer = s->committer,
                                       .http = s->http,
                                       .http_metrics = s->http_metrics,
                                       .waits = s->waits,
                                       .cosmos = s->cosmos,
                                       .is_disk_low = s->is_disk_low,
                                       .has_drill_faults = s->opts->has_drill_faults,
                                       .disk_reserve_size = s->opts->disk_reserve_size,
                                       .auth = s->auth,
                                       .feed = s->feed};
    server_admin_handle(&admin, call->req);
    mem_free(call);
}

void server_on_request(void *ctx, struct http_req *req)
{
    struct server *s = ctx;
    if (!admin_is_ours(req)) {
        cosmos_handle(s->cosmos, req);
        return;
    }
    struct admin_call *call = mem_alloc(sizeof(*call));
    *call = (struct admin_call){s, req};
    if (!loop_post(s->loop, admin_arrived, call)) {
        struct errinfo ei = {0};
        err_set(&ei, ERR_BUSY, "too many requests wait already");
        admin_respond_error(req, &ei);
        mem_free(call);
    }
}

void server_on_answered(void *ctx, const struct http_req *req, int status)
{
    struct server *s = ctx;
    http_metrics_answered(s->http_metrics, req, status);
}

struct cosmos_backend server_backend(struct server *s)
{
    return (struct cosmos_backend){
        .ctx = s, .write = backend_write, .wait = backend_wait, .unreadable = backend_unreadable};
}

bool server_will_help(void)
{
    return will_help;
}
