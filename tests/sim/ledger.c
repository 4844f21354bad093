/* The ledger of operations and the names and texts they use in the store. */
#include "sim/ledger.h"

#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"

static const char *const kind_names[] = {
    [OP_READ] = "read",     [OP_SCAN] = "scan",           [OP_UPSERT] = "upsert",
    [OP_CREATE] = "create", [OP_REPLACE] = "replace",     [OP_DELETE] = "delete",
    [OP_BATCH] = "batch",   [OP_CONTAINER] = "container", [OP_REMOVE] = "remove",
};
static const char *const outcome_names[] = {
    [OUT_PENDING] = "pending", [OUT_OK] = "ok",           [OUT_REJECTED] = "rejected",
    [OUT_REFUSED] = "refused", [OUT_UNKNOWN] = "unknown",
};

const char *op_kind_name(enum op_kind k)
{
    return kind_names[k];
}

const char *outcome_name(enum outcome o)
{
    return outcome_names[o];
}

struct ledger *ledger_new(void)
{
    return MEM_NEW(struct ledger);
}

void ledger_free(struct ledger *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        mem_free(l->ops[i]);
    }
    mem_free(l->ops);
    mem_free(l);
}

struct op *ledger_add(struct world *w, unsigned client, enum op_kind kind, pid p)
{
    struct ledger *l = w->ledger;
    if (l->count == l->cap) {
        l->cap = l->cap > 0 ? l->cap * 2 : 256;
        l->ops = mem_realloc(l->ops, l->cap * sizeof(struct op *));
    }
    struct op *op = MEM_NEW(struct op);
    l->ops[l->count++] = op;
    op->id = l->count;
    op->client = client;
    op->kind = kind;
    op->pid = p;
    op->level = w->cfg.level;
    op->sent_at = w->now;
    list_init(&op->node_link);
    return op;
}

struct op *ledger_get(const struct ledger *l, uint64_t id)
{
    return id >= 1 && id <= l->count ? l->ops[id - 1] : NULL;
}

unsigned key_lp(uint16_t key)
{
    ASSERT(key < SIM_KEYS);
    return key / SIM_KEYS_PER_LP;
}

size_t key_format(char out[OP_KEY_SIZE], uint16_t key)
{
    ASSERT(key < SIM_KEYS);
    out[0] = "abt"[key / SIM_KEYS_PER_LP];
    out[1] = '/';
    out[2] = (char)('0' + key % SIM_KEYS_PER_LP);
    out[3] = 0;
    return 3;
}

bool key_parse(struct str key, uint16_t *ret)
{
    if (key.n != 3 || key.p[1] != '/' || (key.p[0] != 'a' && key.p[0] != 'b' && key.p[0] != 't')) {
        return false;
    }
    unsigned lp = key.p[0] == 'a' ? 0 : key.p[0] == 'b' ? 1 : 2;
    unsigned k = lp * SIM_KEYS_PER_LP + (unsigned)(key.p[2] - '0');
    if (k >= SIM_KEYS) {
        return false;
    }
    *ret = (uint16_t)k;
    return true;
}

size_t text_format(char out[OP_TEXT_SIZE], uint64_t op_id, unsigned client)
{
    int n = snprintf(out, OP_TEXT_SIZE, "{\"o\":%llu,\"w\":%u}", (unsigned long long)op_id, client);
    ASSERT(n > 0 && n < OP_TEXT_SIZE);
    return (size_t)n;
}

bool text_parse(struct str text, uint64_t *ret_op_id)
{
    if (!str_starts(text, STR("{\"o\":"))) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 5; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
        v = v * 10 + (uint64_t)(text.p[i] - '0');
    }
    *ret_op_id = v;
    return v != 0;
}
