/* The account record: names, encoding, lookup, invariants.
 *
 * Encoding is JSON because operators read it in the coordinator and because it is small and rare.
 * Decoding is strict on purpose: an unknown member means that a newer program wrote it, and going
 * on without understanding it could give two writers. Numbers are read from their source text, so
 * that 64-bit values survive. */
#include "account/record.h"

#include <string.h>

#include "base/contract.h"
#include "coord/coord.h"
#include "json/json.h"

enum { RECORD_TEXT_SIZE_MAX = COORD_VALUE_SIZE_MAX };

static const char *const level_names[CONSISTENCY_COUNT] = {
    [CONSISTENCY_EVENTUAL] = "Eventual", [CONSISTENCY_CONSISTENT_PREFIX] = "ConsistentPrefix",
    [CONSISTENCY_SESSION] = "Session",   [CONSISTENCY_BOUNDED_STALENESS] = "BoundedStaleness",
    [CONSISTENCY_STRONG] = "Strong",
};

static const char *const state_names[REGION_STATE_COUNT] = {
    [REGION_SEEDING] = "SEEDING",           [REGION_ONLINE_READ] = "ONLINE_READ",
    [REGION_ONLINE_WRITE] = "ONLINE_WRITE", [REGION_DRAINING] = "DRAINING",
    [REGION_OFFLINE] = "OFFLINE",           [REGION_RECOVERING] = "RECOVERING",
};

static const char *const phase_names[PHASE_COUNT] = {
    [PHASE_OPEN] = "OPEN",
    [PHASE_PROMOTING] = "PROMOTING",
    [PHASE_TRANSFER] = "TRANSFER",
};

const char *consistency_name(enum consistency c)
{
    ASSERT((unsigned)c < CONSISTENCY_COUNT);
    return level_names[c];
}

/* Index of `s` in a table of names, or -1. */
static int name_find(const char *const *names, int count, struct str s)
{
    for (int i = 0; i < count; i++) {
        if (str_eq_nocase(s, str_of(names[i]))) {
            return i;
        }
    }
    return -1;
}

bool consistency_parse(struct str s, enum consistency *ret)
{
    int i = name_find(level_names, CONSISTENCY_COUNT, s);
    if (i < 0) {
        return false;
    }
    *ret = (enum consistency)i;
    return true;
}

const char *region_state_name(enum region_state s)
{
    ASSERT((unsigned)s < REGION_STATE_COUNT);
    return state_names[s];
}

/* ---- levels ---- */

enum consistency record_read_level(const struct account_record *r)
{
    return r->is_level_changing && r->level_to < r->level ? r->level_to : r->level;
}

enum consistency record_write_level(const struct account_record *r)
{
    return r->is_level_changing && r->level_to > r->level ? r->level_to : r->level;
}

enum consistency record_lease_level(const struct account_record *r)
{
    return r->is_level_changing ? r->level_to : r->level;
}

static bool is_bounded(const struct account_record *r)
{
    return r->level == CONSISTENCY_BOUNDED_STALENESS ||
           record_lease_level(r) == CONSISTENCY_BOUNDED_STALENESS;
}

/* Does anything need what format 1 cannot say? A program of format 1 fences itself off before it
 * misunderstands the rest. */
static bool has_levels(const struct account_record *r)
{
    return r->is_level_changing || r->strong_since != 0 || r->max_staleness_ops != 0;
}

/* Raises of the token version by lossy epochs alone, as formats 1 and 2 have them. */
static void derive_versions(struct account_record *r)
{
    uint64_t version = r->token_version;
    for (size_t i = r->epoch_count; i-- > 0;) {
        r->epochs[i].token_version = version;
        version -= r->epochs[i].is_lossy && version > 0;
    }
}

/* Does it use a member of format 3? What is known of unsent entries alone does not count: it would
 * turn every failover into the end of a rolling upgrade. */
static bool has_topology(const struct account_record *r)
{
    bool has = r->former_count > 0;
    for (size_t i = 0; i < r->region_count; i++) {
        has = has || r->regions[i].needs_full_copy;
    }
    uint64_t version = r->token_version;
    for (size_t i = r->epoch_count; i-- > 0;) {
        has = has || r->epochs[i].token_version != version;
        version -= r->epochs[i].is_lossy && version > 0;
    }
    return has;
}

/* Does it use a member of format 4? */
static bool has_partitions(const struct account_record *r)
{
    return r->override_count > 0 || r->partition_failover || r->generation_floor != 0 ||
           r->epoch_floor != 0;
}

/* ---- lookup ---- */

struct record_region *record_region(struct account_record *r, region_id id)
{
    for (size_t i = 0; i < r->region_count; i++) {
        if (r->regions[i].id == id) {
            return &r->regions[i];
        }
    }
    return NULL;
}

const struct record_region *record_region_const(const struct account_record *r, region_id id)
{
    for (size_t i = 0; i < r->region_count; i++) {
        if (r->regions[i].id == id) {
            return &r->regions[i];
        }
    }
    return NULL;
}

/* Next character that counts in a name comparison, lower case; -1 at the end. */
static int name_next(struct str s, size_t *i)
{
    while (*i < s.n) {
        char c = s.p[(*i)++];
        if (c == ' ' || c == '\t') {
            continue;
        }
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        return (unsigned char)c;
    }
    return -1;
}

static bool name_same(struct str a, struct str b)
{
    size_t i = 0, j = 0;
    for (;;) {
        int x = name_next(a, &i);
        int y = name_next(b, &j);
        if (x != y) {
            return false;
        }
        if (x < 0) {
            return true;
        }
    }
}

struct record_region *record_region_by_name(struct account_record *r, struct str name)
{
    for (size_t i = 0; i < r->region_count; i++) {
        if (name_same(str_of(r->regions[i].name), name)) {
            return &r->regions[i];
        }
    }
    return NULL;
}

