/* Layout: columns are regions in the order of the estate, boxes stand in the order of the file, nothing
 * is optimised: who looks twice at the same estate finds everything where it was.
 *
 *        koreacentral                japaneast
 *      +--------------+           +--------------+
 *      | workspace    |- - - - - -| workspace-b  |      dashed: replica or peer
 *      +--------------+           +--------------+
 *             )                          )              curved: depends on, same region
 *      +--------------+           +--------------+
 *      | storage      |           | storage-b    |
 *      +--------------+           +--------------+
 */
#include "continuity/posture/picture.h"

#include <stdlib.h>
#include <string.h>

#include "base/contract.h"
#include "continuity/html.h"

enum {
    MARGIN = 12,
    HEAD = 44,
    BOX_WIDTH = 236,
    BOX_HEIGHT = 44,
    BADGE_HEIGHT = 18,
    BOX_GAP = 14,
    COLUMN_GAP = 84,
    BEND = 34,
    TITLE_WIDTH = 32, /* characters */
    SUB_WIDTH = 36,
    NOWHERE = -1,
};

enum arrow_kind { ARROW_DEPENDS, ARROW_SAME };

struct column {
    struct str region; /* "" = no region */
    size_t rows;
    bool is_lost;
};

struct box {
    size_t column, row;
    const struct report_asset *asset; /* the first of them when it stands for several */
    size_t count;
    enum place_role role;
    enum effect effect; /* the worst */
    size_t effect_count;
};

struct arrow {
    size_t from, to;
    enum arrow_kind kind;
};

struct picture {
    const struct report *r;
    struct arena a;
    struct column *columns;
    size_t column_count;
    struct box *boxes;
    size_t box_count;
    size_t *first_place; /* per asset: index of its first place in box_of_place */
    size_t *box_of_place;
    struct arrow *arrows;
    size_t arrow_count, arrow_cap;
    size_t left_out;
    bool is_grouped, has_effects;
};

const char *picture_effect_class(enum effect e)
{
    static const char *const classes[EFFECT_COUNT] = {
        [EFFECT_NONE] = "mild",       [EFFECT_GOES_ON] = "ok",   [EFFECT_DEGRADED] = "warn",
        [EFFECT_FAILS_OVER] = "warn", [EFFECT_UNKNOWN] = "info", [EFFECT_NEEDS_HANDS] = "bad",
        [EFFECT_STOPS] = "bad",
    };
    return classes[e];
}

const char *picture_effect_sign(enum effect e)
{
    static const char *const signs[EFFECT_COUNT] = {
        [EFFECT_NONE] = "",
        [EFFECT_GOES_ON] = "\xe2\x9c\x93",    /* check mark */
        [EFFECT_DEGRADED] = "\xe2\x89\x88",   /* almost equal */
        [EFFECT_FAILS_OVER] = "\xe2\x86\xbb", /* arrow in a circle */
        [EFFECT_UNKNOWN] = "?",
        [EFFECT_NEEDS_HANDS] = "!",
        [EFFECT_STOPS] = "\xe2\x9c\x95", /* cross */
    };
    return signs[e];
}

/* ---- layout ---- */

static size_t place_count(const struct report_asset *a)
{
    return a->place_count > 0 ? a->place_count : 1; /* without any: in no region */
}

static struct str place_region(const struct report_asset *a, size_t i)
{
    return a->place_count > 0 ? a->places[i].region : STR("");
}

static ptrdiff_t find_column(const struct picture *p, struct str region)
{
    for (size_t i = 0; i < p->column_count; i++) {
        if (str_eq(p->columns[i].region, region)) {
            return (ptrdiff_t)i;
        }
    }
    return NOWHERE;
}

static void add_column(struct picture *p, struct str region)
{
    const struct report_what_if *w = &p->r->what_if;
    if (find_column(p, region) == NOWHERE) {
        p->columns[p->column_count++] = (struct column){
            .region = region,
            .is_lost = w->kind == WHAT_REGION && region.n > 0 && str_eq(region, w->region)};
    }
}

