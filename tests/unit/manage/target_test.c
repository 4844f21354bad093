/* Paths of the management interface. */
#include "manage/target.h"

#include <string.h>

#include "lib/t.h"

#define P "/providers/Microsoft.DocumentDB"
#define Q "?api-version=2025-10-15"
#define A "/subscriptions/s/resourceGroups/g" P "/databaseAccounts"

static struct arena arena;

static enum err parse(const char *text, struct manage_target *ret)
{
    arena_done(&arena);
    arena_init(&arena);
    return manage_target_parse(&arena, str_of(text), ret, NULL);
}

T_TEST("each path is told apart, and its names are given")
{
    static const struct {
        const char *path;
        enum manage_what what;
        const char *group, *account, *action, *operation;
    } cases[] = {
        {P "/databaseAccountNames/shop" Q, MANAGE_NAME, "", "shop", "", ""},
        {"/subscriptions/s" P "/databaseAccounts" Q, MANAGE_LIST, "", "", "", ""},
        {A Q, MANAGE_LIST, "g", "", "", ""},
        {A "/shop" Q, MANAGE_ACCOUNT, "g", "shop", "", ""},
        {A "/shop/" Q, MANAGE_ACCOUNT, "g", "shop", "", ""},
        {A "/shop/listKeys" Q, MANAGE_ACTION, "g", "shop", "listKeys", ""},
        {A "/shop/operationResults/x.y" Q, MANAGE_RESULT, "g", "shop", "", "x.y"},
        {A "/shop/sqlDatabases/d" Q, MANAGE_ACTION, "g", "shop", "sqlDatabases", ""},
        {"/subscriptions/s" P "/locations/global/operationsStatus/x.y" Q, MANAGE_STATUS, "", "", "",
         "x.y"},
        {"/SUBSCRIPTIONS/s/resourcegroups/g/PROVIDERS/microsoft.documentdb/databaseaccounts/shop"
         "?a=b&API-version=1",
         MANAGE_ACCOUNT, "g", "shop", "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct manage_target t;
        t_note("%s", cases[i].path);
        t_check(manage_target_is_ours(str_of(cases[i].path)));
        t_ok(parse(cases[i].path, &t));
        t_eq_int(t.what, cases[i].what);
        t_eq_str(t.group, str_of(cases[i].group));
        t_eq_str(t.account, str_of(cases[i].account));
        t_eq_str(t.action, str_of(cases[i].action));
        t_eq_str(t.operation, str_of(cases[i].operation));
        t_check(t.what == MANAGE_NAME || str_eq(t.subscription, STR("s")));
    }
}

T_TEST("names are decoded; the data plane's paths are not ours")
{
    struct manage_target t;
    t_ok(parse("/subscriptions/s/resourceGroups/group%20one" P "/databaseAccounts/a%2Fb" Q, &t));
    t_eq_lit(t.group, "group one");
    t_eq_lit(t.account, "a/b");
    static const char *const others[] = {
        "/", "/dbs", "/dbs/subscriptions/x", "/providers/Other/x", "/subscriptions", ""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        t_check(!manage_target_is_ours(str_of(others[i])));
    }
}

T_TEST("what is missing or unknown is refused")
{
    struct manage_target t;
    t_err(parse(A "/shop", &t), ERR_INVALID); /* no api-version */
    t_err(parse(A "/shop?api-version=", &t), ERR_INVALID);
    t_err(parse(A "/shop?x-api-version=1", &t), ERR_INVALID);
    t_err(parse(A "/%zz" Q, &t), ERR_INVALID);
    t_err(parse("/subscriptions/s" P "/databaseAccounts/shop" Q, &t), ERR_NOT_FOUND); /* no group */
    t_err(parse("/subscriptions/s/resourceGroups/g" Q, &t), ERR_NOT_FOUND);
    t_err(parse("/subscriptions/s" P "/locations/x/operationsStatus" Q, &t), ERR_NOT_FOUND);
    t_err(parse("/subscriptions/s/resourceGroups/g" P "/locations/x/operationsStatus/y" Q, &t),
          ERR_NOT_FOUND);
    t_err(parse(P "/databaseAccountNames" Q, &t), ERR_NOT_FOUND);
    t_err(parse("/subscriptions/s/providers/Other/databaseAccounts" Q, &t), ERR_NOT_FOUND);
}

/* "/" + n times 'a' as the account's name. */
static enum err parse_long(size_t n, struct manage_target *t)
{
    char text[MANAGE_TARGET_SIZE_MAX + 256] = A "/";
    size_t at = strlen(text);
    memset(text + at, 'a', n);
    memcpy(text + at + n, Q, sizeof(Q));
    return parse(text, t);
}

T_TEST("limits: a name, the number of parts and the whole path, each at its edge")
{
    struct manage_target t;
    t_ok(parse_long(MANAGE_NAME_SIZE_MAX, &t));
    t_eq_u64(t.account.n, MANAGE_NAME_SIZE_MAX);
    t_err(parse_long(MANAGE_NAME_SIZE_MAX + 1, &t), ERR_INVALID);
    t_ok(parse(A "/shop/operationResults/x" Q, &t));      /* 9 parts */
    t_err(parse(A "/shop/a/b/c/d" Q, &t), ERR_NOT_FOUND); /* 11 */
    char text[MANAGE_TARGET_SIZE_MAX + 2];
    memset(text, '/', sizeof(text));
    text[MANAGE_TARGET_SIZE_MAX] = '\0';
    t_err(parse(text, &t), ERR_INVALID); /* as long as may be, but no api-version */
    memcpy(text, A "/shop", strlen(A "/shop"));
    memcpy(text + MANAGE_TARGET_SIZE_MAX - strlen(Q), Q, sizeof(Q));
    t_ok(parse(text, &t));
    text[MANAGE_TARGET_SIZE_MAX] = 'x';
    text[MANAGE_TARGET_SIZE_MAX + 1] = '\0';
    t_err(parse(text, &t), ERR_INVALID);
    arena_done(&arena);
    arena_init(&arena);
}

T_MAIN()
