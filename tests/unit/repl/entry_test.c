/* Log entries: bytes read back as what was written, damage of any single byte is noticed, and the
 * chain tells two histories apart. */
#include "repl/entry.h"

#include "base/contract.h"
#include "base/rng.h"
#include "lib/t.h"

static struct arena arena;

static struct str uniques[2] = {{"/email\0a@b", 10}, {"/n\0001", 4}};
static struct str old_uniques[1] = {{"/email\0old", 10}};

static void sample(struct entry *e, struct entry_op ops[3])
{
    ops[0] = (struct entry_op){
        .space = SPACE_ITEM,
        .key = STR("pk\0item-1"),
        .doc = {.version = {.expire_at = 1700000099, .unique_count = 2, .uniques = uniques},
                .rid = 77,
                .text = STR("{\"id\":\"item-1\",\"n\":1}")},
        .old = {.lsn = 41,
                .op_idx = 3,
                .expire_at = 5,
                .unique_count = 1,
                .uniques = old_uniques,
                .doc_size = 21},
    };
    ops[1] = (struct entry_op){.is_delete = true,
                               .space = SPACE_ITEM,
                               .key = STR("pk\0item-2"),
                               .old = {.lsn = 40, .doc_size = 9}};
    ops[2] = (struct entry_op){
        .space = SPACE_CONFLICT, .key = STR("c"), .doc = {.rid = 1, .text = STR("{}")}};
    *e = (struct entry){
        .kind = ENTRY_WRITE,
        .reason = REASON_CLIENT,
        .epoch = 3,
        .generation = 9,
        .lsn = 2000005,
        .ord = 88,
        .prev_epoch = 2,
        .prev_lsn = 1000123,
        .hlc = UINT64_C(1700000000123) << 16 | 7,
        .ts = 1700000000,
        .origin = 2,
        .vector_count = 1,
        .op_count = 3,
        .ops = ops,
    };
    e->vector[0].region = 2;
    e->vector[0].count = 19;
}

static struct str encode(struct entry *e, uint64_t prev_chain)
{
    struct buf b;
    buf_init(&b, ENGINE_ENTRY_SIZE_MAX);
    entry_encode(e, prev_chain, &b);
    struct str s = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return s;
}

T_TEST("an entry reads back as it was written")
{
    struct entry e, back;
    struct entry_op ops[3];
    sample(&e, ops);
    struct str bytes = encode(&e, 1234);
    struct errinfo ei = {0};
    t_ok_info(entry_decode(&arena, bytes, &back, &ei), &ei);
    t_eq_u64(back.lsn, 2000005);
    t_eq_u64(back.prev_lsn, 1000123);
    t_eq_u64(back.ord, 88);
    t_eq_u64(back.generation, 9);
    t_eq_u64(back.hlc, e.hlc);
    t_eq_u64(back.chain, e.chain);
    t_eq_u64(back.vector[0].count, 19);
    t_eq_u64(back.op_count, 3);
    t_eq_str(back.ops[0].key, ops[0].key);
    t_eq_str(back.ops[0].doc.text, ops[0].doc.text);
    t_eq_str(back.ops[0].doc.version.uniques[1], uniques[1]);
    t_eq_u64(back.ops[0].doc.version.lsn, 2000005);
    t_eq_u64(back.ops[0].doc.version.doc_size, ops[0].doc.text.n);
    t_eq_u64(back.ops[0].doc.ts, 1700000000);
    t_eq_u64(back.ops[0].doc.epoch, 3);
    t_eq_u64(back.ops[0].old.lsn, 41);
    t_eq_u64(back.ops[0].old.op_idx, 3);
    t_eq_str(back.ops[0].old.uniques[0], old_uniques[0]);
    t_check(back.ops[1].is_delete);
    t_eq_u64(back.ops[1].old.doc_size, 9);
    t_eq_u64(back.ops[2].doc.version.op_idx, 2);
    t_eq_u64(back.ops[2].old.lsn, 0);
    t_golden("entry-v1.bin", bytes);
}

T_TEST("the header alone can be read")
{
    struct entry e, head;
    struct entry_op ops[3];
    size_t total = 0;
    sample(&e, ops);
    struct str bytes = encode(&e, 0);
    t_ok(entry_peek(str_make(bytes.p, ENTRY_HEADER_SIZE), &head, &total, NULL));
    t_eq_u64(total, bytes.n);
    t_eq_u64(head.lsn, e.lsn);
    t_eq_u64(head.chain, e.chain);
    t_err(entry_peek(str_make(bytes.p, ENTRY_HEADER_SIZE - 1), &head, &total, NULL), ERR_CORRUPT);
}