static bool is_used(const struct picture *p, struct str region)
{
    for (size_t i = 0; i < p->r->asset_count; i++) {
        const struct report_asset *a = &p->r->assets[i];
        for (size_t k = 0; k < place_count(a); k++) {
            if (str_eq(place_region(a, k), region)) {
                return true;
            }
        }
    }
    return false;
}

/* In the order of the estate; then what only a copy names; "in no region" last. */
static void make_columns(struct picture *p)
{
    const struct report *r = p->r;
    size_t max = r->estate->region_count + 1;
    for (size_t i = 0; i < r->asset_count; i++) {
        max += place_count(&r->assets[i]);
    }
    p->columns = ARENA_NEW_ARRAY(&p->a, struct column, max);
    for (size_t i = 0; i < r->estate->region_count; i++) {
        if (is_used(p, r->estate->regions[i]->name)) {
            add_column(p, r->estate->regions[i]->name);
        }
    }
    for (int is_nowhere = 0; is_nowhere < 2; is_nowhere++) {
        for (size_t i = 0; i < r->asset_count; i++) {
            for (size_t k = 0; k < place_count(&r->assets[i]); k++) {
                struct str region = place_region(&r->assets[i], k);
                if ((region.n == 0) == (is_nowhere == 1)) {
                    add_column(p, region);
                }
            }
        }
    }
}

static enum effect effect_of(const struct picture *p, size_t asset_idx)
{
    return p->has_effects ? p->r->what_if.outcomes[asset_idx].effect : EFFECT_NONE;
}

static size_t add_box(struct picture *p, size_t column, size_t asset_idx, enum place_role role)
{
    const struct report_asset *a = &p->r->assets[asset_idx];
    enum effect effect = effect_of(p, asset_idx);
    if (p->is_grouped) {
        for (size_t i = 0; i < p->box_count; i++) {
            struct box *b = &p->boxes[i];
            if (b->column != column || b->asset->asset->type != a->asset->type) {
                continue;
            }
            b->count++;
            b->effect_count = effect > b->effect ? 1 : b->effect_count + (effect == b->effect);
            b->effect = effect > b->effect ? effect : b->effect;
            return i;
        }
    }
    p->boxes[p->box_count] = (struct box){.column = column,
                                          .row = p->columns[column].rows++,
                                          .asset = a,
                                          .count = 1,
                                          .role = role,
                                          .effect = effect,
                                          .effect_count = 1};
    return p->box_count++;
}

static void make_boxes(struct picture *p)
{
    const struct report *r = p->r;
    size_t total = 0;
    p->first_place = ARENA_NEW_ARRAY(&p->a, size_t, r->asset_count + 1);
    for (size_t i = 0; i < r->asset_count; i++) {
        p->first_place[i] = total;
        total += place_count(&r->assets[i]);
    }
    p->is_grouped = total > PICTURE_BOXES_MAX;
    p->boxes = ARENA_NEW_ARRAY(&p->a, struct box, total + 1);
    p->box_of_place = ARENA_NEW_ARRAY(&p->a, size_t, total + 1);
    for (size_t i = 0; i < r->asset_count; i++) {
        const struct report_asset *a = &r->assets[i];
        for (size_t k = 0; k < place_count(a); k++) {
            ptrdiff_t column = find_column(p, place_region(a, k));
            ASSERT(column >= 0); /* made for it above */
            enum place_role role = a->place_count > 0 ? a->places[k].role : PLACE_PRIMARY;
            p->box_of_place[p->first_place[i] + k] = add_box(p, (size_t)column, i, role);
        }
    }
}

/* ---- arrows ---- */

static void add_arrow(struct picture *p, size_t from, size_t to, enum arrow_kind kind)
{
    if (from == to) {
        return;
    }
    if (p->arrow_count == p->arrow_cap) {
        size_t cap = p->arrow_cap > 0 ? p->arrow_cap * 2 : 64;
        struct arrow *more = ARENA_NEW_ARRAY(&p->a, struct arrow, cap);
        if (p->arrow_count > 0) {
            memcpy(more, p->arrows, p->arrow_count * sizeof(p->arrows[0]));
        }
        p->arrows = more;
        p->arrow_cap = cap;
    }
    p->arrows[p->arrow_count++] = (struct arrow){from, to, kind};
}

