/* See fault.h. Processes are signalled, links go through the fault proxy, disks through the server's own
 * switch (`drill-faults`), which only `up --fault-proxy` turns on. */
#include "continuity/drill/fault.h"

#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "continuity/drill/process.h"

enum { CONTROL_TIMEOUT_S = 2, SAY_FORMAT_MS = 5000 };

/* ---- regions ---- */

static struct fault_region *find_region(struct fault *f, const char *name)
{
    for (size_t i = 0; i < f->region_count; i++) {
        if (strcmp(f->regions[i].name, name) == 0) {
            return &f->regions[i];
        }
    }
    return NULL;
}

static enum err ask(const struct fault *f, const struct fault_region *r, const char *method,
                    const char *path, struct str body, struct arena *a, const struct json **ret_doc,
                    struct errinfo *ei)
{
    struct client_request req = {.method = method, .base = r->endpoint, .path = path, .body = body};
    int status = 0;
    TRY(client_call(f->account, &req, a, &status, NULL, ret_doc, ei));
    return client_answer_err(status, *ret_doc, ei);
}

static enum err find_server(const struct fault *f, struct fault_region *r, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    uint64_t number = 0;
    enum err err = ask(f, r, "GET", "/_holdfast/process", STR(""), &a, &doc, ei);
    if (err == OK && !json_get_u64(doc, STR("pid"), &number)) {
        err = err_set(ei, ERR_NOT_FOUND, "the server of region %s does not say its process id",
                      r->name);
    }
    r->server = (pid_t)number;
    arena_done(&a);
    return err == OK ? process_signal(r->server, 0, ei) : err;
}

static enum err signal_region(struct fault *f, const char *region, int signum, struct errinfo *ei)
{
    const struct fault_region *r = find_region(f, region);
    if (r == NULL) {
        return err_set(ei, ERR_NOT_FOUND, "the account has no region '%s' any more", region);
    }
    return process_signal(r->server, signum, ei);
}

/* ---- disks ---- */

static enum err set_disk(struct fault *f, const char *disk, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    char body[96];
    (void)snprintf(body, sizeof(body), "{\"disk\":\"%s\",\"delayMs\":%u}", disk, f->disk_delay_ms);
    enum err err =
        ask(f, find_region(f, f->region), "POST", "/_holdfast/fault", str_of(body), &a, &doc, ei);
    arena_done(&a);
    return err;
}

/* ---- stored data ---- */

/* Documents of the partition cannot be read there until a copy has replaced them; 0 = of none. */
static enum err spoil(struct fault *f, uint64_t partition, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    char body[64];
    (void)snprintf(body, sizeof(body), "{\"corruptPartition\":%" PRIu64 "}", partition);
    enum err err =
        ask(f, find_region(f, f->region), "POST", "/_holdfast/fault", str_of(body), &a, &doc, ei);
    arena_done(&a);
    return err;
}

static enum err set_automatic(struct fault *f, bool is_on, struct errinfo *ei)
{
    struct fault_region front = {.name = ""};
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    bool was_on = false;
    (void)snprintf(front.endpoint, sizeof(front.endpoint), "%s", f->account->endpoint);
    enum err err = ask(f, &front, "GET", "/_holdfast/account", STR(""), &a, &doc, ei);
    if (err == OK && json_get_bool(doc, STR("partitionFailover"), &was_on) && was_on != is_on) {
        /* Regions that have just started say within a heartbeat which record formats they read. */
        usec until = clock_boot_us() + UINT64_C(1000) * SAY_FORMAT_MS;
        do {
            *ei = (struct errinfo){0};
            err = ask(f, &front, "POST", "/_holdfast/account/partitions/automatic",
                      is_on ? STR("{\"enabled\":true}") : STR("{\"enabled\":false}"), &a, &doc, ei);
        } while (err == ERR_EXISTS && clock_boot_us() < until && poll(NULL, 0, 50) == 0);
        f->has_turned_on = err == OK && is_on;
    }
    arena_done(&a);
    return err;
}