T_TEST("a change of any byte is noticed")
{
    struct entry e, back;
    struct entry_op ops[3];
    sample(&e, ops);
    struct str bytes = encode(&e, 7);
    char *copy = arena_cstr(&arena, bytes);
    for (size_t i = 0; i < bytes.n; i++) {
        copy[i] = (char)(copy[i] ^ 0x20);
        t_checkf(entry_decode(&arena, str_make(copy, bytes.n), &back, NULL) != OK, "byte %zu", i);
        copy[i] = (char)(copy[i] ^ 0x20);
    }
    for (size_t n = 0; n < bytes.n; n++) {
        t_checkf(entry_decode(&arena, str_make(bytes.p, n), &back, NULL) != OK, "length %zu", n);
    }
    t_ok(entry_decode(&arena, str_make(copy, bytes.n), &back, NULL));
}

T_TEST("the chain depends on every entry before")
{
    struct entry e, other;
    struct entry_op ops[3], other_ops[3];
    sample(&e, ops);
    sample(&other, other_ops);
    struct str one = encode(&e, 5);
    (void)encode(&other, 6);
    t_check(e.chain != other.chain);
    t_eq_u64(entry_chain(one, 5), e.chain);
    t_check(entry_chain(one, 6) != e.chain);
    sample(&other, other_ops);
    other_ops[0].doc.text = STR("{\"id\":\"item-1\",\"n\":2}");
    (void)encode(&other, 5);
    t_check(e.chain != other.chain);
}

T_TEST("a newer version is told apart from damage")
{
    struct entry e, back;
    struct entry_op ops[3];
    sample(&e, ops);
    struct str bytes = encode(&e, 0);
    char *copy = arena_cstr(&arena, bytes);
    copy[4] = ENTRY_VERSION + 1;
    t_err(entry_decode(&arena, str_make(copy, bytes.n), &back, NULL), ERR_FORMAT_NEWER);
}

T_TEST("an epoch's first entry has no operations and may be the first of all")
{
    struct entry e = {.kind = ENTRY_EPOCH, .epoch = 1, .generation = 2, .lsn = 1, .ord = 1};
    struct entry back;
    struct str bytes = encode(&e, 0);
    t_eq_u64(bytes.n, ENTRY_HEADER_SIZE);
    t_ok(entry_decode(&arena, bytes, &back, NULL));
    t_eq_int(back.kind, ENTRY_EPOCH);
    t_eq_u64(back.prev_lsn, 0);
}

/* Every limit at its edge: key, unique keys, text, number of operations. */
T_TEST("the largest operations fit and round-trip")
{
    size_t text_n = ENGINE_DOC_SIZE_MAX;
    char *text = (char *)arena_zalloc(&arena, text_n);
    memset(text, 'x', text_n);
    char *key = (char *)arena_zalloc(&arena, ENGINE_KEY_SIZE_MAX);
    memset(key, 'k', ENGINE_KEY_SIZE_MAX);
    struct str many[ENGINE_UNIQUE_MAX];
    for (size_t i = 0; i < ENGINE_UNIQUE_MAX; i++) {
        many[i] = str_make(key, ENGINE_KEY_SIZE_MAX - i);
    }
    struct entry_op op = {
        .space = SPACE_ITEM,
        .key = str_make(key, ENGINE_KEY_SIZE_MAX),
        .doc = {.version = {.unique_count = ENGINE_UNIQUE_MAX, .uniques = many},
                .text = str_make(text, text_n)},
    };
    struct entry e = {
        .kind = ENTRY_WRITE, .epoch = 1, .lsn = LSN_MAX, .ord = 1, .op_count = 1, .ops = &op};
    struct entry back;
    t_ok(entry_decode(&arena, encode(&e, 0), &back, NULL));
    t_eq_u64(back.ops[0].doc.text.n, text_n);
    t_eq_u64(back.ops[0].doc.version.unique_count, ENGINE_UNIQUE_MAX);
    struct entry_op *ops = ARENA_NEW_ARRAY(&arena, struct entry_op, ENTRY_OPS_MAX);
    for (size_t i = 0; i < ENTRY_OPS_MAX; i++) {
        ops[i] = (struct entry_op){.is_delete = true, .key = STR("k")};
    }
    e.ops = ops;
    e.op_count = ENTRY_OPS_MAX;
    t_ok(entry_decode(&arena, encode(&e, 0), &back, NULL));
    t_eq_u64(back.op_count, ENTRY_OPS_MAX);
}

T_MAIN()
