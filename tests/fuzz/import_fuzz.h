/* Any text, read as one form: an error with a message, or an estate whose text reads back as the same
 * estate. */
#pragma once

#include <stdint.h>

#include "base/contract.h"
#include "continuity/posture/import/import.h"

/* Notes are comments in the text, and not read back. */
static inline void strip_notes(struct estate *e)
{
    for (size_t i = 0; i < e->asset_count; i++) {
        for (size_t k = 0; k < e->assets[i]->attr_count; k++) {
            e->assets[i]->attrs[k].value.note = STR_NONE;
        }
    }
}

static inline int fuzz_import(const uint8_t *data, size_t size, enum import_format format)
{
    static const struct import_param params[] = {{{"p", 1}, {"east", 4}}};
    const struct import_opts opts = {.format = format, .params = params, .param_count = 1};
    struct estate *e = NULL;
    struct import_report *r = NULL;
    struct errinfo ei = {0};
    enum err err = import_read(str_make(data, size), STR("file"), &opts, &e, &r, &ei);
    ASSERT(err == ei.code);
    if (err != OK) {
        ASSERT(ei.message[0] != 0 && e == NULL && r == NULL);
        return 0;
    }
    struct buf text;
    struct buf again;
    struct estate *copy = NULL;
    buf_init(&text, 64 << 20);
    buf_init(&again, 64 << 20);
    import_write_yaml(e, r, &text);
    ASSERT(buf_ok(&text));
    err = estate_read(buf_str(&text), STR("estate.yaml"), &copy, &ei);
    ASSERT(err == OK);
    strip_notes(e);
    buf_clear(&text);
    import_write_yaml(e, r, &text);
    import_write_yaml(copy, r, &again);
    ASSERT(str_eq(buf_str(&text), buf_str(&again)));
    buf_clear(&again);
    import_report_write(r, &again);
    ASSERT(buf_ok(&again));
    buf_done(&text);
    buf_done(&again);
    estate_free(copy);
    estate_free(e);
    import_report_free(r);
    return 0;
}