/* From each place of `from` to what it depends on in the same region; when that is nowhere the same,
 * between the primaries. */
static void add_dependency(struct picture *p, size_t from, size_t to)
{
    const struct report_asset *a = &p->r->assets[from];
    const struct report_asset *b = &p->r->assets[to];
    bool is_near = false;
    for (size_t i = 0; i < place_count(a); i++) {
        for (size_t k = 0; k < place_count(b); k++) {
            if (str_eq(place_region(a, i), place_region(b, k))) {
                add_arrow(p, p->box_of_place[p->first_place[from] + i],
                          p->box_of_place[p->first_place[to] + k], ARROW_DEPENDS);
                is_near = true;
            }
        }
    }
    if (!is_near) {
        add_arrow(p, p->box_of_place[p->first_place[from]], p->box_of_place[p->first_place[to]],
                  ARROW_DEPENDS);
    }
}

static int compare_arrows(const void *x, const void *y)
{
    const struct arrow *a = x;
    const struct arrow *b = y;
    const size_t left[3] = {a->from, a->to, (size_t)a->kind};
    const size_t right[3] = {b->from, b->to, (size_t)b->kind};
    for (int i = 0; i < 3; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

static void add_references(struct picture *p, size_t i)
{
    const struct estate_asset *e = p->r->assets[i].asset;
    for (size_t k = 0; k < e->depends_on_count; k++) {
        if (e->depends_on[k].asset) {
            add_dependency(p, i, e->depends_on[k].asset->idx);
        }
    }
    for (size_t k = 0; k < e->attr_count; k++) {
        const struct estate_value *v = &e->attrs[k].value;
        enum estate_value_type type = estate_attr_row(e->attrs[k].attr)->type;
        for (size_t n = 0; (type == VT_REF || type == VT_REFS) && n < v->count; n++) {
            if (v->refs[n].asset) {
                add_dependency(p, i, v->refs[n].asset->idx);
            }
        }
    }
}

static void make_arrows(struct picture *p)
{
    const struct report *r = p->r;
    for (size_t i = 0; i < r->asset_count; i++) {
        add_references(p, i);
        const size_t *boxes = &p->box_of_place[p->first_place[i]];
        for (size_t k = 1; k < place_count(&r->assets[i]); k++) {
            add_arrow(p, boxes[0], boxes[k], ARROW_SAME);
        }
        const struct estate_asset *peer = r->assets[i].peer;
        if (peer && peer->idx > i) { /* told of once */
            add_arrow(p, boxes[0], p->box_of_place[p->first_place[peer->idx]], ARROW_SAME);
        }
    }
    if (p->arrow_count == 0) {
        return;
    }
    qsort(p->arrows, p->arrow_count, sizeof(p->arrows[0]), compare_arrows);
    size_t kept = 1;
    for (size_t i = 1; i < p->arrow_count; i++) {
        if (compare_arrows(&p->arrows[i], &p->arrows[kept - 1]) != 0) {
            p->arrows[kept++] = p->arrows[i];
        }
    }
    p->left_out = kept > PICTURE_ARROWS_MAX ? kept - PICTURE_ARROWS_MAX : 0;
    p->arrow_count = kept - p->left_out;
}

/* ---- drawing ---- */

static size_t box_height(const struct picture *p)
{
    return BOX_HEIGHT + (p->has_effects ? (size_t)BADGE_HEIGHT : 0);
}

static size_t box_x(const struct box *b)
{
    return MARGIN + b->column * (BOX_WIDTH + COLUMN_GAP);
}

static size_t box_y(const struct picture *p, const struct box *b)
{
    return HEAD + b->row * (box_height(p) + BOX_GAP);
}

static void draw_arrow(const struct picture *p, const struct arrow *w, struct buf *out)
{
    const struct box *a = &p->boxes[w->from];
    const struct box *b = &p->boxes[w->to];
    size_t ay = box_y(p, a) + box_height(p) / 2 + (w->kind == ARROW_SAME ? 6 : 0);
    size_t by = box_y(p, b) + box_height(p) / 2 + (w->kind == ARROW_SAME ? 6 : 0);
    bool is_right = b->column > a->column;
    size_t ax = box_x(a) + (is_right || a->column == b->column ? BOX_WIDTH : 0);
    size_t bx = box_x(b) + (is_right ? 0 : BOX_WIDTH);
    size_t a_bend = is_right || a->column == b->column ? ax + BEND : ax - BEND;
    size_t b_bend = is_right ? bx - BEND : bx + BEND;
    buf_printf(out, "<path class=\"%s\" d=\"M%zu %zuC%zu %zu %zu %zu %zu %zu\"%s/>\n",
               w->kind == ARROW_SAME ? "same" : "dep", ax, ay, a_bend, ay, b_bend, by, bx, by,
               w->kind == ARROW_SAME ? "" : " marker-end=\"url(#tip)\"");
}

static const char *role_word(enum place_role role)
{
    return role == PLACE_PRIMARY ? "" : role == PLACE_SECONDARY ? "replica: " : "copy: ";
}

static void draw_tooltip(const struct picture *p, const struct box *b, struct buf *out)
{
    const struct estate_asset *e = b->asset->asset;
    buf_add_cstr(out, "<title>");
    if (b->count > 1) {
        buf_printf(out, "%zu of type %s", b->count, estate_type_row(e->type)->name);
    } else {
        html_text(out, e->id);
        if (p->has_effects) {
            const struct report_outcome *o = &p->r->what_if.outcomes[e->idx];
            buf_printf(out, ": %s. ", effect_name(o->effect));
            html_text(out, o->why);
        }
    }
    buf_add_cstr(out, "</title>");
}

static void draw_box(const struct picture *p, const struct box *b, struct buf *out)
{
    const struct estate_asset *e = b->asset->asset;
    const struct estate_type_row *type = estate_type_row(e->type);
    size_t x = box_x(b), y = box_y(p, b);
    const char *class = p->has_effects ? picture_effect_class(b->effect) : "mild";
    buf_printf(out, "<g class=\"box b-%s%s\">", class,
               p->columns[b->column].is_lost ? " lost" : "");
    draw_tooltip(p, b, out);
    buf_printf(out, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%zu\" rx=\"%d\"/>", x, y,
               BOX_WIDTH, box_height(p), b->role == PLACE_PRIMARY ? 5 : 16);
    buf_printf(out, "<text class=\"t\" x=\"%zu\" y=\"%zu\">", x + 10, y + 18);
    if (b->count > 1) {
        buf_printf(out, "%zu \xc3\x97 ", b->count);
        html_text_cut(out, str_of(type->title), TITLE_WIDTH - 4);
    } else {
        html_text_cut(out, e->name.n > 0 ? e->name : e->id, TITLE_WIDTH);
    }
    buf_printf(out, "</text><text class=\"s\" x=\"%zu\" y=\"%zu\">", x + 10, y + 34);
    if (b->count == 1) {
        buf_add_cstr(out, role_word(b->role));
        html_text_cut(out, str_of(type->title), SUB_WIDTH - strlen(role_word(b->role)));
    } else {
        buf_add_cstr(out, type->name);
    }
    buf_add_cstr(out, "</text>");
    if (p->has_effects && b->effect != EFFECT_NONE) {
        buf_printf(out, "<text class=\"e\" x=\"%zu\" y=\"%zu\">%s ", x + 10, y + 53,
                   picture_effect_sign(b->effect));
        if (b->count > 1) {
            buf_printf(out, "%zu of %zu: ", b->effect_count, b->count);
        }
        buf_printf(out, "%s</text>", effect_name(b->effect));
    }
    buf_add_cstr(out, "</g>\n");
}

static void draw_column(const struct picture *p, size_t i, size_t height, struct buf *out)
{
    const struct column *c = &p->columns[i];
    size_t x = i * (BOX_WIDTH + COLUMN_GAP);
    buf_printf(out,
               "<rect class=\"%s\" x=\"%zu\" y=\"2\" width=\"%d\" height=\"%zu\" rx=\"8\"/>"
               "<text class=\"h\" x=\"%zu\" y=\"26\">",
               c->is_lost ? "region gone" : "region", x + 2, BOX_WIDTH + 2 * MARGIN - 4, height - 4,
               x + MARGIN + 2);
    if (c->region.n > 0) {
        html_text_cut(out, c->region, TITLE_WIDTH - 8);
    } else {
        buf_add_cstr(out, "in no region");
    }
    buf_add_cstr(out, c->is_lost ? " \xe2\x80\x93 lost</text>\n" : "</text>\n");
}

static const char drawing_style[] =
    "<style>.region{fill:var(--soft);stroke:var(--line)}.gone{fill:url(#hatch);stroke:var(--bad);"
    "stroke-width:2;stroke-dasharray:7 5}.box "
    "rect{fill:var(--bg);stroke:var(--dim);stroke-width:1.2}"
    ".b-bad rect{fill:var(--badbg);stroke:var(--bad);stroke-width:2.4}.b-warn "
    "rect{fill:var(--warnbg);"
    "stroke:var(--warn);stroke-width:1.8;stroke-dasharray:8 3}.b-ok rect{fill:var(--okbg);"
    "stroke:var(--ok)}.b-info rect{fill:var(--infobg);stroke:var(--info);stroke-dasharray:2 3;"
    "stroke-width:1.8}svg text.t{font-weight:600}svg text.s{font-size:11px;fill:var(--dim)}"
    "svg text.e{font-weight:600}.b-bad text.e{fill:var(--bad)}.b-warn text.e{fill:var(--warn)}"
    ".b-ok text.e{fill:var(--ok)}.b-info text.e{fill:var(--info)}"
    "svg text.h{font-size:14px;font-weight:700}.dep,.same{fill:none;stroke:var(--dim);"
    "stroke-width:1.2}.same{stroke-dasharray:3 4}</style>\n"
    "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
    "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" "
    "style=\"fill:var(--dim)\"/></marker>"
    "<pattern id=\"hatch\" width=\"10\" height=\"10\" patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><rect width=\"10\" height=\"10\" style=\"fill:var(--soft)\"/>"
    "<line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"10\" style=\"stroke:var(--bad);stroke-width:1.4;"
    "opacity:.45\"/></pattern></defs>\n";

static void draw(const struct picture *p, struct buf *out)
{
    size_t rows = 1;
    for (size_t i = 0; i < p->column_count; i++) {
        rows = p->columns[i].rows > rows ? p->columns[i].rows : rows;
    }
    size_t width =
        (size_t)2 * MARGIN + p->column_count * (BOX_WIDTH + COLUMN_GAP) - COLUMN_GAP + BEND;
    size_t height = HEAD + rows * (box_height(p) + BOX_GAP) + 4;
    buf_printf(out,
               "<div class=\"scroll\"><svg role=\"img\" aria-label=\"The estate over its regions\" "
               "width=\"%zu\" height=\"%zu\" viewBox=\"0 0 %zu %zu\">\n",
               width, height, width, height);
    buf_add_cstr(out, drawing_style);
    for (size_t i = 0; i < p->column_count; i++) {
        draw_column(p, i, height, out);
    }
    for (size_t i = 0; i < p->arrow_count; i++) {
        draw_arrow(p, &p->arrows[i], out);
    }
    for (size_t i = 0; i < p->box_count; i++) {
        draw_box(p, &p->boxes[i], out);
    }
    buf_add_cstr(out, "</svg></div>\n<p class=\"dim\">");
    buf_add_cstr(out, p->is_grouped ? "One box for each type in each region. " : "");
    buf_add_cstr(out,
                 "Arrows lead to what an asset depends on; dotted lines join replicas and peers; "
                 "round boxes are replicas and copies.");
    if (p->left_out > 0) {
        buf_printf(out, " %zu more arrows are not drawn.", p->left_out);
    }
    buf_add_cstr(out, "</p>\n");
}

void picture_write(const struct report *r, struct buf *out)
{
    if (r->asset_count == 0) {
        return;
    }
    struct picture p = {.r = r, .has_effects = r->what_if.kind != WHAT_NOTHING};
    arena_init(&p.a);
    make_columns(&p);
    make_boxes(&p);
    make_arrows(&p);
    draw(&p, out);
    arena_done(&p.a);
}
