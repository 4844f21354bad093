/* Building and looking at the model of an estate. See estate.h.
 *
 * Lists grow by doubling in the arena: what they leave behind is at most what they hold. */
#include "continuity/posture/estate.h"

#include <inttypes.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

static void *grown(struct arena *a, const void *old, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return NULL;
    }
    size_t cap_new = *cap == 0 ? 4 : *cap * 2;
    char *p = arena_zalloc(a, cap_new * size);
    if (count > 0) {
        memcpy(p, old, count * size);
    }
    *cap = cap_new;
    return p;
}

/* Makes room for one more element of a list in the arena. */
#define ROOM(e, list, count, cap, type)                                                            \
    do {                                                                                           \
        void *room_ = grown(&(e)->arena, (list), (count), &(cap), sizeof(type));                   \
        if (room_) {                                                                               \
            (list) = room_;                                                                        \
        }                                                                                          \
    } while (0)

struct estate *estate_new(struct str source)
{
    struct estate *e = MEM_NEW(struct estate);
    arena_init(&e->arena);
    map_init(&e->by_id);
    map_init(&e->by_region);
    e->source = arena_str(&e->arena, source);
    int64_t minute_ms = 60000;
    int64_t day_ms = 1440 * minute_ms;
    e->policy = (struct estate_policy){
        .drill_max_age_ms = 90 * day_ms,
        .verify_max_age_ms = 7 * day_ms,
        .restore_max_age_ms = 90 * day_ms,
        .log_retention_days = -1,
        .backup_retention_ms = -1,
        .detect_ms = 5 * minute_ms,
        .decide_ms = 15 * minute_ms,
        .promote_ms = 5 * minute_ms,
        .resolver_floor_ms = minute_ms,
        .reconnect_ms = minute_ms / 2,
        .start_ms = 15 * minute_ms,
        .deploy_ms = 240 * minute_ms,
        .restore_ms = day_ms,
    };
    return e;
}

void estate_free(struct estate *e)
{
    if (!e) {
        return;
    }
    map_done(&e->by_id);
    map_done(&e->by_region);
    arena_done(&e->arena);
    mem_free(e);
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* What a terminal may take for a command never gets into a model. */
struct str estate_copy(struct estate *e, struct str s)
{
    char *p = arena_alloc(&e->arena, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        bool is_c1 = (unsigned char)s.p[i] == 0xc2 && i + 1 < s.n &&
                     (unsigned char)s.p[i + 1] >= 0x80 && (unsigned char)s.p[i + 1] < 0xa0;
        p[i] = is_control(s.p[i]) || is_c1 ? ' ' : s.p[i];
        if (is_c1) {
            p[++i] = ' ';
        }
    }
    p[s.n] = 0;
    return str_make(p, s.n);
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_control(s.p[i]) ||
            ((unsigned char)s.p[i] == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)) {
            return true;
        }
    }
    return false;
}

/* ---- regions ---- */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

struct str estate_region_normal(struct arena *a, struct str name)
{
    char *p = arena_alloc(a, name.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] != ' ') {
            p[n++] = lower(name.p[i]);
        }
    }
    return str_make(p, n);
}

static bool is_region_name(struct str s)
{
    if (s.n == 0 || s.n > 64 || str_eq(s, STR("none")) || str_eq(s, STR("unknown"))) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.')) {
            return false;
        }
    }
    return true;
}

const struct estate_region *estate_find_region(const struct estate *e, struct str name)
{
    const struct estate_region *r = map_get(&e->by_region, name);
    if (r || name.n > 256) {
        return r;
    }
    char normal[256];
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] != ' ') {
            normal[n++] = lower(name.p[i]);
        }
    }
    return map_get(&e->by_region, str_make(normal, n));
}

