/* SARIF, the HTML page and the comparison, rendered from one small estate. */
#include <stdio.h>
#include <string.h>

#include "continuity/posture/compare.h"
#include "continuity/posture/picture.h"
#include "lib/t.h"
#include "json/json.h"

enum { OUT_SIZE_MAX = 8 << 20 };

/* Markup and quotes wherever a text may stand. */
static const char platform[] = "version: 1\n"
                               "name: \"<script>alert(1)</script> & co\"\n"
                               "regions:\n"
                               "  - name: koreacentral\n"
                               "  - name: japaneast\n"
                               "objectives:\n"
                               "  - class: orders\n"
                               "    rto: 15m\n"
                               "    rpo: 1m\n"
                               "assets:\n"
                               "  - id: app\n"
                               "    type: application\n"
                               "    name: \"<b>app</b>\"\n"
                               "    region: koreacentral\n"
                               "    class: orders\n"
                               "    owner: \"team '<i>'\"\n"
                               "    depends_on: [db]\n"
                               "  - id: db\n"
                               "    type: cosmos_account\n"
                               "    class: orders\n"
                               "    regions:\n"
                               "      - {name: koreacentral, priority: 0}\n"
                               "      - {name: japaneast, priority: 1}\n"
                               "    attrs:\n"
                               "      automatic_failover: false\n"
                               "      multi_write: false\n"
                               "      consistency: session\n"
                               "waivers:\n"
                               "  - rule: HF-CDB-005\n"
                               "    asset: db\n"
                               "    reason: \"</td><script>\"\n"
                               "    owner: \"o\"\n"
                               "    expires: 2027-01-01\n";

static struct estate *e;
static struct report *r;
static struct buf out;
static struct arena arena;

static void open_text(const char *text, const char *lose)
{
    struct errinfo ei = {0};
    int64_t at = 0;
    t_check(estate_parse_time(STR("2026-11-28"), &at));
    arena_init(&arena);
    buf_init(&out, OUT_SIZE_MAX);
    t_ok_info(estate_read(str_of(text), STR("dir/the estate.yaml"), &e, &ei), &ei);
    struct report_opts opts = {.at_ms = at, .lose = str_of(lose)};
    t_ok_info(report_build(e, &opts, &r, &ei), &ei);
}

static void close_all(void)
{
    report_free(r);
    estate_free(e);
    buf_done(&out);
    arena_done(&arena);
}

static const struct json *parse(void)
{
    struct errinfo ei = {0};
    const struct json *doc = NULL;
    const struct json_limits limits = {.text_size_max = OUT_SIZE_MAX};
    t_check(buf_ok(&out));
    t_ok_info(json_parse(&arena, buf_str(&out), &limits, &doc, &ei), &ei);
    return doc;
}

static struct str text_at(const struct json *v, const char *key)
{
    struct str s = STR_NONE;
    t_check(json_get_str(v, str_of(key), &s));
    return s;
}

static bool has(const char *needle)
{
    return str_find(buf_str(&out), str_of(needle)) >= 0;
}

static const struct json *sarif_run(void)
{
    report_write_sarif(r, &out);
    const struct json *doc = parse();
    t_eq_lit(text_at(doc, "version"), "2.1.0");
    const struct json *runs = json_get(doc, STR("runs"));
    t_check(runs && runs->type == JSON_ARRAY && runs->count == 1);
    return runs->items[0];
}

/* ---- SARIF ---- */

/* What the standard demands of a result and the tables it points into. */
static void check_result(const struct json *run, const struct json *result)
{
    const struct str in_driver[] = {STR("tool"), STR("driver"), STR("rules")};
    const struct json *rules = json_get_path(run, in_driver, 3);
    uint64_t idx = 0;
    t_check(json_get_u64(result, STR("ruleIndex"), &idx));
    t_check(rules && idx < rules->count);
    t_eq_str(text_at(result, "ruleId"), text_at(rules->items[idx], "id"));
    struct str kind = text_at(result, "kind");
    struct str level = text_at(result, "level");
    t_check(str_eq(kind, STR("fail")) || str_eq(kind, STR("open")));
    t_check(str_eq(kind, STR("fail")) != str_eq(level, STR("none"))); /* 3.27.10 */
    t_check(text_at(json_get(result, STR("message")), "text").n > 0);
    const struct json *places = json_get(result, STR("locations"));
    t_check(places && places->count == 1);
    const struct str in_place[] = {STR("physicalLocation"), STR("artifactLocation"), STR("uri")};
    const struct json *uri = json_get_path(places->items[0], in_place, 3);
    t_check(uri && uri->type == JSON_STRING);
    t_eq_lit(uri->text, "dir/the%20estate.yaml");
    const struct json *prints = json_get(result, STR("partialFingerprints"));
    t_eq_u64(text_at(prints, "ruleAndAssets/v1").n, 16);
}

