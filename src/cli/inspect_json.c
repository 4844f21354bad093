/* See inspect_json.h. */
#include "cli/inspect_json.h"

#include <stdio.h>

#include "account/region.h"
#include "base/contract.h"

void inspect_bytes(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_plain = c >= 0x20 && c < 0x7f && c != '\\';
        buf_printf(out, is_plain ? "%c" : "\\x%02x", c);
    }
}

const char *inspect_reason(const struct entry *e)
{
    static const char *const reasons[] = {"client", "ttl", "conflict", "purge"};
    return e->reason < ARRAY_COUNT(reasons) ? reasons[e->reason] : "?";
}

const struct region_rule *inspect_rule(const struct fsm *fsm, size_t n)
{
    size_t count = 0;
    const struct region_rule *rules = region_rules(&count);
    for (size_t i = 0; i < count; i++) {
        bool is_of_partitions = str_starts(str_of(rules[i].name), STR("partition_"));
        if (is_of_partitions == (fsm == parts_fsm()) && n-- == 0) {
            return &rules[i];
        }
    }
    return NULL;
}

static void names(struct json_out *o, const char *key, const char *const *list, int n)
{
    json_out_key(o, key);
    json_out_array(o);
    for (int i = 0; i < n; i++) {
        json_out_cstr(o, list[i]);
    }
    json_out_array_end(o);
}

/* FSM_ANY and FSM_SAME as the table shows them. */
static void row(struct json_out *o, const struct fsm *fsm, const struct fsm_row *r)
{
    json_out_object(o);
    json_out_member_i64(o, "number", r->no);
    json_out_member_cstr(o, "from", fsm_state_name(fsm, r->from));
    json_out_member_cstr(o, "event", fsm_event_name(fsm, r->event));
    json_out_member_cstr(o, "guard", r->guard_name);
    json_out_member_cstr(o, "to", fsm_state_name(fsm, r->to));
    json_out_member_cstr(o, "action", r->action_name);
    json_out_member_cstr(o, "text", r->text);
    json_out_object_end(o);
}

void inspect_json_fsm(const struct fsm *fsm, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_cstr(&o, "machine", fsm->name);
    json_out_member_cstr(&o, "initial", fsm->state_names[fsm->initial]);
    names(&o, "states", fsm->state_names, fsm->state_count);
    names(&o, "events", fsm->event_names, fsm->event_count);
    json_out_key(&o, "rows");
    json_out_array(&o);
    for (int i = 0; i < fsm->row_count; i++) {
        row(&o, fsm, &fsm->rows[i]);
    }
    json_out_array_end(&o);
    json_out_key(&o, "decisions");
    json_out_array(&o);
    const struct region_rule *rule;
    for (size_t i = 0; (rule = inspect_rule(fsm, i)) != NULL; i++) {
        json_out_object(&o);
        json_out_member_u64(&o, "number", rule->no);
        json_out_member_cstr(&o, "name", rule->name);
        json_out_member_cstr(&o, "text", rule->text);
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
}

static void op_json(const struct entry_op *op, bool wants_bodies, struct json_out *o)
{
    json_out_object(o);
    json_out_member_cstr(o, "operation", op->is_delete ? "delete" : "put");
    json_out_member_cstr(o, "space", op->space == SPACE_ITEM ? "item" : "conflict");
    json_out_member_u64(o, "keyBytes", op->key.n);
    json_out_member_u64(o, "documentBytes", op->doc.text.n);
    json_out_member_u64(o, "replaces", op->old.lsn);
    if (wants_bodies) {
        struct buf key;
        buf_init(&key, op->key.n * 4 + 1);
        inspect_bytes(op->key, &key);
        json_out_member_str(o, "key", buf_str(&key));
        buf_done(&key);
        json_out_key(o, "document");
        if (op->doc.text.n > 0) {
            json_out_raw(o, op->doc.text); /* JSON text: one line */
        } else {
            json_out_null(o);
        }
    }
    json_out_object_end(o);
}

void inspect_json_entry(const struct entry *e, size_t size, bool wants_bodies, struct buf *out)
{
    struct json_out o;
    char chain[20];
    json_out_init(&o, out);
    (void)snprintf(chain, sizeof(chain), "%016llx", (unsigned long long)e->chain);
    json_out_object(&o);
    json_out_member_u64(&o, "lsn", e->lsn);
    json_out_member_u64(&o, "epoch", e->epoch);
    json_out_member_u64(&o, "generation", e->generation);
    json_out_member_u64(&o, "ord", e->ord);
    json_out_member_u64(&o, "prevEpoch", e->prev_epoch);
    json_out_member_u64(&o, "prevLsn", e->prev_lsn);
    json_out_member_cstr(&o, "chain", chain);
    json_out_member_u64(&o, "origin", e->origin);
    json_out_member_cstr(&o, "kind", e->kind == ENTRY_EPOCH ? "epoch" : "write");
    json_out_member_cstr(&o, "reason", inspect_reason(e));
    json_out_member_u64(&o, "bytes", size);
    json_out_key(&o, "operations");
    json_out_array(&o);
    for (size_t i = 0; i < e->op_count; i++) {
        op_json(&e->ops[i], wants_bodies, &o);
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
}