enum err estate_region(struct estate *e, struct str name, struct estate_region **ret,
                       struct errinfo *ei)
{
    struct estate_region *r = map_get(&e->by_region, name);
    if (r) {
        *ret = r;
        return OK;
    }
    if (name.n > 256) {
        return err_set(ei, ERR_INVALID, "a region's name is longer than 256 bytes");
    }
    struct str normal = estate_region_normal(&e->arena, name);
    r = map_get(&e->by_region, normal);
    if (r) {
        *ret = r;
        return OK;
    }
    if (!is_region_name(normal)) {
        return err_set(ei, ERR_INVALID, "'" STR_FMT "' cannot be the name of a region",
                       STR_ARG(name));
    }
    if (e->region_count >= ESTATE_REGIONS_MAX) {
        return err_set(ei, ERR_LIMIT, "more than %d regions", ESTATE_REGIONS_MAX);
    }
    ROOM(e, e->regions, e->region_count, e->region_cap, struct estate_region *);
    r = ARENA_NEW(&e->arena, struct estate_region);
    r->name = normal;
    r->core_quota = -1;
    e->regions[e->region_count++] = r;
    map_put(&e->by_region, normal, r);
    *ret = r;
    return OK;
}

/* ---- assets ---- */

static bool is_outside(struct str id)
{
    return str_starts(id, STR("outside:"));
}

enum err estate_add(struct estate *e, struct str id, enum estate_type type, unsigned line,
                    struct estate_asset **ret, struct errinfo *ei)
{
    ASSERT(type < TYPE_COUNT && !e->is_finished);
    if (id.n == 0 || id.n > ESTATE_ID_SIZE_MAX || has_control(id) || is_outside(id) ||
        str_eq(id, STR("none")) || str_eq(id, STR("unknown")) || str_eq(id, STR("*")) ||
        id.p[0] == ' ' || id.p[id.n - 1] == ' ') {
        return err_set(ei, ERR_INVALID, "'" STR_FMT "' cannot be an id",
                       STR_ARG(str_slice(id, 0, 80)));
    }
    const struct estate_asset *first = map_get(&e->by_id, id);
    if (first) {
        return err_set(ei, ERR_EXISTS, "the id '" STR_FMT "' is taken (line %u)", STR_ARG(id),
                       first->line);
    }
    if (e->asset_count >= ESTATE_ASSETS_MAX) {
        return err_set(ei, ERR_LIMIT, "more than %d assets", ESTATE_ASSETS_MAX);
    }
    ROOM(e, e->assets, e->asset_count, e->asset_cap, struct estate_asset *);
    struct estate_asset *a = ARENA_NEW(&e->arena, struct estate_asset);
    a->id = arena_str(&e->arena, id);
    a->type = type;
    a->line = line;
    a->idx = (unsigned)e->asset_count;
    e->assets[e->asset_count++] = a;
    map_put(&e->by_id, a->id, a);
    *ret = a;
    return OK;
}

struct estate_asset *estate_find(const struct estate *e, struct str id)
{
    return map_get(&e->by_id, id);
}

enum err estate_place(struct estate *e, struct estate_asset *a, struct str region,
                      struct estate_placement **ret, struct errinfo *ei)
{
    struct estate_region *r = NULL;
    TRY(estate_region(e, region, &r, ei));
    if (a->placement_count >= ESTATE_LIST_MAX) {
        return err_set(ei, ERR_LIMIT, "more than %d regions of one asset", ESTATE_LIST_MAX);
    }
    ROOM(e, a->placements, a->placement_count, a->placement_cap, struct estate_placement);
    struct estate_placement *p = &a->placements[a->placement_count++];
    *p = (struct estate_placement){
        .region = r->name, .line = a->line, .priority = -1, .throughput = -1};
    if (ret) {
        *ret = p;
    }
    return OK;
}

static struct estate_ref ref_of(struct estate *e, struct str id)
{
    struct estate_ref ref = {.is_outside = is_outside(id)};
    ref.id = estate_copy(e, ref.is_outside ? str_slice(id, 8, id.n) : id);
    return ref;
}

