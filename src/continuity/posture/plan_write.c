/* A plan as a Markdown checklist and as JSON. */
#include "base/contract.h"
#include "continuity/posture/plan.h"
#include "json/json.h"

static struct str figure_str(const struct figure *f, struct buf *tmp)
{
    buf_clear(tmp);
    figure_write(tmp, f);
    return buf_str(tmp);
}

/* ---- Markdown ---- */

/* What Markdown would take for markup is escaped; a table's cell never ends early. */
static void add_md(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '|' || c == '*' || c == '_' || c == '<' || c == '[' || c == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, c);
    }
}

static void write_useless(const struct plan *p, struct buf *out)
{
    struct buf tmp;
    buf_init(&tmp, 256);
    for (size_t i = 0; i < p->asset_count; i++) {
        const struct plan_asset *pa = &p->assets[i];
        if (!pa->is_useless) {
            continue;
        }
        bool is_assumed = estate_attr(pa->asset->asset, ATTR_OUTAGES_PER_YEAR)->conf == EV_UNKNOWN;
        buf_add_cstr(out, "\n**The failover of ");
        add_md(out, pa->asset->asset->id);
        buf_printf(out,
                   " is useless: it takes " STR_FMT
                   ", and the mean outage that it answers lasts %.4g minutes%s.**\n",
                   STR_ARG(figure_str(&pa->rto, &tmp)), pa->outage_min,
                   is_assumed ? " (2 outages a year assumed)" : "");
    }
    buf_done(&tmp);
}

static void write_table(const struct plan *p, struct buf *out)
{
    struct buf tmp;
    buf_init(&tmp, 256);
    buf_add_cstr(
        out, "\n## What must exist\n\n"
             "| asset | type | topology | in the target region | replicated by | RTO est. | RPO "
             "est. | copies |\n|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < p->asset_count; i++) {
        const struct plan_asset *pa = &p->assets[i];
        const struct estate_asset *a = pa->asset->asset;
        buf_add_cstr(out, "| ");
        add_md(out, a->id);
        buf_add_cstr(out, " | ");
        add_md(out, str_of(estate_type_row(a->type)->name));
        buf_printf(out, " | %s%s | ", estate_topology_name(pa->topology),
                   pa->topology_is_stated ? "" : " (proposed)");
        add_md(out, pa->placement);
        buf_add_cstr(out, " | ");
        add_md(out, pa->replicates);
        buf_printf(out, " | " STR_FMT, STR_ARG(figure_str(&pa->rto, &tmp)));
        buf_printf(out, " | " STR_FMT, STR_ARG(figure_str(&pa->rpo, &tmp)));
        if (pa->asset->is_stateful) {
            buf_printf(out, " | %.4g to %.4g |\n", pa->copies_from, pa->copies_to);
        } else {
            buf_add_cstr(out, " | - |\n");
        }
    }
    buf_printf(out, "\nCopies of data: %.4g today, %.4g with the plan carried out.\n",
               p->copies_from, p->copies_to);
    for (size_t i = 0; i < p->asset_count; i++) {
        if (p->assets[i].copies_to > p->assets[i].copies_from) {
            buf_add_cstr(out, "- ");
            add_md(out, p->assets[i].asset->asset->id);
            buf_add_cstr(out, ": ");
            add_md(out, p->assets[i].cost);
            buf_add_cstr(out, "\n");
        }
    }
    buf_done(&tmp);
}

static void write_steps(const struct plan *p, struct buf *out)
{
    static const char *const titles[] = {[PLAN_PREPARE] = "Prepare, once",
                                         [PLAN_BEFORE] = "Before a failover",
                                         [PLAN_DURING] = "During a failover, in this order",
                                         [PLAN_AFTER] = "After a failover"};
    for (unsigned phase = 0; phase < PLAN_PHASE_COUNT; phase++) {
        unsigned n = 0;
        for (size_t i = 0; i < p->step_count; i++) {
            const struct plan_step *s = &p->steps[i];
            if (s->phase != phase) {
                continue;
            }
            if (n++ == 0) {
                buf_printf(out, "\n## %s\n\n", titles[phase]);
            }
            buf_printf(out, "- [ ] %u. ", n);
            if (s->asset) {
                buf_add_cstr(out, "**");
                add_md(out, s->asset->id);
                buf_add_cstr(out, "**: ");
            }
            add_md(out, s->text);
            buf_add_cstr(out, s->is_manual ? " (by hand: " : " (by itself; watched by: ");
            add_md(out, s->who);
            buf_add_cstr(out, ")\n");
        }
    }
}

