#include "cosmos/epk.h"

#include "base/codec.h"
#include "base/contract.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "lib/t.h"

/* Vectors were computed with the hash of the official JavaScript client. */

enum { KEY_SIZE_MAX = 8192 };

static struct arena arena;

static void hex_of(const struct pk *k, struct buf *out)
{
    struct buf raw;
    buf_init(&raw, EPK_SIZE_MAX);
    epk_of(k, &raw);
    t_check(buf_ok(&raw));
    codec_hex(out, buf_str(&raw), /* upper= */ true);
    buf_done(&raw);
}

static void check_vector(const char *header, const char *want)
{
    struct pk k;
    struct buf hex;
    struct errinfo ei = {0};
    t_ok_info(pk_parse(&arena, str_of(header), &k, &ei), &ei);
    buf_init(&hex, (size_t)2 * EPK_SIZE_MAX);
    hex_of(&k, &hex);
    t_eq_str(buf_str(&hex), str_of(want));
    buf_done(&hex);
}

T_TEST("hashes are those of the clients")
{
    static const struct {
        const char *header;
        const char *epk;
    } vectors[] = {
        {"[\"\"]", "32E9366E637A71B4E710384B2F4970A0"},
        {"[\"asdf\"]", "208BF1D598F5B63AD5520F04FE58C5E8"},
        {"[\"redmond\"]", "22E342F38A486A088463DFF7838A5963"},
        {"[\"\\u00e4\\u00f6\\u20ac\"]", "3BE446D9925F68C2D0E51B84717C65B6"},
        {"[0]", "155B95BEDAC4B1E9EC1CDC9BB0DDDE58"},
        {"[-0]", "3D018BB1DF3DB27235766E81FD10406E"},
        {"[1]", "20CD98B339BA78A5D0CF6953B87070B0"},
        {"[-1]", "19938E7A936C1C5B9E3AE842BBC16839"},
        {"[5.5]", "0E2EE47829D1AF775EEFB6540FD1D0ED"},
        {"[1e300]", "1234CB21048B20039B22F11DBB13CD7B"},
        {"[true]", "0E711127C5B5A8E4726AC6DD306A3E59"},
        {"[false]", "2FE1BE91E90A3439635E0E9E37361EF2"},
        {"[null]", "378867E4430E67857ACE5C908374FE16"},
        {"[{}]", "11622DAA78F835834610ABE56EFF5CB5"},
        {"[]", "11622DAA78F835834610ABE56EFF5CB5"},
    };
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        check_vector(vectors[i].header, vectors[i].epk);
    }
    arena_done(&arena);
}

T_TEST("long strings hash whole, not their first hundred characters")
{
    struct buf header;
    arena_init(&arena);
    buf_init(&header, 256);
    buf_add_cstr(&header, "[\"");
    for (int i = 0; i < 100; i++) {
        buf_add_char(&header, 'a');
    }
    struct str hundred = arena_printf(&arena, STR_FMT "\"]", STR_ARG(buf_str(&header)));
    check_vector(arena_cstr(&arena, hundred), "0DBD7D229437BB665DE6417747994D57");
    buf_add_cstr(&header, "a\"]");
    check_vector(arena_cstr(&arena, buf_str(&header)), "08042541D30C8BF90D7092B1519AE0BC");
    buf_done(&header);
    arena_done(&arena);
}

T_TEST("a hierarchical key is the hashes of its components")
{
    arena_init(&arena);
    check_vector("[\"tenant1\",\"user1\"]",
                 "0DAE0B8467B011E957BC0B8B0DEB5ACA236A5BE3329A7AD57D4B998E8602BD7B");
    check_vector("[\"tenant1\"]", "0DAE0B8467B011E957BC0B8B0DEB5ACA");
    arena_done(&arena);
}

T_TEST("headers that are no partition key are refused")
{
    static const char *const bad[] = {"",      "x",           "{}", "\"a\"",    "[1,2,3,4]",
                                      "[[1]]", "[{\"a\":1}]", "[1", "[\"a\"] x"};
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct pk k;
        struct errinfo ei = {0};
        t_err(pk_parse(&arena, str_of(bad[i]), &k, &ei), ERR_INVALID);
        t_check(ei.message[0] != '\0');
    }
    arena_done(&arena);
}