enum err estate_depend(struct estate *e, struct estate_asset *a, struct str id, struct errinfo *ei)
{
    if (a->depends_on_count >= ESTATE_LIST_MAX) {
        return err_set(ei, ERR_LIMIT, "more than %d dependencies of one asset", ESTATE_LIST_MAX);
    }
    ROOM(e, a->depends_on, a->depends_on_count, a->depends_on_cap, struct estate_ref);
    a->depends_on[a->depends_on_count++] = ref_of(e, id);
    return OK;
}

void estate_set_peer(struct estate *e, struct estate_asset *a, struct str id,
                     enum estate_confidence conf)
{
    ASSERT(id.n > 0 && conf != EV_UNKNOWN);
    a->peer = ref_of(e, id);
    a->peer_conf = conf;
}

void estate_set_peer_none(struct estate_asset *a, enum estate_confidence conf)
{
    a->peer = (struct estate_ref){.id = STR_NONE};
    a->peer_conf = conf;
}

static const struct str *copy_list(struct estate *e, const struct str *items, size_t n)
{
    struct str *copy = ARENA_NEW_ARRAY(&e->arena, struct str, n + 1);
    for (size_t i = 0; i < n; i++) {
        copy[i] = estate_copy(e, items[i]);
    }
    return copy;
}

void estate_set_zones(struct estate *e, struct estate_asset *a, const struct str *zones, size_t n,
                      enum estate_confidence conf)
{
    a->zones = copy_list(e, zones, n);
    a->zone_count = n;
    a->zones_conf = conf;
}

static void objective_init(struct estate_objective *o)
{
    *o = (struct estate_objective){
        .rto_ms = -1, .rpo_ms = -1, .availability = -1, .write_availability = -1};
}

struct estate_objective *estate_add_objective(struct estate *e)
{
    if (e->objective_count >= ESTATE_OBJECTIVES_MAX) {
        return NULL;
    }
    ROOM(e, e->objectives, e->objective_count, e->objective_cap, struct estate_objective);
    struct estate_objective *o = &e->objectives[e->objective_count++];
    objective_init(o);
    return o;
}

struct estate_objective *estate_own_objective(struct estate *e, struct estate_asset *a)
{
    if (!a->objective) {
        a->objective = ARENA_NEW(&e->arena, struct estate_objective);
        objective_init(a->objective);
    }
    return a->objective;
}

struct estate_waiver *estate_add_waiver(struct estate *e)
{
    if (e->waiver_count >= ESTATE_WAIVERS_MAX) {
        return NULL;
    }
    ROOM(e, e->waivers, e->waiver_count, e->waiver_cap, struct estate_waiver);
    struct estate_waiver *w = &e->waivers[e->waiver_count++];
    *w = (struct estate_waiver){0};
    return w;
}

struct estate_step *estate_add_step(struct estate *e, struct estate_asset *runbook)
{
    ASSERT(runbook->type == TYPE_RUNBOOK);
    if (runbook->step_count >= ESTATE_LIST_MAX) {
        return NULL;
    }
    ROOM(e, runbook->steps, runbook->step_count, runbook->step_cap, struct estate_step);
    struct estate_step *s = &runbook->steps[runbook->step_count++];
    *s = (struct estate_step){.phase = PHASE_DURING};
    runbook->has_steps = TRI_YES;
    return s;
}

/* ---- attributes ---- */

static const struct estate_value nothing;

static struct estate_value *slot_of(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                                    unsigned line)
{
    ASSERT(attr < ATTR_COUNT && estate_type_has(a->type, attr));
    struct estate_value *v = NULL;
    for (size_t i = 0; i < a->attr_count && !v; i++) {
        if (a->attrs[i].attr == attr) {
            v = &a->attrs[i].value;
        }
    }
    if (!v) {
        ROOM(e, a->attrs, a->attr_count, a->attr_cap, struct estate_attr_slot);
        a->attrs[a->attr_count].attr = attr;
        v = &a->attrs[a->attr_count++].value;
    }
    *v = (struct estate_value){.line = line};
    return v;
}