struct record_former *record_former_by_name(struct account_record *r, struct str name)
{
    for (size_t i = 0; i < r->former_count; i++) {
        if (name_same(str_of(r->former[i].name), name)) {
            return &r->former[i];
        }
    }
    return NULL;
}

uint64_t record_mask(region_id id)
{
    ASSERT(id >= 1 && id <= REGION_ID_MAX);
    return UINT64_C(1) << id;
}

static bool state_is_online(enum region_state s)
{
    return s == REGION_ONLINE_READ || s == REGION_ONLINE_WRITE;
}

uint64_t record_online_mask(const struct account_record *r)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < r->region_count; i++) {
        if (state_is_online(r->regions[i].state)) {
            mask |= record_mask(r->regions[i].id);
        }
    }
    return mask;
}

bool record_is_degraded(const struct account_record *r)
{
    uint64_t online = record_online_mask(r);
    return r->region_count > 1 && (online & (online - 1)) == 0;
}

/* ---- changes ---- */

void record_set_state(struct account_record *r, region_id id, enum region_state s, int64_t wall_ms)
{
    struct record_region *g = record_region(r, id);
    ASSERT(g != NULL);
    if (g->state != s) {
        g->state = s;
        g->since_wall_ms = wall_ms;
    }
    if (!state_is_online(s)) {
        r->q_mask &= ~record_mask(id);
    }
}

static void number_regions(struct account_record *r)
{
    for (size_t i = 0; i < r->region_count; i++) {
        r->regions[i].priority = (uint32_t)i;
    }
}

void record_insert_region(struct account_record *r, const struct record_region *g)
{
    ASSERT(r->region_count < REGIONS_MAX);
    ASSERT(record_region(r, g->id) == NULL);
    size_t at = g->priority < r->region_count ? g->priority : r->region_count;
    memmove(&r->regions[at + 1], &r->regions[at], (r->region_count - at) * sizeof(r->regions[0]));
    r->regions[at] = *g;
    r->region_count++;
    number_regions(r);
    for (size_t i = 0; i < r->former_count; i++) {
        if (r->former[i].id == g->id) {
            memmove(&r->former[i], &r->former[i + 1],
                    (r->former_count - i - 1) * sizeof(r->former[0]));
            r->former_count--;
            break;
        }
    }
}

void record_remove_region(struct account_record *r, region_id id)
{
    const struct record_region *g = record_region(r, id);
    ASSERT(g != NULL);
    ASSERT(r->former_count < ARRAY_COUNT(r->former));
    size_t at = (size_t)(g - r->regions);
    size_t f = r->former_count++;
    while (f > 0 && r->former[f - 1].id > id) {
        r->former[f] = r->former[f - 1];
        f--;
    }
    r->former[f] = (struct record_former){.id = id};
    memcpy(r->former[f].name, g->name, sizeof(g->name));
    memmove(&r->regions[at], &r->regions[at + 1],
            (r->region_count - at - 1) * sizeof(r->regions[0]));
    r->region_count--;
    r->regions[r->region_count] = (struct record_region){0};
    r->q_mask &= ~record_mask(id);
    number_regions(r);
}

void record_prefer(struct account_record *r, region_id id)
{
    size_t at = 0;
    while (at < r->region_count && r->regions[at].id != id) {
        at++;
    }
    ASSERT(at < r->region_count);
    struct record_region moved = r->regions[at];
    memmove(&r->regions[1], &r->regions[0], at * sizeof(r->regions[0]));
    r->regions[0] = moved;
    number_regions(r);
}

void record_add_epoch(struct account_record *r, const struct record_epoch *e)
{
    ASSERT(e->branch_count <= RECORD_BRANCHES_MAX);
    if (r->epoch_count == RECORD_EPOCHS_MAX) {
        memmove(&r->epochs[0], &r->epochs[1], (RECORD_EPOCHS_MAX - 1) * sizeof(r->epochs[0]));
        r->epoch_count--;
    }
    r->epochs[r->epoch_count] = *e;
    r->epochs[r->epoch_count++].token_version = r->token_version;
    size_t branches = 0;
    for (size_t i = r->epoch_count; i-- > 0;) {
        struct record_epoch *x = &r->epochs[i];
        if (branches + x->branch_count > RECORD_BRANCHES_MAX) {
            x->branch_count = RECORD_BRANCHES_MAX - branches;
        }
        branches += x->branch_count;
    }
}

void record_copy(struct arena *a, const struct account_record *from, struct account_record *to)
{
    *to = *from;
    for (size_t i = 0; i < to->epoch_count; i++) {
        struct record_epoch *e = &to->epochs[i];
        if (e->branch_count == 0) {
            e->branches = NULL;
            continue;
        }
        struct record_branch *copy = ARENA_NEW_ARRAY(a, struct record_branch, e->branch_count);
        memcpy(copy, e->branches, e->branch_count * sizeof(*copy));
        e->branches = copy;
    }
}

/* ---- invariants ---- */

static bool why(char ret_why[256], const char *text)
{
    size_t n = strlen(text);
    ASSERT(n < 256);
    memcpy(ret_why, text, n + 1);
    return false;
}

