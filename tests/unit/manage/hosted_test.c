/* What the coordinator keeps of a hosted account. */
#include "manage/hosted.h"

#include <stdio.h>
#include <string.h>

#include "coord/coord.h"
#include "lib/t.h"

static const struct hosted shop = {
    .account = "shop",
    .region_count = 2,
    .regions = {"eastus", "west-2"},
    .level = CONSISTENCY_BOUNDED_STALENESS,
    .max_staleness_ops = 100000,
    .max_staleness_s = 300,
    .auto_failover = true,
    .port = 9000,
    .created_wall_ms = 1795877477123,
};

static const char text[] =
    "{\"format\":1,\"account\":\"shop\",\"regions\":[\"eastus\",\"west-2\"],"
    "\"level\":\"BoundedStaleness\",\"maxStalenessOperations\":100000,\"maxStalenessSeconds\":300,"
    "\"automaticFailover\":true,\"deleting\":false,\"port\":9000,\"createdMs\":1795877477123}";

static bool is_same(const struct hosted *x, const struct hosted *y)
{
    bool same = x->region_count == y->region_count && x->level == y->level &&
                x->max_staleness_ops == y->max_staleness_ops &&
                x->max_staleness_s == y->max_staleness_s && x->auto_failover == y->auto_failover &&
                x->is_deleting == y->is_deleting && x->port == y->port &&
                x->created_wall_ms == y->created_wall_ms && strcmp(x->account, y->account) == 0;
    for (size_t i = 0; i < x->region_count && same; i++) {
        same = strcmp(x->regions[i], y->regions[i]) == 0;
    }
    return same;
}

T_TEST("the value is written like this and read back the same")
{
    struct buf b;
    struct hosted back;
    buf_init(&b, COORD_VALUE_SIZE_MAX);
    hosted_encode(&shop, &b);
    t_check(buf_ok(&b));
    t_eq_str(buf_str(&b), str_of(text));
    t_ok(hosted_decode(buf_str(&b), &back, NULL));
    t_check(is_same(&back, &shop));
    buf_done(&b);
}

/* `text` with one part replaced. */
static enum err decode_with(const char *part, const char *instead)
{
    struct hosted h;
    struct buf changed;
    ptrdiff_t at = str_find(str_of(text), str_of(part));
    t_check(at >= 0);
    size_t from = at >= 0 ? (size_t)at : 0;
    buf_init(&changed, 4096);
    buf_add(&changed, text, from);
    buf_add_cstr(&changed, instead);
    buf_add_str(&changed, str_slice(str_of(text), from + strlen(part), sizeof(text)));
    enum err err = hosted_decode(buf_str(&changed), &h, NULL);
    buf_done(&changed);
    return err;
}

T_TEST("each damaged part is refused, a newer format by its own name")
{
    t_err(decode_with("\"format\":1", "\"format\":2"), ERR_FORMAT_NEWER);
    t_err(decode_with("\"format\":1,", ""), ERR_CORRUPT);
    t_err(decode_with("\"shop\"", "\"Shop\""), ERR_CORRUPT);
    t_err(decode_with("[\"eastus\",\"west-2\"]", "[]"), ERR_CORRUPT);
    t_err(decode_with("\"west-2\"", "\"eastus\""), ERR_CORRUPT);
    t_err(decode_with("\"west-2\"", "\"../x\""), ERR_CORRUPT); /* names become folders */
    t_err(decode_with("\"west-2\"", "7"), ERR_CORRUPT);
    t_err(decode_with("BoundedStaleness", "Quite"), ERR_CORRUPT);
    t_err(decode_with("100000", "-1"), ERR_CORRUPT);
    t_err(decode_with("true", "1"), ERR_CORRUPT);
    t_err(decode_with("false", "null"), ERR_CORRUPT);
    t_err(decode_with("9000", "65536"), ERR_CORRUPT);
    t_ok(decode_with("9000", "65535"));
    t_err(decode_with("1795877477123", "\"then\""), ERR_CORRUPT);
    t_err(decode_with("{", "["), ERR_CORRUPT);
}

T_TEST("as many regions as may be, and one more")
{
    struct hosted h = shop;
    struct hosted back;
    struct buf b;
    buf_init(&b, COORD_VALUE_SIZE_MAX);
    for (h.region_count = 0; h.region_count < HOSTED_REGIONS_MAX; h.region_count++) {
        (void)snprintf(h.regions[h.region_count], RECORD_NAME_MAX, "r%zu", h.region_count);
    }
    hosted_encode(&h, &b);
    t_ok(hosted_decode(buf_str(&b), &back, NULL));
    t_check(is_same(&back, &h));
    buf_done(&b);
    char many[512] = "[";
    for (size_t i = 0; i < HOSTED_REGIONS_MAX; i++) { /* before the two that are there */
        size_t at = strlen(many);
        (void)snprintf(many + at, sizeof(many) - at, "\"r%zu\",", i);
    }
    t_err(decode_with("[\"eastus\",", many), ERR_CORRUPT);
}

T_TEST("names of accounts: 3 to 44 characters of the right kind")
{
    static const char *const good[] = {"abc", "a-1", "123", "a--",
                                       "abcdefghijabcdefghijabcdefghijabcdefghijabcd"};
    static const char *const bad[] = {
        "",          "ab",  "-ab",
        "Abc",       "a_b", "a b",
        "localhost", "a/b", "abcdefghijabcdefghijabcdefghijabcdefghijabcde"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        t_ok(hosted_check_account(str_of(good[i]), NULL));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct errinfo ei = {0};
        t_note("%s", bad[i]);
        t_err(hosted_check_account(str_of(bad[i]), &ei), ERR_INVALID);
        t_check(ei.message[0] != '\0');
    }
}

T_TEST("region names are compared lower-cased and without blanks, and kept like that")
{
    char name[RECORD_NAME_MAX];
    t_ok(hosted_region_name(STR("East US 2"), name, NULL));
    t_eq_cstr(name, "eastus2");
    t_ok(hosted_region_name(STR(" west-1 "), name, NULL));
    t_eq_cstr(name, "west-1");
    char longest[RECORD_NAME_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    t_ok(hosted_region_name(str_make(longest, RECORD_NAME_MAX - 1), name, NULL));
    t_err(hosted_region_name(str_make(longest, RECORD_NAME_MAX), name, NULL), ERR_INVALID);
    static const char *const bad[] = {"", " ", "-a", "a.b", "../a", "a,b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t_err(hosted_region_name(str_of(bad[i]), name, NULL), ERR_INVALID);
    }
    t_eq_u64(strlen(name), RECORD_NAME_MAX - 1); /* untouched by the failures */
}

T_MAIN()