void estate_set_unknown(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                        struct str note, unsigned line)
{
    struct estate_value *v = slot_of(e, a, attr, line);
    v->note = estate_copy(e, str_slice(note, 0, ESTATE_STRING_SIZE_MAX));
}

void estate_set_open(struct estate_asset *a, enum estate_attr attr)
{
    for (size_t i = 0; i < a->attr_count; i++) {
        if (a->attrs[i].attr == attr) {
            a->attrs[i].value.is_open = true;
        }
    }
}

void estate_set_note(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                     struct str note)
{
    for (size_t i = 0; i < a->attr_count; i++) {
        if (a->attrs[i].attr == attr) {
            a->attrs[i].value.note = estate_copy(e, str_slice(note, 0, ESTATE_STRING_SIZE_MAX));
        }
    }
}

void estate_set_bool(struct estate *e, struct estate_asset *a, enum estate_attr attr, bool v,
                     enum estate_confidence conf, unsigned line)
{
    ASSERT(estate_attr_row(attr)->type == VT_BOOL && conf != EV_UNKNOWN);
    struct estate_value *slot = slot_of(e, a, attr, line);
    slot->conf = conf;
    slot->boolean = v;
}

void estate_set_int(struct estate *e, struct estate_asset *a, enum estate_attr attr, int64_t v,
                    enum estate_confidence conf, unsigned line)
{
    enum estate_value_type type = estate_attr_row(attr)->type;
    ASSERT(type == VT_INT || type == VT_DURATION || type == VT_TIME);
    ASSERT(conf != EV_UNKNOWN);
    if (v < 0 && !(type == VT_TIME && v == ESTATE_NEVER)) {
        estate_set_unknown(e, a, attr, STR("it is negative"), line);
        return;
    }
    struct estate_value *slot = slot_of(e, a, attr, line);
    slot->conf = conf;
    slot->integer = v;
}

void estate_set_number(struct estate *e, struct estate_asset *a, enum estate_attr attr, double v,
                       enum estate_confidence conf, unsigned line)
{
    enum estate_value_type type = estate_attr_row(attr)->type;
    ASSERT(type == VT_NUMBER || type == VT_PERCENT);
    ASSERT(conf != EV_UNKNOWN);
    if (!(v >= 0 && v <= (type == VT_PERCENT ? 100 : 1e15))) {
        estate_set_unknown(e, a, attr, STR("it is out of range"), line);
        return;
    }
    struct estate_value *slot = slot_of(e, a, attr, line);
    slot->conf = conf;
    slot->number = v;
}

void estate_set_string(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                       struct str v, enum estate_confidence conf, unsigned line)
{
    ASSERT(estate_attr_row(attr)->type == VT_STRING && conf != EV_UNKNOWN);
    if (v.n > ESTATE_STRING_SIZE_MAX) {
        estate_set_unknown(e, a, attr, STR("the text is too long"), line);
        return;
    }
    struct estate_value *slot = slot_of(e, a, attr, line);
    slot->conf = conf;
    slot->text = estate_copy(e, v);
}

/* The word as its row spells it; empty when the row has none like it. */
static struct str word_of(enum estate_attr attr, struct str v)
{
    struct str rest = str_of(estate_attr_row(attr)->words);
    struct str word;
    bool more = rest.n > 0;
    while (more) {
        struct str tail = STR_NONE;
        more = str_split(rest, ' ', &word, &tail);
        if (str_eq_nocase(word, v)) {
            return word;
        }
        rest = tail;
    }
    return STR_NONE;
}