enum err fault_find_partition(struct fault *f, const char *container, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    f->partition = 0;
    enum err err =
        ask(f, find_region(f, f->region), "GET", "/_holdfast/partitions", STR(""), &a, &doc, ei);
    const struct json *list = err == OK ? json_get(doc, STR("partitions")) : NULL;
    for (size_t i = 0; list != NULL && i < list->count && f->partition == 0; i++) {
        struct str name = STR("");
        if (json_get_str(list->items[i], STR("container"), &name) &&
            str_eq(name, str_of(container + 1))) {
            (void)json_get_u64(list->items[i], STR("partition"), &f->partition);
        }
    }
    if (err == OK && f->partition == 0) {
        err = err_set(ei, ERR_NOT_FOUND, "region %s does not know %s", f->region, container);
    }
    arena_done(&a);
    return err;
}

/* ---- links ---- */

static enum err control_connect(const char *addr, int *ret, struct errinfo *ei)
{
    struct str host;
    struct str port;
    char host_text[64];
    char port_text[16];
    if (!str_split(str_of(addr), ':', &host, &port)) {
        return err_set(ei, ERR_CONFIG, "bad fault proxy address '%s'", addr);
    }
    (void)snprintf(host_text, sizeof(host_text), STR_FMT, STR_ARG(host));
    (void)snprintf(port_text, sizeof(port_text), STR_FMT, STR_ARG(port));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *info = NULL;
    int fd = -1;
    if (getaddrinfo(host_text, port_text, &hints, &info) == 0) {
        fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, 0);
        struct timeval limit = {.tv_sec = CONTROL_TIMEOUT_S};
        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
                        connect(fd, info->ai_addr, info->ai_addrlen) != 0)) {
            close(fd);
            fd = -1;
        }
        freeaddrinfo(info);
    }
    if (fd < 0) {
        return err_set(ei, ERR_NETWORK, "cannot reach the fault proxy at %s", addr);
    }
    *ret = fd;
    return OK;
}

/* One command, one answer line: "ok" or "error ...". */
static enum err control_say(int fd, const char *line, struct errinfo *ei)
{
    char answer[256];
    size_t n = 0;
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) {
        return err_set(ei, ERR_NETWORK, "the fault proxy hung up");
    }
    while (n < sizeof(answer) - 1) {
        ssize_t got = recv(fd, answer + n, 1, 0);
        if (got != 1) {
            return err_set(ei, ERR_NETWORK, "the fault proxy did not answer");
        }
        if (answer[n] == '\n') {
            break;
        }
        n++;
    }
    answer[n] = '\0';
    if (strncmp(answer, "ok", 2) != 0) {
        return err_set(ei, ERR_INVALID, "the fault proxy refused: %s", answer);
    }
    return OK;
}

static enum err say_link(int fd, const char *from, const char *to, const char *mode,
                         struct errinfo *ei)
{
    char line[256];
    (void)snprintf(line, sizeof(line), "mode %s>%s %s\n", from, to, mode);
    return control_say(fd, line, ei);
}

static void sound_mode(const struct fault *f, char ret[32])
{
    if (f->link_delay_ms > 0) {
        (void)snprintf(ret, 32, "delay %u", f->link_delay_ms);
    } else {
        (void)snprintf(ret, 32, "pass");
    }
}

/* Every link of the region to coordinator and peers. mode NULL: sound again. */
static enum err set_links(const struct fault *f, const char *mode, struct errinfo *ei)
{
    int fd = -1;
    char sound[32];
    sound_mode(f, sound);
    const char *peers = mode != NULL ? mode : sound;
    TRY(control_connect(f->account->fault_proxy, &fd, ei));
    enum err err = say_link(fd, f->region, "coordinator", mode != NULL ? mode : "pass", ei);
    for (size_t i = 0; err == OK && i < f->region_count; i++) {
        if (strcmp(f->regions[i].name, f->region) == 0) {
            continue;
        }
        err = say_link(fd, f->region, f->regions[i].name, peers, ei);
        if (err == OK) {
            err = say_link(fd, f->regions[i].name, f->region, peers, ei);
        }
    }
    close(fd);
    return err;
}