void plan_write_markdown(const struct plan *p, struct buf *out)
{
    buf_add_cstr(out, "# From ");
    add_md(out, p->from);
    buf_add_cstr(out, " to ");
    add_md(out, p->to);
    buf_add_cstr(out, "\n\n");
    add_md(out,
           p->report->estate->title.n > 0 ? p->report->estate->title : p->report->estate->source);
    buf_add_cstr(out, ": ");
    add_md(out, p->pair_note);
    buf_add_cstr(out, ".\n");
    if (p->asset_count == 0) {
        buf_add_cstr(out, "\nNothing of the estate is in the region that is left.\n");
        return;
    }
    write_useless(p, out);
    write_table(p, out);
    write_steps(p, out);
    buf_add_cstr(out, "\n## Still lost if\n\n");
    for (size_t i = 0; i < p->asset_count; i++) {
        buf_add_cstr(out, "- **");
        add_md(out, p->assets[i].asset->asset->id);
        buf_add_cstr(out, "**: ");
        add_md(out, p->assets[i].residual);
        buf_add_char(out, '\n');
    }
}

/* ---- JSON ---- */

static void figure_member(struct json_out *o, const char *key, const struct figure *f)
{
    struct buf tmp;
    buf_init(&tmp, 256);
    json_out_key(o, key);
    json_out_object(o);
    json_out_member_str(o, "text", figure_str(f, &tmp));
    if (f->kind == FIGURE_VALUE || f->kind == FIGURE_AT_LEAST) {
        json_out_member_i64(o, "ms", f->ms);
    }
    json_out_member_str(o, "how", f->how);
    json_out_object_end(o);
    buf_done(&tmp);
}

static void asset_json(struct json_out *o, const struct plan_asset *pa)
{
    json_out_object(o);
    json_out_member_str(o, "asset", pa->asset->asset->id);
    json_out_member_str(o, "type", str_of(estate_type_row(pa->asset->asset->type)->name));
    json_out_member_str(o, "topology", str_of(estate_topology_name(pa->topology)));
    json_out_member_bool(o, "topology_stated", pa->topology_is_stated);
    json_out_member_str(o, "placement", pa->placement);
    json_out_member_str(o, "replicated_by", pa->replicates);
    json_out_member_str(o, "still_lost_if", pa->residual);
    json_out_key(o, "copies_today");
    json_out_double(o, pa->copies_from);
    json_out_key(o, "copies_planned");
    json_out_double(o, pa->copies_to);
    json_out_member_str(o, "cost", pa->cost);
    figure_member(o, "rto", &pa->rto);
    figure_member(o, "rpo", &pa->rpo);
    json_out_member_bool(o, "useless", pa->is_useless);
    if (pa->outage_min > 0) {
        json_out_key(o, "mean_outage_min");
        json_out_double(o, pa->outage_min);
    }
    json_out_object_end(o);
}

void plan_write_json(const struct plan *p, struct buf *out)
{
    struct json_out w;
    struct json_out *o = &w;
    json_out_init(o, out);
    json_out_object(o);
    json_out_member_str(o, "format", STR("holdfast-assess-plan"));
    json_out_member_u64(o, "version", PLAN_VERSION);
    json_out_member_str(o, "from", p->from);
    json_out_member_str(o, "to", p->to);
    json_out_member_str(o, "pair", p->pair_note);
    json_out_key(o, "assets");
    json_out_array(o);
    for (size_t i = 0; i < p->asset_count; i++) {
        asset_json(o, &p->assets[i]);
    }
    json_out_array_end(o);
    json_out_key(o, "steps");
    json_out_array(o);
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step *s = &p->steps[i];
        json_out_object(o);
        json_out_member_str(o, "phase", str_of(plan_phase_name(s->phase)));
        json_out_key(o, "asset");
        if (s->asset) {
            json_out_str(o, s->asset->id);
        } else {
            json_out_null(o);
        }
        json_out_member_str(o, "text", s->text);
        json_out_member_str(o, "who", s->who);
        json_out_member_bool(o, "by_hand", s->is_manual);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    json_out_key(o, "copies_today");
    json_out_double(o, p->copies_from);
    json_out_key(o, "copies_planned");
    json_out_double(o, p->copies_to);
    json_out_object_end(o);
    buf_add_char(out, '\n');
}