bool estate_set_word(struct estate *e, struct estate_asset *a, enum estate_attr attr, struct str v,
                     enum estate_confidence conf, unsigned line)
{
    ASSERT(estate_attr_row(attr)->type == VT_WORD && conf != EV_UNKNOWN);
    struct str word = word_of(attr, v);
    if (word.n == 0) {
        estate_set_unknown(e, a, attr, STR("its value is none that we know"), line);
        return false;
    }
    struct estate_value *slot = slot_of(e, a, attr, line);
    slot->conf = conf;
    slot->text = word;
    return true;
}

void estate_set_list(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                     const struct str *items, size_t n, enum estate_confidence conf, unsigned line)
{
    enum estate_value_type type = estate_attr_row(attr)->type;
    ASSERT(type == VT_WORDS || type == VT_STRINGS || type == VT_REGIONS);
    ASSERT(conf != EV_UNKNOWN);
    if (n > ESTATE_LIST_MAX) {
        estate_set_unknown(e, a, attr, STR("the list is too long"), line);
        return;
    }
    struct str *copy = ARENA_NEW_ARRAY(&e->arena, struct str, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct estate_region *r = NULL;
        struct errinfo none = {0};
        if (items[i].n > ESTATE_STRING_SIZE_MAX) {
            estate_set_unknown(e, a, attr, STR("a text in the list is too long"), line);
            return;
        }
        if (type == VT_WORDS) {
            copy[i] = word_of(attr, items[i]);
        } else if (type == VT_REGIONS) {
            copy[i] = estate_region(e, items[i], &r, &none) == OK && r ? r->name : STR_NONE;
        } else {
            copy[i] = estate_copy(e, items[i]);
        }
        if (copy[i].n == 0 && type != VT_STRINGS) {
            estate_set_unknown(e, a, attr, STR("a value in the list is none that we know"), line);
            return;
        }
    }
    struct estate_value *slot = slot_of(e, a, attr, line);
    slot->conf = conf;
    slot->items = copy;
    slot->count = n;
}

void estate_set_refs(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                     const struct str *ids, size_t n, enum estate_confidence conf, unsigned line)
{
    enum estate_value_type type = estate_attr_row(attr)->type;
    ASSERT(type == VT_REFS || (type == VT_REF && n <= 1));
    ASSERT(conf != EV_UNKNOWN);
    if (n > ESTATE_LIST_MAX) {
        estate_set_unknown(e, a, attr, STR("the list is too long"), line);
        return;
    }
    struct estate_ref *refs = ARENA_NEW_ARRAY(&e->arena, struct estate_ref, n + 1);
    for (size_t i = 0; i < n; i++) {
        refs[i] = ref_of(e, ids[i]);
    }
    struct estate_value *slot = slot_of(e, a, attr, line);
    slot->conf = conf;
    slot->refs = refs;
    slot->count = n;
}

const struct estate_value *estate_attr(const struct estate_asset *a, enum estate_attr attr)
{
    for (size_t i = 0; i < a->attr_count; i++) {
        if (a->attrs[i].attr == attr) {
            return &a->attrs[i].value;
        }
    }
    return &nothing;
}

bool estate_is_set(const struct estate_asset *a, enum estate_attr attr)
{
    return estate_attr(a, attr) != &nothing;
}

/* ---- the whole ---- */

static enum err resolve(struct estate *e, const struct estate_asset *a, struct estate_ref *ref,
                        const char *what, unsigned line, enum estate_unresolved unresolved,
                        struct errinfo *ei)
{
    if (ref->is_outside) {
        return OK;
    }
    ref->asset = estate_find(e, ref->id);
    if (!ref->asset && unresolved == ESTATE_UNRESOLVED_IS_OUTSIDE) {
        ref->is_outside = true;
        return OK;
    }
    if (!ref->asset) {
        err_set(ei, ERR_INVALID,
                STR_FMT ":%u: %s of '" STR_FMT "' names '" STR_FMT "', which is not in the estate",
                STR_ARG(e->source), line, what, STR_ARG(a->id), STR_ARG(ref->id));
        err_hint(ei, "add the asset, or write outside:" STR_FMT, STR_ARG(ref->id));
        return ERR_INVALID;
    }
    if (ref->asset == a) {
        return err_set(ei, ERR_INVALID, STR_FMT ":%u: %s of '" STR_FMT "' names itself",
                       STR_ARG(e->source), line, what, STR_ARG(a->id));
    }
    return OK;
}