/* Links between regions; those to the coordinator stay as they are. */
static enum err set_delays(const struct fault *f, const char *mode, struct errinfo *ei)
{
    int fd = -1;
    enum err err = control_connect(f->account->fault_proxy, &fd, ei);
    for (size_t i = 0; i < f->region_count; i++) {
        for (size_t k = 0; err == OK && k < f->region_count; k++) {
            if (i != k) {
                err = say_link(fd, f->regions[i].name, f->regions[k].name, mode, ei);
            }
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return err;
}

/* ---- how each begins and ends ---- */

static enum err server_prepare(struct fault *f, struct errinfo *ei)
{
    return find_server(f, find_region(f, f->region), ei);
}

static enum err servers_prepare(struct fault *f, struct errinfo *ei)
{
    for (size_t i = 0; i < f->region_count; i++) {
        TRY(find_server(f, &f->regions[i], ei));
    }
    return OK;
}

static enum err server_kill(struct fault *f, struct errinfo *ei)
{
    return signal_region(f, f->region, SIGKILL, ei);
}

static enum err server_pause(struct fault *f, struct errinfo *ei)
{
    return signal_region(f, f->region, SIGSTOP, ei);
}

static enum err server_wake(struct fault *f, struct errinfo *ei)
{
    /* The supervisor may have killed the frozen process meanwhile: then there is nothing to wake. */
    struct errinfo ignored = {0};
    UNUSED(ei);
    enum err err = signal_region(f, f->region, SIGCONT, &ignored);
    return err == ERR_NOT_FOUND || err == ERR_FORBIDDEN ? OK : err;
}

static enum err coordinator_prepare(struct fault *f, struct errinfo *ei)
{
    if (f->account->supervisor == 0) {
        err_set(ei, ERR_UNSUPPORTED, "the account's coordinator is not known to be here");
        err_hint(ei, "name the account with --dir, on the machine where it runs");
        return ERR_UNSUPPORTED;
    }
    return process_child((pid_t)f->account->supervisor, "coordinator", &f->coordinator, ei);
}

static enum err coordinator_kill(struct fault *f, struct errinfo *ei)
{
    return process_signal(f->coordinator, SIGKILL, ei);
}

static enum err need_proxy(struct fault *f, struct errinfo *ei)
{
    if (f->account->fault_proxy[0]) {
        return OK;
    }
    err_set(ei, ERR_UNSUPPORTED, "the account was not started for faults of links and disks");
    err_hint(ei, "start it with `holdfast up --fault-proxy`, or let the drill start an account of "
                 "its own (--start)");
    return ERR_UNSUPPORTED;
}

static enum err links_break(struct fault *f, struct errinfo *ei)
{
    return set_links(f, f->kind->mode, ei);
}

static enum err links_heal(struct fault *f, struct errinfo *ei)
{
    return set_links(f, NULL, ei);
}

static enum err disk_break(struct fault *f, struct errinfo *ei)
{
    return set_disk(f, f->kind->mode, ei);
}

static enum err disk_heal(struct fault *f, struct errinfo *ei)
{
    return set_disk(f, "sound", ei);
}

static enum err partition_prepare(struct fault *f, struct errinfo *ei)
{
    TRY(need_proxy(f, ei));
    return set_automatic(f, true, ei);
}

static enum err partition_spoil(struct fault *f, struct errinfo *ei)
{
    return spoil(f, f->partition, ei);
}

/* ---- the table ---- */

static const struct fault_kind kinds[DRILL_FAULT_COUNT] = {
    [DRILL_KILL] = {"kill", .prepare = server_prepare, .begin = server_kill, .heals_itself = true},
    [DRILL_PAUSE] = {"pause", 3000, server_prepare, server_pause, server_wake, .healed = "healed",
                     .is_unconfirmed = true},
    [DRILL_CUT] = {"cut", 3000, need_proxy, links_break, links_heal, "cut", .healed = "healed",
                   .is_unconfirmed = true},
    [DRILL_GRACEFUL] = {"graceful", .ask_begin = "/_holdfast/account/failover",
                        .asks_for_next = true, .needs_writer = true, .heals_itself = true},
    [DRILL_BLACKHOLE] = {"blackhole", 3000, need_proxy, links_break, links_heal, "blackhole",
                         .healed = "healed", .is_unconfirmed = true},
    [DRILL_REFUSE] = {"refuse", 3000, need_proxy, links_break, links_heal, "refuse",
                      .healed = "healed", .is_unconfirmed = true},
    [DRILL_DISK_FULL] = {"disk-full", 3000, need_proxy, disk_break, disk_heal, "full",
                         .healed = "healed"},
    /* At Strong the region is left out of the quorum for 10 x --slow-for. */
    [DRILL_SLOW_DISK] = {"slow-disk", 3000, need_proxy, disk_break, disk_heal, "slow",
                         .settle_ms = 180000, .healed = "healed"},
    [DRILL_COORDINATOR_KILL] = {"coordinator-kill", 3000, coordinator_prepare, coordinator_kill,
                                .is_held = true, .takes_coordinator = true},
    [DRILL_FLAP] = {"flap", 20000, need_proxy, links_break, links_heal, "cut", .healed = "healed",
                    .is_held = true, .is_repeated = true},
    [DRILL_DOUBLE] = {"double", .prepare = servers_prepare, .begin = server_kill,
                      .needs_writer = true, .heals_itself = true, .has_second = true},
    [DRILL_REGION_REMOVE] = {"region-remove", .ask_begin = "/_holdfast/account/regions/remove",
                             .ask_end = "/_holdfast/account/regions/add", .healed = "added again",
                             .removes_region = true},
    [DRILL_CORRUPT] = {"corrupt", .prepare = partition_prepare, .begin = partition_spoil,
                       .needs_writer = true, .heals_itself = true, .spoils_partition = true},
};

const struct fault_kind *fault_kind(enum drill_fault f)
{
    ASSERT(f < DRILL_FAULT_COUNT);
    return &kinds[f];
}

/* ---- public ---- */

enum err fault_prepare(struct fault *f, struct errinfo *ei)
{
    ASSERT(find_region(f, f->region) != NULL);
    if (f->kind->prepare != NULL) {
        TRY(f->kind->prepare(f, ei));
    }
    if (f->link_delay_ms > 0) {
        char mode[32];
        TRY(need_proxy(f, ei));
        sound_mode(f, mode);
        TRY(set_delays(f, mode, ei));
    }
    return OK;
}

enum err fault_begin(struct fault *f, struct errinfo *ei)
{
    return f->kind->begin != NULL ? f->kind->begin(f, ei) : OK;
}

enum err fault_end(struct fault *f, struct errinfo *ei)
{
    return f->kind->end != NULL ? f->kind->end(f, ei) : OK;
}

bool fault_is_replaced(const struct fault *f)
{
    pid_t now = 0;
    return !f->kind->takes_coordinator ||
           (process_child((pid_t)f->account->supervisor, "coordinator", &now, NULL) == OK &&
            now != f->coordinator);
}

enum err fault_second(struct fault *f, const char *region, struct errinfo *ei)
{
    return signal_region(f, region, SIGKILL, ei);
}

enum err fault_flap(struct fault *f, bool is_down, struct errinfo *ei)
{
    return set_links(f, is_down ? "cut" : NULL, ei);
}

enum err fault_done(struct fault *f, struct errinfo *ei)
{
    enum err err = f->link_delay_ms > 0 ? set_delays(f, "pass", ei) : OK;
    if (f->partition != 0) {
        KEEP_FIRST(err, spoil(f, 0, ei));
    }
    if (f->has_turned_on) {
        KEEP_FIRST(err, set_automatic(f, false, ei));
    }
    return err;
}
