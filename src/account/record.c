/* The account record: names, lookup, invariants. Its text is record_text.c. */
#include "account/record.h"

#include <string.h>

#include "account/record_int.h"
#include "base/contract.h"

const char *const record_level_names[CONSISTENCY_COUNT] = {
    [CONSISTENCY_EVENTUAL] = "Eventual", [CONSISTENCY_CONSISTENT_PREFIX] = "ConsistentPrefix",
    [CONSISTENCY_SESSION] = "Session",   [CONSISTENCY_BOUNDED_STALENESS] = "BoundedStaleness",
    [CONSISTENCY_STRONG] = "Strong",
};

const char *const record_state_names[REGION_STATE_COUNT] = {
    [REGION_SEEDING] = "SEEDING",           [REGION_ONLINE_READ] = "ONLINE_READ",
    [REGION_ONLINE_WRITE] = "ONLINE_WRITE", [REGION_DRAINING] = "DRAINING",
    [REGION_OFFLINE] = "OFFLINE",           [REGION_RECOVERING] = "RECOVERING",
};

const char *const record_phase_names[PHASE_COUNT] = {
    [PHASE_OPEN] = "OPEN",
    [PHASE_PROMOTING] = "PROMOTING",
    [PHASE_TRANSFER] = "TRANSFER",
};

const char *consistency_name(enum consistency c)
{
    ASSERT((unsigned)c < CONSISTENCY_COUNT);
    return record_level_names[c];
}

int record_name_find(const char *const *names, int count, struct str s)
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
    int i = record_name_find(record_level_names, CONSISTENCY_COUNT, s);
    if (i < 0) {
        return false;
    }
    *ret = (enum consistency)i;
    return true;
}

const char *account_phase_name(enum account_phase p)
{
    ASSERT((unsigned)p < PHASE_COUNT);
    return record_phase_names[p];
}

const char *region_state_name(enum region_state s)
{
    ASSERT((unsigned)s < REGION_STATE_COUNT);
    return record_state_names[s];
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
    ASSERT(IMPLIES(s == REGION_ONLINE_WRITE, state_is_online(g->state))); /* I2 */
    if (g->state != s) {
        g->state = s;
        g->since_wall_ms = wall_ms;
    }
    if (!state_is_online(s)) {
        r->q_mask &= ~record_mask(id);
    }
}

void record_choose_writer(struct account_record *r, region_id id)
{
    r->phase = PHASE_PROMOTING;
    r->transfer_to = 0;
    r->writer = id;
    r->writer_incarnation = 0;
    r->generation = record_generation_top(r) + 1;
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

size_t record_openings(const struct account_record *r, pid p,
                       struct repl_opening ret[RECORD_OPENINGS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < r->epoch_count; i++) {
        const struct record_epoch *e = &r->epochs[i];
        struct repl_opening o = {.epoch = e->epoch, .start_lsn = e->start_lsn};
        for (size_t k = 0; k < e->branch_count && !o.has_prev; k++) {
            if (e->branches[k].pid == p) {
                o.has_prev = true;
                o.prev_epoch = e->branches[k].epoch;
                o.prev_lsn = e->branches[k].lsn;
            }
        }
        ret[n++] = o;
    }
    for (size_t i = 0; i < r->override_count; i++) {
        const struct record_override *x = &r->overrides[i];
        size_t at = n;
        while (at > 0 && ret[at - 1].epoch > x->epoch) {
            at--;
        }
        bool is_listed = at > 0 && ret[at - 1].epoch == x->epoch;
        if (is_listed || (x->pid != p && x->branch.lsn == 0)) {
            continue; /* no epoch of its own yet: the account's, p's as well, perhaps one that has dropped off */
        }
        memmove(&ret[at + 1], &ret[at], (n - at) * sizeof(ret[0]));
        ret[at] = (struct repl_opening){.epoch = x->epoch,
                                        .start_lsn = x->start_lsn,
                                        .is_elsewhere = x->pid != p,
                                        .has_prev = x->pid == p && x->branch.lsn != 0,
                                        .prev_epoch = x->branch.epoch,
                                        .prev_lsn = x->branch.lsn};
        n++;
    }
    return n;
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
            (i > 0 && e->token_version < e[-1].token_version + e->opened.is_lossy)) {
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
    if ((unsigned)r->diverged_writes >= DIVERGED_COUNT || r->feed_quota > FEED_QUOTA_MAX) {
        return why(ret_why, "what becomes of diverged writes is unknown or out of range");
    }
    return record_check_overrides(r, ret_why);
}