T_TEST("a component may have 2048 bytes and not one more")
{
    struct buf header;
    struct pk k;
    arena_init(&arena);
    buf_init(&header, 4096);
    buf_add_cstr(&header, "[\"");
    for (int i = 0; i < PK_VALUE_SIZE_MAX; i++) {
        buf_add_char(&header, 'x');
    }
    struct str fits = arena_printf(&arena, STR_FMT "\"]", STR_ARG(buf_str(&header)));
    t_ok(pk_parse(&arena, fits, &k, NULL));
    struct str over = arena_printf(&arena, STR_FMT "x\"]", STR_ARG(buf_str(&header)));
    t_err(pk_parse(&arena, over, &k, NULL), ERR_INVALID);
    buf_done(&header);
    arena_done(&arena);
}

static struct pk key_of(const char *header)
{
    struct pk k;
    t_ok(pk_parse(&arena, str_of(header), &k, NULL));
    return k;
}

static enum err parse_long(size_t n, char c, size_t count)
{
    struct buf b;
    struct pk k;
    buf_init(&b, 64 << 10);
    for (size_t i = 0; i < count; i++) {
        buf_add_cstr(&b, i == 0 ? "[\"" : ",\"");
        for (size_t at = 0; at < n; at++) {
            if (c == '\0') {
                buf_add_cstr(&b, "\\u0000");
            } else {
                buf_add_char(&b, c);
            }
        }
        buf_add_char(&b, '"');
    }
    buf_add_char(&b, ']');
    enum err err = pk_parse(&arena, buf_str(&b), &k, NULL);
    if (err == OK) { /* then every id fits behind it */
        char id[ITEM_ID_SIZE_MAX];
        struct buf key;
        memset(id, 'i', sizeof(id));
        buf_init(&key, ENGINE_KEY_SIZE_MAX);
        key_item(&k, count, str_make(id, sizeof(id)), &key);
        t_check(buf_ok(&key));
        t_check(key.n < ENGINE_KEY_SIZE_MAX);
        buf_done(&key);
    }
    buf_done(&b);
    return err;
}

T_TEST("whatever is accepted as a partition key makes an engine key that is not too long")
{
    arena_init(&arena);
    t_ok(parse_long(2048, 'x', 1));
    t_ok(parse_long((PK_KEY_SIZE_MAX - 16 - 3) / 2, '\0', 1)); /* a NUL takes two bytes */
    t_err(parse_long((PK_KEY_SIZE_MAX - 16 - 3) / 2 + 1, '\0', 1), ERR_INVALID);
    t_ok(parse_long(PK_KEY_SIZE_MAX / 2 - 16 - 3, 'x', 2));
    t_err(parse_long(PK_KEY_SIZE_MAX / 2 - 16 - 2, 'x', 2), ERR_INVALID);
    t_ok(parse_long(PK_KEY_SIZE_MAX / 3 - 16 - 3, 'x', 3));
    t_err(parse_long(PK_KEY_SIZE_MAX / 3 - 16 - 2, 'x', 3), ERR_INVALID);
    arena_done(&arena);
}

T_TEST("keys are equal by type and value, and are written as clients write them")
{
    arena_init(&arena);
    struct pk one = key_of("[1]");
    struct pk one_more = key_of("[1.0]");
    struct pk text = key_of("[\"1\"]");
    struct pk none = key_of("[{}]");
    struct pk null = key_of("[null]");
    t_check(pk_eq(&one, &one_more));
    t_check(!pk_eq(&one, &text));
    t_check(!pk_eq(&none, &null));
    struct pk mixed = key_of("[\"a\\\"b\",null,{}]");
    struct buf out;
    buf_init(&out, 256);
    pk_json(&mixed, &out);
    t_eq_lit(buf_str(&out), "[\"a\\\"b\",null,{}]");
    buf_done(&out);
    arena_done(&arena);
}

