#include <string.h>

#include "account/distance.h"
#include "account/region.h"
#include "lib/t.h"

static void near_km(const char *a, const char *b, unsigned km)
{
    unsigned d = distance_km(str_of(a), str_of(b));
    t_checkf(d > km * 97 / 100 && d < km * 103 / 100, "%s to %s: %u km, not %u", a, b, d, km);
}

T_TEST("distances are those on a globe, whatever the spelling; other names are nowhere")
{
    near_km("westeurope", "northeurope", 758);
    near_km("West US", "EastUS", 3740);
    near_km("koreacentral", "japaneast", 1175);
    near_km("japaneast", "westus", 8250); /* across the date line */
    near_km("uksouth", "australiaeast", 17000);
    t_eq_u64(distance_km(STR("east"), STR("westus")), 0);
    t_eq_u64(distance_km(STR("eastus"), STR("eastus2x")), 0);
    t_eq_u64(distance_km(STR("westus"), STR("west us")), 0);
}

static void make(struct account_record *rec, enum consistency level, const char *const *names)
{
    account_init(rec, "shop", level);
    for (; *names != NULL; names++) {
        t_ok(account_add_region(rec, *names, "http://127.0.0.1:1/", "127.0.0.1:1", 0, NULL));
    }
}

T_TEST(
    "Strong over more than 8,000 km is refused with a sentence; nearer, weaker or unknown is not")
{
    struct account_record rec;
    struct errinfo ei = {0};
    make(&rec, CONSISTENCY_SESSION,
         (const char *const[]){"koreacentral", "japaneast", "brazilsouth", NULL});
    t_ok(distance_check(&rec, CONSISTENCY_SESSION, STR(""), &ei));
    t_err(distance_check(&rec, CONSISTENCY_STRONG, STR(""), &ei), ERR_INVALID);
    t_check(strstr(ei.message, "japaneast and brazilsouth") != NULL ||
            strstr(ei.message, "koreacentral and brazilsouth") != NULL);
    t_check(strstr(ei.hint, "--force") != NULL);

    make(&rec, CONSISTENCY_STRONG, (const char *const[]){"koreacentral", "japaneast", "lab", NULL});
    t_ok(distance_check(&rec, CONSISTENCY_STRONG, STR(""), &ei));
    t_ok(distance_check(&rec, CONSISTENCY_STRONG, STR("eastasia"), &ei));
    ei = (struct errinfo){0};
    t_err(distance_check(&rec, CONSISTENCY_STRONG, STR("West Europe"), &ei), ERR_INVALID);
    t_check(strstr(ei.message, "West Europe") != NULL);
}

/* Between two levels both can be so: bounds that are tight while the account goes over to Strong. */
T_TEST("what an operator is warned of is one line, whether it is one thing or two")
{
    static const char *const far[] = {"uksouth", "australiaeast", NULL};
    static const char *const near[] = {"uksouth", "ukwest", NULL};
    struct account_record rec;
    struct buf b;
    buf_init(&b, 1024);
    make(&rec, CONSISTENCY_SESSION, far);
    t_check(!account_warning(&rec, &b));
    t_eq_u64(buf_str(&b).n, 0);
    rec.level = CONSISTENCY_BOUNDED_STALENESS;
    rec.max_staleness_ops = 10;
    rec.max_staleness_s = 5;
    t_check(account_warning(&rec, &b));
    t_eq_str(buf_str(&b), STR(ACCOUNT_TIGHT_WARNING));
    buf_clear(&b);
    rec.is_level_changing = true;
    rec.level = CONSISTENCY_STRONG;
    rec.level_to = CONSISTENCY_BOUNDED_STALENESS;
    t_check(account_warning(&rec, &b));
    t_contains(buf_str(&b), ACCOUNT_TIGHT_WARNING "; regions uksouth and australiaeast are about");
    buf_clear(&b);
    rec.is_level_changing = false;
    t_check(account_warning(&rec, &b));
    t_contains(buf_str(&b), "warning: regions uksouth and australiaeast are about");
    buf_clear(&b);
    make(&rec, CONSISTENCY_STRONG, near);
    t_check(!account_warning(&rec, &b));
    buf_done(&b);
}

T_MAIN()