T_TEST("SARIF has every finding, unknown and waiver with what the standard demands")
{
    open_text(platform, "");
    const struct json *run = sarif_run();
    const struct json *results = json_get(run, STR("results"));
    t_check(results && results->type == JSON_ARRAY);
    t_eq_u64(results->count, r->finding_count + r->unknown_count + r->waived_count);
    t_check(r->finding_count > 0 && r->unknown_count > 0 && r->waived_count == 1);
    size_t open = 0, suppressed = 0;
    for (size_t i = 0; i < results->count; i++) {
        check_result(run, results->items[i]);
        open += str_eq(text_at(results->items[i], "kind"), STR("open"));
        suppressed += json_get(results->items[i], STR("suppressions")) != NULL;
    }
    t_eq_u64(suppressed, 1);
    t_check(open >= r->unknown_count);
    const struct str in_driver[] = {STR("tool"), STR("driver"), STR("rules")};
    t_eq_u64(json_get_path(run, in_driver, 3)->count, rule_count());
    close_all();
}

/* The fingerprint of rule HF-CDB-002 on db. */
static struct str print_of_failover(const struct json *run)
{
    const struct json *results = json_get(run, STR("results"));
    for (size_t i = 0; i < results->count; i++) {
        if (str_eq(text_at(results->items[i], "ruleId"), STR("HF-CDB-002"))) {
            return text_at(json_get(results->items[i], STR("partialFingerprints")),
                           "ruleAndAssets/v1");
        }
    }
    t_fail("the finding is not there");
    return STR_NONE;
}

T_TEST("a fingerprint stays the same when lines move")
{
    char moved[sizeof(platform) + 64];
    char first[32], second[32];
    open_text(platform, "");
    struct str print = print_of_failover(sarif_run());
    (void)snprintf(first, sizeof(first), STR_FMT, STR_ARG(print));
    close_all();
    (void)snprintf(moved, sizeof(moved), "# a comment\n\n\n%s", platform);
    open_text(moved, "");
    print = print_of_failover(sarif_run());
    (void)snprintf(second, sizeof(second), STR_FMT, STR_ARG(print));
    t_eq_cstr(first, second);
    close_all();
}

/* ---- HTML ---- */

T_TEST("names, owners and reasons cannot become markup in the page")
{
    open_text(platform, "region:koreacentral");
    report_write_html(r, &out);
    t_check(buf_ok(&out));
    t_check(!has("<script"));
    t_check(!has("<b>app"));
    t_check(!has("'<i>'"));
    t_check(has("&lt;script&gt;alert(1)&lt;/script&gt; &amp; co"));
    t_check(has("&lt;b&gt;app&lt;/b&gt;"));
    t_check(has("&lt;/td&gt;&lt;script&gt;"));
    t_check(!has("http://") && !has("https://") && !has("@import") && !has("url(h"));
    close_all();
}

T_TEST("the page says what is lost by word and shape, for each asset")
{
    open_text(platform, "region:koreacentral");
    report_write_html(r, &out);
    t_check(has("If region koreacentral is lost"));
    t_check(has("koreacentral \xe2\x80\x93 lost"));
    for (size_t i = 0; i < r->asset_count; i++) {
        char want[64];
        enum effect effect = r->what_if.outcomes[i].effect;
        t_check(effect != EFFECT_NONE);
        (void)snprintf(want, sizeof(want), "%s %s</text>", picture_effect_sign(effect),
                       effect_name(effect));
        t_checkf(has(want), "no '%s'", want);
    }
    close_all();
    open_text(platform, "");
    report_write_html(r, &out);
    t_check(!has("If region"));
    t_check(has("What the loss of each region would do today"));
    t_check(!has(" lost</text>"));
    close_all();
}

static void many(size_t n, struct buf *text)
{
    buf_init(text, 4 << 20);
    buf_add_cstr(text, "version: 1\nregions:\n  - name: here\nassets:\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(text, "  - {id: v%zu, type: key_vault, region: here}\n", i);
    }
    buf_add_char(text, '\0');
}

T_TEST("a large estate is drawn by type, a small one asset by asset")
{
    struct buf text;
    many(PICTURE_BOXES_MAX, &text);
    open_text(text.p, "region:here");
    picture_write(r, &out);
    t_check(has(">v99</text>"));
    t_check(!has("One box for each type"));
    close_all();
    buf_done(&text);
    many(PICTURE_BOXES_MAX + 1, &text);
    open_text(text.p, "region:here");
    picture_write(r, &out);
    t_check(has(">101 \xc3\x97 Key Vault</text>"));
    t_check(has("101 of 101: "));
    t_check(has("One box for each type"));
    close_all();
    buf_done(&text);
}

T_TEST("an estate without assets has a page, too")
{
    open_text("version: 1\nassets: []\n", "");
    report_write_html(r, &out);
    t_check(buf_ok(&out));
    t_check(has("No rule fires"));
    t_check(!has("<svg"));
    close_all();
}