static bool check_regions(const struct account_record *r, char ret_why[256])
{
    if (r->region_count < 1 || r->region_count > REGIONS_MAX) {
        return why(ret_why, "an account has 1 to 32 regions");
    }
    uint64_t seen = 0;
    size_t writers = 0;
    for (size_t i = 0; i < r->region_count; i++) {
        const struct record_region *g = &r->regions[i];
        if (g->id < 1 || g->id > REGION_ID_MAX) {
            return why(ret_why, "a region id is outside 1..63");
        }
        if ((seen & record_mask(g->id)) != 0) {
            return why(ret_why, "a region id is used twice");
        }
        seen |= record_mask(g->id);
        if (g->id >= r->next_region_id) {
            return why(ret_why, "a region id was not given out yet");
        }
        if (g->priority != i) {
            return why(ret_why, "priorities do not run 0..N-1 in order");
        }
        if (g->name[0] == 0) {
            return why(ret_why, "a region has no name");
        }
        for (size_t j = 0; j < i; j++) {
            if (name_same(str_of(g->name), str_of(r->regions[j].name))) {
                return why(ret_why, "a region name is used twice");
            }
        }
        if ((unsigned)g->state >= REGION_STATE_COUNT) {
            return why(ret_why, "a region state is unknown");
        }
        if (g->is_forced_offline && g->state != REGION_OFFLINE) {
            return why(ret_why, "a region is forced offline but not OFFLINE");
        }
        if (g->state == REGION_ONLINE_WRITE) {
            writers++;
            if (g->id != r->writer) {
                return why(ret_why, "a region is ONLINE_WRITE but not the writer");
            }
        }
    }
    if (writers > 1) {
        return why(ret_why, "more than one region is ONLINE_WRITE");
    }
    if ((r->q_mask & ~record_online_mask(r)) != 0) {
        return why(ret_why, "q_mask names a region that is not online");
    }
    return true;
}

static bool check_former(const struct account_record *r, char ret_why[256])
{
    if (r->former_count > ARRAY_COUNT(r->former)) {
        return why(ret_why, "too many former regions");
    }
    for (size_t i = 0; i < r->former_count; i++) {
        const struct record_former *f = &r->former[i];
        if (f->id < 1 || f->id >= r->next_region_id || f->name[0] == 0 ||
            record_region_const(r, f->id) != NULL) {
            return why(ret_why, "a former region's id was not given out, or is in use");
        }
        if (i > 0 && f->id <= f[-1].id) {
            return why(ret_why, "former regions are not in order");
        }
        for (size_t j = 0; j < r->region_count; j++) {
            if (name_same(str_of(f->name), str_of(r->regions[j].name))) {
                return why(ret_why, "a former region's name is in use under another id");
            }
        }
    }
    return true;
}

static bool check_epochs(const struct account_record *r, char ret_why[256])
{
    if (r->epoch_count > RECORD_EPOCHS_MAX) {
        return why(ret_why, "too many epochs");
    }
    if ((r->epoch_count == 0) != (r->epoch == 0)) {
        return why(ret_why, "epoch and epoch history disagree");
    }
    size_t branches = 0;
    for (size_t i = 0; i < r->epoch_count; i++) {
        const struct record_epoch *e = &r->epochs[i];
        if (i > 0 && (e->epoch <= e[-1].epoch || e->generation <= e[-1].generation ||
                      e->start_lsn <= e[-1].start_lsn)) {
            return why(ret_why, "the epoch history does not grow");
        }
        if (e->start_lsn >= r->lsn_limit) {
            return why(ret_why, "an epoch starts above lsn_limit");
        }
        if (e->token_version > r->token_version ||
            (i > 0 && e->token_version < e[-1].token_version + e->is_lossy)) {
            return why(ret_why, "token versions of the epochs do not grow to the record's");
        }
        branches += e->branch_count;
    }
    if (branches > RECORD_BRANCHES_MAX) {
        return why(ret_why, "too many branch points");
    }
    if (r->epoch_count > 0 && (r->epochs[r->epoch_count - 1].epoch != r->epoch ||
                               r->epochs[r->epoch_count - 1].generation > r->generation)) {
        return why(ret_why, "the newest epoch is not the record's");
    }
    return true;
}

static bool check_levels(const struct account_record *r, char ret_why[256])
{
    if (r->is_level_changing &&
        ((unsigned)r->level_to >= CONSISTENCY_COUNT || r->level_to == r->level)) {
        return why(ret_why, "the level changes to itself or to an unknown one");
    }
    if (r->strong_since > record_epoch_top(r)) {
        return why(ret_why, "the level became Strong in an epoch to come");
    }
    if ((r->max_staleness_ops == 0) != (r->max_staleness_s == 0) ||
        (is_bounded(r) && r->max_staleness_ops == 0)) {
        return why(ret_why, "bounded staleness has no bounds");
    }
    if (r->max_staleness_ops != 0 &&
        (r->max_staleness_ops > STALENESS_OPS_MAX || r->max_staleness_s < STALENESS_S_MIN ||
         r->max_staleness_s > STALENESS_S_MAX)) {
        return why(ret_why, "the bounds of bounded staleness are out of range");
    }
    return true;
}

bool record_check(const struct account_record *r, char ret_why[256])
{
    if (r->name[0] == 0) {
        return why(ret_why, "the account has no name");
    }
    if ((unsigned)r->level >= CONSISTENCY_COUNT || (unsigned)r->phase >= PHASE_COUNT) {
        return why(ret_why, "level or phase is unknown");
    }
    if (!check_levels(r, ret_why)) {
        return false;
    }
    if (r->lsn_limit < 1 || r->lsn_limit > LSN_MAX) {
        return why(ret_why, "lsn_limit is outside 1..2^44-1");
    }
    if (!check_regions(r, ret_why) || !check_former(r, ret_why) || !check_epochs(r, ret_why)) {
        return false;
    }
    const struct record_region *writer = record_region_const(r, r->writer);
    if (r->writer != 0 && writer == NULL) {
        return why(ret_why, "the writer is not a region of the account");
    }
    if (writer != NULL && (writer->state == REGION_DRAINING || writer->state == REGION_SEEDING)) {
        return why(ret_why, "a region that joins or leaves is the writer");
    }
    if (r->epoch > r->generation) {
        return why(ret_why, "epoch is above generation");
    }
    if (r->phase != PHASE_OPEN && writer == NULL) {
        return why(ret_why, "a change of writer is running without a writer");
    }
    if (r->phase == PHASE_PROMOTING && writer != NULL && writer->state == REGION_OFFLINE) {
        return why(ret_why, "an OFFLINE region was chosen as writer");
    }
    if ((r->phase == PHASE_TRANSFER) != (r->transfer_to != 0)) {
        return why(ret_why, "transfer_to and phase disagree");
    }
    if (r->transfer_to != 0 &&
        (r->transfer_to == r->writer || record_region_const(r, r->transfer_to) == NULL)) {
        return why(ret_why, "transfer_to is no other region of the account");
    }
    return record_check_overrides(r, ret_why);
}

