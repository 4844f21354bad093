/* Any text that is an estate is written as one, read back, written the same again, and assessed in
 * every form without a contract failing. */
#include <stdint.h>

#include "base/buf.h"
#include "base/contract.h"
#include "continuity/posture/plan.h"
#include "continuity/posture/report.h"

enum { TEXT_SIZE_MAX = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text that is read back is the same text: nothing is lost or changed by writing. */
static void round_trip(const struct estate *e)
{
    struct buf first;
    struct buf second;
    struct estate *again = NULL;
    buf_init(&first, 16 << 20);
    buf_init(&second, 16 << 20);
    estate_write_yaml(e, &first);
    ASSERT(buf_ok(&first));
    enum err err = estate_read(buf_str(&first), STR("again"), &again, NULL);
    ASSERT(err == OK);
    estate_write_yaml(again, &second);
    ASSERT(str_eq(buf_str(&first), buf_str(&second)));
    estate_free(again);
    buf_done(&first);
    buf_done(&second);
}

static void assess(const struct estate *e)
{
    struct report *r = NULL;
    struct buf out;
    struct buf lose;
    buf_init(&lose, 1024);
    if (e->region_count > 0) {
        buf_printf(&lose, "region:" STR_FMT, STR_ARG(e->regions[0]->name));
    }
    struct report_opts opts = {
        .at_ms = 1795000000000, .lose = buf_str(&lose), .dir = "/nonexistent"};
    if (report_build(e, &opts, &r, NULL) == OK) {
        buf_init(&out, 64 << 20);
        report_write_text(r, &(struct report_style){.colour = true, .width = 60}, &out);
        report_write_json(r, &out);
        report_write_sarif(r, &out);
        report_write_html(r, &out);
        struct plan *plan = NULL;
        if (e->region_count > 1 &&
            plan_build(r, e->regions[0]->name, e->regions[1]->name, &plan, NULL) == OK) {
            plan_write_markdown(plan, &out);
            plan_write_json(plan, &out);
            plan_free(plan);
        }
        buf_done(&out);
        report_free(r);
    }
    buf_done(&lose);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_SIZE_MAX) {
        return 0;
    }
    struct estate *e = NULL;
    if (estate_read(str_make(data, size), STR("fuzz"), &e, NULL) == OK) {
        round_trip(e);
        assess(e);
        estate_free(e);
    }
    return 0;
}