T_TEST("keys are taken from documents along the container's paths")
{
    arena_init(&arena);
    const struct json *doc = NULL;
    struct json_path paths[2];
    struct pk k;
    t_ok(json_parse(&arena, STR("{\"a\":{\"b c\":true},\"n\":7,\"o\":[1]}"), NULL, &doc, NULL));
    t_ok(json_path_parse(&arena, STR("/a/\"b c\""), &paths[0], NULL));
    t_ok(json_path_parse(&arena, STR("/missing"), &paths[1], NULL));
    t_ok(pk_extract(doc, paths, 2, &k, NULL));
    struct pk want = key_of("[true,{}]");
    t_check(pk_eq(&k, &want));
    t_ok(json_path_parse(&arena, STR("/o"), &paths[0], NULL));
    t_err(pk_extract(doc, paths, 1, &k, NULL), ERR_INVALID);
    arena_done(&arena);
}

T_TEST("a limit of the key space is hex")
{
    struct buf out;
    buf_init(&out, 128);
    t_ok(epk_parse(STR("05C1FF"), &out, NULL));
    t_eq_lit(buf_str(&out), "\x05\xc1\xff");
    buf_clear(&out);
    t_ok(epk_parse(STR(""), &out, NULL));
    t_eq_u64(out.n, 0);
    t_err(epk_parse(STR("0"), &out, NULL), ERR_INVALID);
    buf_clear(&out);
    t_err(epk_parse(STR("zz"), &out, NULL), ERR_INVALID);
    buf_done(&out);
}

/* Splitting a key gives back what it was made of, also with NUL bytes in text. */
T_TEST("an engine key can be taken apart")
{
    static const char *const keys[] = {"[\"a\\u0000b\",-5.25,null]", "[{},true,false]",
                                       "[\"\",0,\"\\u0000\"]"};
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct pk k = key_of(keys[i]);
        struct buf key;
        struct pk got;
        struct str id;
        buf_init(&key, KEY_SIZE_MAX);
        key_item(&k, 3, STR("an id\n"), &key);
        t_check(key_split(buf_str(&key), 3, &got, &id, &arena));
        t_check(pk_eq(&k, &got));
        t_eq_lit(id, "an id\n");
        buf_done(&key);
    }
    arena_done(&arena);
}

T_TEST("keys of one logical partition lie between its prefix and what comes after")
{
    arena_init(&arena);
    struct pk a = key_of("[\"a\"]");
    struct buf prefix;
    struct buf after;
    struct buf key;
    buf_init(&prefix, KEY_SIZE_MAX);
    buf_init(&after, KEY_SIZE_MAX);
    buf_init(&key, KEY_SIZE_MAX);
    key_prefix(&a, 1, &prefix);
    key_after(buf_str(&prefix), &after);
    static const char *const ids[] = {"", "\x01", "zzz", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        buf_clear(&key);
        key_item(&a, 1, str_of(ids[i]), &key);
        t_check(str_cmp(buf_str(&key), buf_str(&prefix)) >= 0);
        t_check(str_cmp(buf_str(&key), buf_str(&after)) < 0);
    }
    struct pk ab = key_of("[\"ab\"]");
    buf_clear(&key);
    key_item(&ab, 1, STR(""), &key);
    t_check(!str_starts(buf_str(&key), buf_str(&prefix)));
    buf_done(&prefix);
    buf_done(&after);
    buf_done(&key);
    arena_done(&arena);
}

T_TEST("a prefix of a hierarchical key covers all keys below it")
{
    arena_init(&arena);
    struct pk tenant = key_of("[\"t\"]");
    struct pk full = key_of("[\"t\",\"u\",1]");
    struct buf prefix;
    struct buf key;
    buf_init(&prefix, KEY_SIZE_MAX);
    buf_init(&key, KEY_SIZE_MAX);
    key_prefix(&tenant, 3, &prefix);
    key_item(&full, 3, STR("i"), &key);
    t_check(str_starts(buf_str(&key), buf_str(&prefix)));
    buf_done(&prefix);
    buf_done(&key);
    arena_done(&arena);
}