/* ---- encoding ---- */

static void put_i64(struct json_out *o, const char *key, int64_t v)
{
    json_out_key(o, key);
    json_out_i64(o, v);
}

static void put_text(struct json_out *o, const char *key, const char *v)
{
    json_out_key(o, key);
    json_out_cstr(o, v);
}

static void put_region(struct json_out *o, const struct record_region *g)
{
    json_out_object(o);
    json_out_member_u64(o, "id", g->id);
    put_text(o, "name", g->name);
    put_text(o, "endpoint", g->endpoint);
    put_text(o, "peer_addr", g->peer_addr);
    json_out_member_u64(o, "priority", g->priority);
    put_text(o, "state", region_state_name(g->state));
    json_out_member_bool(o, "is_forced_offline", g->is_forced_offline);
    json_out_member_u64(o, "incarnation", g->incarnation);
    put_i64(o, "since_wall_ms", g->since_wall_ms);
    json_out_object_end(o);
}

static void put_epoch(struct json_out *o, const struct record_epoch *e)
{
    json_out_object(o);
    json_out_member_u64(o, "epoch", e->epoch);
    json_out_member_u64(o, "generation", e->generation);
    json_out_member_u64(o, "writer", e->writer);
    json_out_member_u64(o, "incarnation", e->incarnation);
    json_out_member_u64(o, "start_lsn", e->start_lsn);
    json_out_member_bool(o, "is_lossy", e->is_lossy);
    json_out_member_u64(o, "rule", e->rule);
    put_i64(o, "wall_ms", e->wall_ms);
    put_text(o, "reason", e->reason);
    json_out_member_u64(o, "detect_ms", e->detect_ms);
    json_out_member_u64(o, "wait_ms", e->wait_ms);
    json_out_member_u64(o, "promote_ms", e->promote_ms);
    json_out_key(o, "branches");
    json_out_array(o);
    for (size_t i = 0; i < e->branch_count; i++) {
        json_out_array(o);
        json_out_u64(o, e->branches[i].pid);
        json_out_u64(o, e->branches[i].epoch);
        json_out_u64(o, e->branches[i].lsn);
        json_out_array_end(o);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void put_levels(struct json_out *o, const struct account_record *r)
{
    json_out_key(o, "levels");
    json_out_object(o);
    put_text(o, "to", consistency_name(record_lease_level(r)));
    json_out_member_u64(o, "strong_since", r->strong_since);
    json_out_member_u64(o, "max_staleness_ops", r->max_staleness_ops);
    json_out_member_u64(o, "max_staleness_s", r->max_staleness_s);
    json_out_object_end(o);
}

static void put_pair(struct json_out *o, uint64_t id, uint64_t v)
{
    json_out_array(o);
    json_out_u64(o, id);
    json_out_u64(o, v);
    json_out_array_end(o);
}

static void put_topology(struct json_out *o, const struct account_record *r)
{
    json_out_key(o, "topology");
    json_out_object(o);
    json_out_key(o, "former");
    json_out_array(o);
    for (size_t i = 0; i < r->former_count; i++) {
        json_out_array(o);
        json_out_u64(o, r->former[i].id);
        json_out_cstr(o, r->former[i].name);
        json_out_array_end(o);
    }
    json_out_array_end(o);
    json_out_key(o, "needs_full_copy");
    json_out_array(o);
    for (size_t i = 0; i < r->region_count; i++) {
        if (r->regions[i].needs_full_copy) {
            json_out_u64(o, r->regions[i].id);
        }
    }
    json_out_array_end(o);
    json_out_key(o, "unsent_ops");
    json_out_array(o);
    for (size_t i = 0; i < r->region_count; i++) {
        if (r->regions[i].unsent_ops != 0) {
            put_pair(o, r->regions[i].id, r->regions[i].unsent_ops);
        }
    }
    json_out_array_end(o);
    json_out_key(o, "token_versions");
    json_out_array(o);
    for (size_t i = 0; i < r->epoch_count; i++) {
        json_out_u64(o, r->epochs[i].token_version);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void put_override(struct json_out *o, const struct record_override *x)
{
    json_out_object(o);
    json_out_member_u64(o, "pid", x->pid);
    put_text(o, "phase", phase_names[x->phase]);
    json_out_member_u64(o, "writer", x->writer);
    json_out_member_u64(o, "incarnation", x->incarnation);
    json_out_member_u64(o, "generation", x->generation);
    json_out_member_u64(o, "transfer_to", x->transfer_to);
    json_out_member_bool(o, "is_pinned", x->is_pinned);
    json_out_member_u64(o, "epoch", x->epoch);
    json_out_member_u64(o, "holder", x->holder);
    json_out_member_u64(o, "holder_incarnation", x->holder_incarnation);
    json_out_member_u64(o, "holder_generation", x->holder_generation);
    json_out_member_u64(o, "start_lsn", x->start_lsn);
    json_out_member_u64(o, "branch_epoch", x->branch.epoch);
    json_out_member_u64(o, "branch_lsn", x->branch.lsn);
    json_out_member_bool(o, "is_lossy", x->is_lossy);
    json_out_member_u64(o, "rule", x->rule);
    put_i64(o, "wall_ms", x->wall_ms);
    put_text(o, "reason", x->reason);
    json_out_member_u64(o, "detect_ms", x->detect_ms);
    json_out_member_u64(o, "wait_ms", x->wait_ms);
    json_out_member_u64(o, "promote_ms", x->promote_ms);
    json_out_member_u64(o, "token_version", x->token_version);
    json_out_member_u64(o, "lossy_epoch", x->lossy_epoch);
    json_out_member_u64(o, "lossy_version", x->lossy_version);
    json_out_object_end(o);
}

static void put_partitions(struct json_out *o, const struct account_record *r)
{
    json_out_key(o, "partitions");
    json_out_object(o);
    json_out_member_bool(o, "failover", r->partition_failover);
    json_out_member_u64(o, "generation_floor", r->generation_floor);
    json_out_member_u64(o, "epoch_floor", r->epoch_floor);
    json_out_key(o, "overrides");
    json_out_array(o);
    for (size_t i = 0; i < r->override_count; i++) {
        put_override(o, &r->overrides[i]);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

unsigned record_format(const struct account_record *r)
{
    return has_partitions(r) ? 4 : has_topology(r) ? 3 : has_levels(r) ? 2 : 1;
}

void record_encode(const struct account_record *r, struct buf *out)
{
    char reason[256];
    ASSERT(record_check(r, reason));
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_u64(&o, "format", record_format(r));
    put_text(&o, "name", r->name);
    put_text(&o, "level", consistency_name(r->level));
    if (has_levels(r)) {
        put_levels(&o, r);
    }
    json_out_member_bool(&o, "auto_failover", r->auto_failover);
    put_text(&o, "phase", phase_names[r->phase]);
    json_out_member_u64(&o, "writer", r->writer);
    json_out_member_u64(&o, "writer_incarnation", r->writer_incarnation);
    json_out_member_u64(&o, "generation", r->generation);
    json_out_member_u64(&o, "epoch", r->epoch);
    json_out_member_u64(&o, "transfer_to", r->transfer_to);
    put_i64(&o, "transfer_deadline_wall_ms", r->transfer_deadline_wall_ms);
    json_out_member_u64(&o, "q_mask", r->q_mask);
    json_out_member_u64(&o, "token_version", r->token_version);
    json_out_member_u64(&o, "lsn_limit", r->lsn_limit);
    json_out_member_u64(&o, "next_region_id", r->next_region_id);
    json_out_key(&o, "keys");
    json_out_array(&o);
    for (size_t i = 0; i < ARRAY_COUNT(r->key); i++) {
        json_out_cstr(&o, r->key[i]);
    }
    json_out_array_end(&o);
    put_text(&o, "peer_secret", r->peer_secret);
    json_out_key(&o, "regions");
    json_out_array(&o);
    for (size_t i = 0; i < r->region_count; i++) {
        put_region(&o, &r->regions[i]);
    }
    json_out_array_end(&o);
    json_out_key(&o, "epochs");
    json_out_array(&o);
    for (size_t i = 0; i < r->epoch_count; i++) {
        put_epoch(&o, &r->epochs[i]);
    }
    json_out_array_end(&o);
    if (has_topology(r)) {
        put_topology(&o, r);
    }
    if (has_partitions(r)) {
        put_partitions(&o, r);
    }
    json_out_object_end(&o);
}

/* ---- decoding: the first failure sticks in `ei`, later reads do nothing ---- */

struct dec {
    struct errinfo *ei;
    enum err err;
};

static void fail(struct dec *d, enum err e, const char *key, const char *text)
{
    if (d->err == OK) {
        d->err = err_set(d->ei, e, "account record: member '%s' %s", key, text);
    }
}

static const struct json *need(struct dec *d, const struct json *v, const char *key,
                               enum json_type type)
{
    const struct json *m = json_get(v, str_of(key));
    if (m == NULL || m->type != type) {
        fail(d, ERR_CORRUPT, key, "is missing or of another type");
        return NULL;
    }
    return m;
}

static bool number_u64(const struct json *m, uint64_t *ret)
{
    return m->type == JSON_NUMBER && str_to_u64(m->src, ret);
}

static uint64_t need_u64(struct dec *d, const struct json *v, const char *key, uint64_t max)
{
    const struct json *m = need(d, v, key, JSON_NUMBER);
    uint64_t n = 0;
    if (m != NULL && (!number_u64(m, &n) || n > max)) {
        fail(d, ERR_CORRUPT, key, "is out of range");
        return 0;
    }
    return n;
}

static int64_t need_i64(struct dec *d, const struct json *v, const char *key)
{
    const struct json *m = need(d, v, key, JSON_NUMBER);
    int64_t n = 0;
    if (m != NULL && !str_to_i64(m->src, &n)) {
        fail(d, ERR_CORRUPT, key, "is out of range");
        return 0;
    }
    return n;
}

static bool need_bool(struct dec *d, const struct json *v, const char *key)
{
    const struct json *m = need(d, v, key, JSON_BOOL);
    return m != NULL && m->boolean;
}

static void copy_text(struct dec *d, const struct json *m, const char *key, char *out, size_t size)
{
    if (m == NULL) {
        return;
    }
    if (m->text.n >= size || (m->text.n > 0 && memchr(m->text.p, 0, m->text.n) != NULL)) {
        fail(d, ERR_CORRUPT, key, "is too long or contains NUL");
        return;
    }
    memset(out, 0, size);
    if (m->text.n > 0) {
        memcpy(out, m->text.p, m->text.n);
    }
}

static void need_text(struct dec *d, const struct json *v, const char *key, char *out, size_t size)
{
    copy_text(d, need(d, v, key, JSON_STRING), key, out, size);
}

/* One of a table's names; 0 after a failure. */
static int need_name(struct dec *d, const struct json *v, const char *key, const char *const *names,
                     int count)
{
    const struct json *m = need(d, v, key, JSON_STRING);
    if (m == NULL) {
        return 0;
    }
    int i = name_find(names, count, m->text);
    if (i < 0) {
        fail(d, ERR_FORMAT_NEWER, key, "has an unknown value");
        return 0;
    }
    return i;
}

static void only_members(struct dec *d, const struct json *v, const char *const *known, size_t n)
{
    for (size_t i = 0; v != NULL && v->type == JSON_OBJECT && i < v->count; i++) {
        bool found = false;
        for (size_t k = 0; k < n && !found; k++) {
            found = str_eq(v->members[i].key, str_of(known[k]));
        }
        if (!found) {
            fail(d, ERR_FORMAT_NEWER, "?", "is unknown: written by a newer version");
        }
    }
}

static const struct json *need_array(struct dec *d, const struct json *v, const char *key,
                                     size_t count_max)
{
    const struct json *m = need(d, v, key, JSON_ARRAY);
    if (m != NULL && m->count > count_max) {
        fail(d, ERR_CORRUPT, key, "has too many elements");
        return NULL;
    }
    return m;
}

static void get_region(struct dec *d, const struct json *v, struct record_region *g)
{
    static const char *const known[] = {"id",           "name",  "endpoint",          "peer_addr",
                                        "priority",     "state", "is_forced_offline", "incarnation",
                                        "since_wall_ms"};
    only_members(d, v, known, ARRAY_COUNT(known));
    g->id = (region_id)need_u64(d, v, "id", REGION_ID_MAX);
    need_text(d, v, "name", g->name, sizeof(g->name));
    need_text(d, v, "endpoint", g->endpoint, sizeof(g->endpoint));
    need_text(d, v, "peer_addr", g->peer_addr, sizeof(g->peer_addr));
    g->priority = (uint32_t)need_u64(d, v, "priority", REGIONS_MAX - 1);
    g->state = (enum region_state)need_name(d, v, "state", state_names, REGION_STATE_COUNT);
    g->is_forced_offline = need_bool(d, v, "is_forced_offline");
    g->incarnation = need_u64(d, v, "incarnation", UINT64_MAX);
    g->since_wall_ms = need_i64(d, v, "since_wall_ms");
}

static void get_branches(struct dec *d, struct arena *a, const struct json *v,
                         struct record_epoch *e)
{
    const struct json *list = need_array(d, v, "branches", RECORD_BRANCHES_MAX);
    if (list == NULL || list->count == 0) {
        return;
    }
    struct record_branch *b = ARENA_NEW_ARRAY(a, struct record_branch, list->count);
    for (size_t i = 0; i < list->count; i++) {
        const struct json *row = list->items[i];
        if (row->type != JSON_ARRAY || row->count != 3 || !number_u64(row->items[0], &b[i].pid) ||
            !number_u64(row->items[1], &b[i].epoch) || !number_u64(row->items[2], &b[i].lsn)) {
            fail(d, ERR_CORRUPT, "branches", "has a bad row");
            return;
        }
    }
    e->branches = b;
    e->branch_count = list->count;
}

static void get_epoch(struct dec *d, struct arena *a, const struct json *v, struct record_epoch *e)
{
    static const char *const known[] = {
        "epoch",   "generation", "writer",    "incarnation", "start_lsn",  "is_lossy", "rule",
        "wall_ms", "reason",     "detect_ms", "wait_ms",     "promote_ms", "branches"};
    only_members(d, v, known, ARRAY_COUNT(known));
    e->epoch = need_u64(d, v, "epoch", UINT64_MAX);
    e->generation = need_u64(d, v, "generation", UINT64_MAX);
    e->writer = (region_id)need_u64(d, v, "writer", REGION_ID_MAX);
    e->incarnation = need_u64(d, v, "incarnation", UINT64_MAX);
    e->start_lsn = need_u64(d, v, "start_lsn", LSN_MAX);
    e->is_lossy = need_bool(d, v, "is_lossy");
    e->rule = (uint32_t)need_u64(d, v, "rule", UINT32_MAX);
    e->wall_ms = need_i64(d, v, "wall_ms");
    need_text(d, v, "reason", e->reason, sizeof(e->reason));
    e->detect_ms = (uint32_t)need_u64(d, v, "detect_ms", UINT32_MAX);
    e->wait_ms = (uint32_t)need_u64(d, v, "wait_ms", UINT32_MAX);
    e->promote_ms = (uint32_t)need_u64(d, v, "promote_ms", UINT32_MAX);
    get_branches(d, a, v, e);
}

static void get_lists(struct dec *d, struct arena *a, const struct json *v,
                      struct account_record *r)
{
    const struct json *keys = need_array(d, v, "keys", ARRAY_COUNT(r->key));
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        if (keys->items[i]->type != JSON_STRING) {
            fail(d, ERR_CORRUPT, "keys", "holds something else than strings");
            break;
        }
        copy_text(d, keys->items[i], "keys", r->key[i], sizeof(r->key[i]));
    }
    const struct json *regions = need_array(d, v, "regions", REGIONS_MAX);
    for (size_t i = 0; regions != NULL && i < regions->count && d->err == OK; i++) {
        get_region(d, regions->items[i], &r->regions[r->region_count++]);
    }
    const struct json *epochs = need_array(d, v, "epochs", RECORD_EPOCHS_MAX);
    for (size_t i = 0; epochs != NULL && i < epochs->count && d->err == OK; i++) {
        get_epoch(d, a, epochs->items[i], &r->epochs[r->epoch_count++]);
    }
}

/* Absent in a record of format 1: no change runs, and a bounded level has the usual bounds. */
static void get_levels(struct dec *d, const struct json *v, struct account_record *r)
{
    static const char *const known[] = {"to", "strong_since", "max_staleness_ops",
                                        "max_staleness_s"};
    const struct json *m = json_get(v, STR("levels"));
    if (m == NULL) {
        if (r->level == CONSISTENCY_BOUNDED_STALENESS) {
            r->max_staleness_ops = STALENESS_OPS_ADVISED;
            r->max_staleness_s = STALENESS_S_ADVISED;
        }
        return;
    }
    if (m->type != JSON_OBJECT) {
        fail(d, ERR_CORRUPT, "levels", "is no object");
        return;
    }
    only_members(d, m, known, ARRAY_COUNT(known));
    r->level_to = (enum consistency)need_name(d, m, "to", level_names, CONSISTENCY_COUNT);
    r->is_level_changing = r->level_to != r->level;
    r->strong_since = need_u64(d, m, "strong_since", UINT64_MAX);
    r->max_staleness_ops = need_u64(d, m, "max_staleness_ops", STALENESS_OPS_MAX);
    r->max_staleness_s = (uint32_t)need_u64(d, m, "max_staleness_s", STALENESS_S_MAX);
}

static void get_former(struct dec *d, const struct json *v, struct account_record *r)
{
    const struct json *list = need_array(d, v, "former", ARRAY_COUNT(r->former));
    for (size_t i = 0; list != NULL && i < list->count && d->err == OK; i++) {
        const struct json *row = list->items[i];
        uint64_t id = 0;
        if (row->type != JSON_ARRAY || row->count != 2 || !number_u64(row->items[0], &id) ||
            id > REGION_ID_MAX || row->items[1]->type != JSON_STRING) {
            fail(d, ERR_CORRUPT, "former", "has a bad row");
            return;
        }
        struct record_former *f = &r->former[r->former_count++];
        f->id = (region_id)id;
        copy_text(d, row->items[1], "former", f->name, sizeof(f->name));
    }
}

static struct record_region *member_of(struct dec *d, struct account_record *r,
                                       const struct json *id, const char *key)
{
    uint64_t n = 0;
    struct record_region *g =
        number_u64(id, &n) && n <= REGION_ID_MAX ? record_region(r, (region_id)n) : NULL;
    if (g == NULL) {
        fail(d, ERR_CORRUPT, key, "names no region of the account");
    }
    return g;
}

/* Absent in a record of format 1 or 2: regions never changed. After regions and epochs. */
static void get_topology(struct dec *d, const struct json *v, struct account_record *r)
{
    static const char *const known[] = {"former", "needs_full_copy", "unsent_ops",
                                        "token_versions"};
    const struct json *m = json_get(v, STR("topology"));
    if (m == NULL) {
        derive_versions(r);
        return;
    }
    if (m->type != JSON_OBJECT) {
        fail(d, ERR_CORRUPT, "topology", "is no object");
        return;
    }
    only_members(d, m, known, ARRAY_COUNT(known));
    get_former(d, m, r);
    const struct json *copies = need_array(d, m, "needs_full_copy", REGIONS_MAX);
    for (size_t i = 0; copies != NULL && i < copies->count; i++) {
        struct record_region *g = member_of(d, r, copies->items[i], "needs_full_copy");
        if (g != NULL) {
            g->needs_full_copy = true;
        }
    }
    const struct json *unsent = need_array(d, m, "unsent_ops", REGIONS_MAX);
    for (size_t i = 0; unsent != NULL && i < unsent->count && d->err == OK; i++) {
        const struct json *row = unsent->items[i];
        bool is_pair = row->type == JSON_ARRAY && row->count == 2;
        struct record_region *g = is_pair ? member_of(d, r, row->items[0], "unsent_ops") : NULL;
        if (g == NULL || !number_u64(row->items[1], &g->unsent_ops)) {
            fail(d, ERR_CORRUPT, "unsent_ops", "has a bad row");
        }
    }
    const struct json *versions = need_array(d, m, "token_versions", RECORD_EPOCHS_MAX);
    if (versions != NULL && versions->count != r->epoch_count) {
        fail(d, ERR_CORRUPT, "token_versions", "does not have one number per epoch");
        return;
    }
    for (size_t i = 0; versions != NULL && i < versions->count; i++) {
        if (!number_u64(versions->items[i], &r->epochs[i].token_version)) {
            fail(d, ERR_CORRUPT, "token_versions", "has something else than numbers");
        }
    }
}

static void get_override(struct dec *d, const struct json *v, struct record_override *x)
{
    static const char *const known[] = {
        "pid",         "phase",       "writer",        "incarnation",  "generation",
        "transfer_to", "is_pinned",   "epoch",         "holder",       "holder_incarnation",
        "start_lsn",   "is_lossy",    "branch_epoch",  "branch_lsn",   "holder_generation",
        "rule",        "wall_ms",     "reason",        "detect_ms",    "wait_ms",
        "promote_ms",  "lossy_epoch", "lossy_version", "token_version"};
    only_members(d, v, known, ARRAY_COUNT(known));
    x->pid = need_u64(d, v, "pid", UINT64_MAX);
    x->phase = (enum account_phase)need_name(d, v, "phase", phase_names, PHASE_COUNT);
    x->writer = (region_id)need_u64(d, v, "writer", REGION_ID_MAX);
    x->incarnation = need_u64(d, v, "incarnation", UINT64_MAX);
    x->generation = need_u64(d, v, "generation", UINT64_MAX);
    x->transfer_to = (region_id)need_u64(d, v, "transfer_to", REGION_ID_MAX);
    x->is_pinned = need_bool(d, v, "is_pinned");
    x->epoch = need_u64(d, v, "epoch", UINT64_MAX);
    x->holder = (region_id)need_u64(d, v, "holder", REGION_ID_MAX);
    x->holder_incarnation = need_u64(d, v, "holder_incarnation", UINT64_MAX);
    x->holder_generation = need_u64(d, v, "holder_generation", UINT64_MAX);
    x->start_lsn = need_u64(d, v, "start_lsn", LSN_MAX);
    x->branch.pid = x->pid;
    x->branch.epoch = need_u64(d, v, "branch_epoch", UINT64_MAX);
    x->branch.lsn = need_u64(d, v, "branch_lsn", LSN_MAX);
    x->is_lossy = need_bool(d, v, "is_lossy");
    x->rule = (uint32_t)need_u64(d, v, "rule", UINT32_MAX);
    x->wall_ms = need_i64(d, v, "wall_ms");
    need_text(d, v, "reason", x->reason, sizeof(x->reason));
    x->detect_ms = (uint32_t)need_u64(d, v, "detect_ms", UINT32_MAX);
    x->wait_ms = (uint32_t)need_u64(d, v, "wait_ms", UINT32_MAX);
    x->promote_ms = (uint32_t)need_u64(d, v, "promote_ms", UINT32_MAX);
    x->token_version = need_u64(d, v, "token_version", UINT64_MAX);
    x->lossy_epoch = need_u64(d, v, "lossy_epoch", UINT64_MAX);
    x->lossy_version = need_u64(d, v, "lossy_version", UINT64_MAX);
}

/* Absent in a record before format 4: no partition has a writer of its own. */
static void get_partitions(struct dec *d, const struct json *v, struct account_record *r)
{
    static const char *const known[] = {"failover", "generation_floor", "epoch_floor", "overrides"};
    const struct json *m = json_get(v, STR("partitions"));
    if (m == NULL) {
        return;
    }
    if (m->type != JSON_OBJECT) {
        fail(d, ERR_CORRUPT, "partitions", "is no object");
        return;
    }
    only_members(d, m, known, ARRAY_COUNT(known));
    r->partition_failover = need_bool(d, m, "failover");
    r->generation_floor = need_u64(d, m, "generation_floor", UINT64_MAX);
    r->epoch_floor = need_u64(d, m, "epoch_floor", UINT64_MAX);
    const struct json *rows = need_array(d, m, "overrides", RECORD_OVERRIDES_MAX);
    for (size_t i = 0; rows != NULL && i < rows->count && d->err == OK; i++) {
        get_override(d, rows->items[i], &r->overrides[r->override_count++]);
    }
}

static void get_record(struct dec *d, struct arena *a, const struct json *v,
                       struct account_record *r)
{
    static const char *const known[] = {
        "format",        "name",          "level",       "levels",
        "auto_failover", "phase",         "writer",      "writer_incarnation",
        "generation",    "epoch",         "transfer_to", "transfer_deadline_wall_ms",
        "q_mask",        "token_version", "lsn_limit",   "next_region_id",
        "keys",          "peer_secret",   "regions",     "epochs",
        "topology",      "partitions"};
    uint64_t format = need_u64(d, v, "format", UINT64_MAX);
    if (format > RECORD_FORMAT && d->err == OK) {
        d->err =
            err_set(d->ei, ERR_FORMAT_NEWER,
                    "the account record has format %llu of a newer version, this program reads "
                    "up to %d",
                    (unsigned long long)format, RECORD_FORMAT);
        err_hint(d->ei, "run the version that the other regions run");
        return;
    }
    only_members(d, v, known, ARRAY_COUNT(known));
    need_text(d, v, "name", r->name, sizeof(r->name));
    r->level = (enum consistency)need_name(d, v, "level", level_names, CONSISTENCY_COUNT);
    get_levels(d, v, r);
    r->auto_failover = need_bool(d, v, "auto_failover");
    r->phase = (enum account_phase)need_name(d, v, "phase", phase_names, PHASE_COUNT);
    r->writer = (region_id)need_u64(d, v, "writer", REGION_ID_MAX);
    r->writer_incarnation = need_u64(d, v, "writer_incarnation", UINT64_MAX);
    r->generation = need_u64(d, v, "generation", UINT64_MAX);
    r->epoch = need_u64(d, v, "epoch", UINT64_MAX);
    r->transfer_to = (region_id)need_u64(d, v, "transfer_to", REGION_ID_MAX);
    r->transfer_deadline_wall_ms = need_i64(d, v, "transfer_deadline_wall_ms");
    r->q_mask = need_u64(d, v, "q_mask", UINT64_MAX);
    r->token_version = need_u64(d, v, "token_version", UINT64_MAX);
    r->lsn_limit = need_u64(d, v, "lsn_limit", LSN_MAX);
    r->next_region_id = (region_id)need_u64(d, v, "next_region_id", REGION_ID_MAX + 1);
    need_text(d, v, "peer_secret", r->peer_secret, sizeof(r->peer_secret));
    get_lists(d, a, v, r);
    get_topology(d, v, r);
    get_partitions(d, v, r);
}

enum err record_decode(struct arena *a, struct str text, struct account_record *ret,
                       struct errinfo *ei)
{
    struct json_limits limits = {.text_size_max = RECORD_TEXT_SIZE_MAX, .depth_max = 8};
    const struct json *v = NULL;
    struct errinfo local = {0};
    if (json_parse(a, text, &limits, &v, &local) != OK) {
        return err_set(ei, ERR_CORRUPT, "account record is no JSON: %s", local.message);
    }
    if (v->type != JSON_OBJECT) {
        return err_set(ei, ERR_CORRUPT, "account record is no JSON object");
    }
    struct account_record *r = ARENA_NEW(a, struct account_record);
    struct dec d = {.ei = ei, .err = OK};
    get_record(&d, a, v, r);
    if (d.err != OK) {
        return d.err;
    }
    char reason[256];
    if (!record_check(r, reason)) {
        return err_set(ei, ERR_CORRUPT, "account record: %s", reason);
    }
    *ret = *r;
    return OK;
}