static enum err finish_asset(struct estate *e, struct estate_asset *a,
                             enum estate_unresolved unresolved, struct errinfo *ei)
{
    for (size_t i = 0; i < a->depends_on_count; i++) {
        TRY(resolve(e, a, &a->depends_on[i], "depends_on", a->line, unresolved, ei));
    }
    for (size_t i = 0; i < a->attr_count; i++) {
        struct estate_value *v = &a->attrs[i].value;
        for (size_t k = 0; v->refs && k < v->count; k++) {
            TRY(resolve(e, a, &v->refs[k], estate_attr_row(a->attrs[i].attr)->name,
                        v->line ? v->line : a->line, unresolved, ei));
        }
    }
    if (a->peer_conf != EV_UNKNOWN && a->peer.id.n > 0) {
        TRY(resolve(e, a, &a->peer, "peer", a->line, unresolved, ei));
        if (a->peer.asset && a->peer.asset->type != a->type) {
            return err_set(
                ei, ERR_INVALID, STR_FMT ":%u: peer of '" STR_FMT "' is of type %s, not %s",
                STR_ARG(e->source), a->line, STR_ARG(a->id),
                estate_type_row(a->peer.asset->type)->name, estate_type_row(a->type)->name);
        }
    }
    if (a->class_name.n > 0 && !a->objective && !estate_objective(e, a)) {
        err_set(ei, ERR_INVALID,
                STR_FMT ":%u: '" STR_FMT "' has class '" STR_FMT "', which no objective describes",
                STR_ARG(e->source), a->line, STR_ARG(a->id), STR_ARG(a->class_name));
        err_hint(ei, "add it to objectives, or take the class away");
        return ERR_INVALID;
    }
    return OK;
}

enum err estate_finish(struct estate *e, enum estate_unresolved unresolved, struct errinfo *ei)
{
    ASSERT(!e->is_finished);
    for (size_t i = 0; i < e->asset_count; i++) {
        TRY(finish_asset(e, e->assets[i], unresolved, ei));
    }
    for (size_t i = 0; i < e->waiver_count; i++) {
        const struct estate_waiver *w = &e->waivers[i];
        if (!str_eq(w->asset, STR("*")) && !estate_find(e, w->asset)) {
            return err_set(ei, ERR_INVALID,
                           STR_FMT ":%u: the waiver of %.*s names '" STR_FMT
                                   "', which is not in the estate",
                           STR_ARG(e->source), w->line, STR_ARG(w->rule), STR_ARG(w->asset));
        }
    }
    e->is_finished = true;
    return OK;
}

const struct estate_objective *estate_objective(const struct estate *e,
                                                const struct estate_asset *a)
{
    if (a->objective) {
        return a->objective;
    }
    for (size_t i = 0; i < e->objective_count && a->class_name.n > 0; i++) {
        if (str_eq(e->objectives[i].class_name, a->class_name)) {
            return &e->objectives[i];
        }
    }
    return NULL;
}

const struct estate_placement *estate_primary(const struct estate_asset *a)
{
    const struct estate_placement *best = a->placement_count > 0 ? &a->placements[0] : NULL;
    for (size_t i = 0; i < a->placement_count; i++) {
        const struct estate_placement *p = &a->placements[i];
        if (p->priority >= 0 && (best->priority < 0 || p->priority < best->priority)) {
            best = p;
        }
    }
    return best;
}

bool estate_is_in(const struct estate_asset *a, struct str region_normal)
{
    for (size_t i = 0; i < a->placement_count; i++) {
        if (str_eq(a->placements[i].region, region_normal)) {
            return true;
        }
    }
    return false;
}