/* Random keys in all three shapes: the order of keys is the order of their EPKs, keys of one logical
 * partition are next to each other, and every key splits into what it was made of. */
struct made_key {
    struct pk pk;
    struct buf epk, key;
};

static void random_key(struct rng *rng, size_t count, struct made_key *ret)
{
    static const char *const texts[] = {"", "a", "ab", "b", "\0", "a\0", "\xff"};
    static const size_t sizes[] = {0, 1, 2, 1, 1, 2, 1};
    ret->pk = (struct pk){.count = count};
    for (size_t i = 0; i < count; i++) {
        size_t pick = (size_t)(rng_u64(rng) % 7);
        double numbers[] = {0, -0.0, 1, -1, 1e300, -1e300, 0.5};
        ret->pk.values[i].type = (enum pk_type)(rng_u64(rng) % 6);
        if (ret->pk.values[i].type == PK_STRING) {
            ret->pk.values[i].text = str_make(texts[pick], sizes[pick]);
        } else if (ret->pk.values[i].type == PK_NUMBER) {
            ret->pk.values[i].number = numbers[pick];
        }
    }
    char id[2] = {(char)('a' + rng_u64(rng) % 3), '\0'};
    buf_init(&ret->epk, EPK_SIZE_MAX);
    buf_init(&ret->key, KEY_SIZE_MAX);
    epk_of(&ret->pk, &ret->epk);
    key_item(&ret->pk, count, str_make(id, rng_u64(rng) % 3), &ret->key);
}

T_TEST("engine keys are in the order of their EPKs, whole partitions together")
{
    enum { ROUNDS = 20000 };
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int round = 0; round < ROUNDS; round++) {
        size_t count = 1 + (size_t)(rng_u64(&rng) % PK_PATHS_MAX);
        struct made_key x;
        struct made_key y;
        struct made_key z;
        struct pk got;
        struct str id;
        arena_init(&arena);
        random_key(&rng, count, &x);
        random_key(&rng, count, &y);
        random_key(&rng, count, &z);
        int by_epk = str_cmp(buf_str(&x.epk), buf_str(&y.epk));
        int by_key = str_cmp(buf_str(&x.key), buf_str(&y.key));
        t_checkf(IMPLIES(by_epk != 0, (by_epk < 0) == (by_key < 0)), "round %d", round);
        t_check(key_split(buf_str(&x.key), count, &got, &id, &arena));
        t_check(pk_eq(&got, &x.pk));
        /* z between two keys of one partition is of that partition. */
        bool is_between = str_cmp(buf_str(&x.key), buf_str(&z.key)) <= 0 &&
                          str_cmp(buf_str(&z.key), buf_str(&y.key)) <= 0;
        t_checkf(IMPLIES(is_between && pk_eq(&x.pk, &y.pk), pk_eq(&z.pk, &x.pk)), "round %d",
                 round);
        struct made_key *all[] = {&x, &y, &z};
        for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
            buf_done(&all[i]->epk);
            buf_done(&all[i]->key);
        }
        arena_done(&arena);
    }
}

T_TEST("after the last key there is none")
{
    struct buf out;
    buf_init(&out, 16);
    key_after(STR("\xff\xff"), &out);
    t_eq_u64(out.n, 0);
    key_after(STR("a\xff"), &out);
    t_eq_lit(buf_str(&out), "b");
    buf_done(&out);
}

T_TEST("bytes that are no engine key are refused")
{
    arena_init(&arena);
    struct pk k;
    struct str id;
    t_check(!key_split(STR(""), 1, &k, &id, &arena));
    t_check(!key_split(STR("0123456789abcdef"), 1, &k, &id, &arena));
    t_check(!key_split(STR("0123456789abcdef\x08unterminated"), 1, &k, &id, &arena));
    t_check(!key_split(STR("0123456789abcdef\x05\x01"), 1, &k, &id, &arena));
    t_check(!key_split(STR("0123456789abcdef\x07"), 1, &k, &id, &arena));
    arena_done(&arena);
}

T_MAIN()