/* ---- comparison ---- */

static void replace(char *text, const char *from, const char *to)
{
    ptrdiff_t found = str_find(str_of(text), str_of(from));
    t_check(found >= 0);
    char *at = text + found;
    memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
    for (size_t i = 0; to[i] != '\0'; i++) {
        at[i] = to[i];
    }
}

/* A report of `before` as JSON, then `after` compared with it. */
static void compare(const char *before, const char *after)
{
    struct errinfo ei = {0};
    struct buf old;
    buf_init(&old, OUT_SIZE_MAX);
    open_text(before, "");
    report_write_json(r, &old);
    close_all();
    open_text(after, "");
    t_ok_info(report_compare_with(r, buf_str(&old), &ei), &ei);
    buf_done(&old);
}

static const struct compare_gone *gone(const char *rule, const char *asset)
{
    for (size_t i = 0; i < r->compare->gone_count; i++) {
        const struct compare_gone *g = &r->compare->gone[i];
        if (str_eq(g->rule, str_of(rule)) && str_eq(g->asset, str_of(asset))) {
            return g;
        }
    }
    return NULL;
}

T_TEST("compared with itself nothing is new, gone or changed")
{
    compare(platform, platform);
    t_check(r->finding_count > 0);
    t_eq_u64(r->compare->new_count, 0);
    t_eq_u64(r->compare->kept_count, r->finding_count);
    t_eq_u64(r->compare->gone_count, 0);
    t_eq_u64(r->compare->figure_count, 0);
    t_check(!report_has_new(r, SEVERITY_LOW));
    report_write_sarif(r, &out);
    t_check(has("\"baselineState\":\"unchanged\"") && !has("\"baselineState\":\"new\""));
    close_all();
}

T_TEST("what is mended, and what nobody states any more, are told apart")
{
    char after[sizeof(platform) + 64];
    memcpy(after, platform, sizeof(platform));
    replace(after, "automatic_failover: false", "automatic_failover: true");
    compare(platform, after);
    t_check(gone("HF-CDB-002", "db") && gone("HF-CDB-002", "db")->kind == GONE_MENDED);
    t_check(r->compare->figure_count > 0); /* the estimated RTO, at least */
    close_all();
    replace(after, "automatic_failover: true", "automatic_failover: unknown");
    compare(platform, after);
    t_check(gone("HF-CDB-002", "db") && gone("HF-CDB-002", "db")->kind == GONE_UNDECIDED);
    close_all();
    memcpy(after, platform, sizeof(platform));
    replace(after, "rule: HF-CDB-005", "rule: HF-CDB-002");
    compare(platform, after);
    t_check(gone("HF-CDB-002", "db") && gone("HF-CDB-002", "db")->kind == GONE_WAIVED);
    t_check(report_has_new(r, SEVERITY_HIGH)); /* HF-CDB-005 is not waived any more */
    close_all();
}

T_TEST("a new finding is marked in every form, and alone decides when asked for")
{
    char before[sizeof(platform) + 64];
    memcpy(before, platform, sizeof(platform));
    replace(before, "automatic_failover: false", "automatic_failover: true");
    compare(before, platform);
    t_check(report_has_new(r, SEVERITY_CRITICAL));
    report_write_html(r, &out);
    t_check(has("<span class=\"tag warn\">new</span>"));
    buf_clear(&out);
    report_write_json(r, &out);
    t_check(has("\"new\":true"));
    buf_clear(&out);
    report_write_sarif(r, &out);
    t_check(has("\"baselineState\":\"new\""));
    buf_clear(&out);
    struct report_style style = {0};
    report_write_text(r, &style, &out);
    t_check(has("new   HF-CDB-002 db"));
    close_all();
}

T_TEST("what is no report of ours is refused, and nothing else is changed")
{
    static const struct {
        const char *text;
        enum err want;
    } cases[] = {
        {"", ERR_SYNTAX},
        {"[]", ERR_INVALID},
        {"{\"format\":\"other\",\"version\":1}", ERR_INVALID},
        {"{\"format\":\"holdfast-assess-report\"}", ERR_INVALID},
        {"{\"format\":\"holdfast-assess-report\",\"version\":2}", ERR_FORMAT_NEWER},
        {"{\"format\":\"holdfast-assess-report\",\"version\":1}", ERR_INVALID},
        {"{\"format\":\"holdfast-assess-report\",\"version\":1,\"findings\":[{\"rule\":1}]}",
         ERR_INVALID},
    };
    open_text(platform, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct errinfo ei = {0};
        t_err(report_compare_with(r, str_of(cases[i].text), &ei), cases[i].want);
        t_check(ei.message[0] != 0);
        t_check(r->compare == NULL);
    }
    close_all();
}

T_MAIN()
