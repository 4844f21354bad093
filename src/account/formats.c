/* Record formats during a rolling upgrade. See formats.h. */
#include "account/formats.h"

#include <stdio.h>
#include <string.h>

bool formats_are_said(const struct account_beats *b, const struct account_record *rec)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        if (b->of[rec->regions[i].id].reads == 0) {
            return false;
        }
    }
    return true;
}

bool formats_rise(const struct account_record *from, const struct account_record *to)
{
    return record_format(to) > record_format(from) && record_format(to) > RECORD_FORMAT_UNSAID;
}

enum err formats_need(const struct account_beats *b, const struct account_record *rec,
                      unsigned format, struct errinfo *ei)
{
    for (size_t i = 0; i < rec->region_count && format > RECORD_FORMAT_UNSAID; i++) {
        const struct record_region *g = &rec->regions[i];
        unsigned reads = b->of[g->id].reads;
        if (reads >= format) {
            continue;
        }
        if (reads == 0) {
            enum err e =
                err_set(ei, ERR_PRECONDITION,
                        "region %s has not said which account records it can read, and this "
                        "needs format %u",
                        g->name, format);
            err_hint(ei, "start its server with the new version, or remove the region");
            return e;
        }
        enum err e = err_set(ei, ERR_PRECONDITION,
                             "region %s runs a version that cannot read this: it reads account "
                             "records up to format %u, this needs format %u",
                             g->name, reads, format);
        err_hint(ei, "upgrade every region first, then try again");
        return e;
    }
    return OK;
}

enum err formats_check(const struct account_beats *b, const struct account_record *from,
                       const struct account_record *to, struct errinfo *ei)
{
    return formats_rise(from, to) ? formats_need(b, from, record_format(to), ei) : OK;
}
