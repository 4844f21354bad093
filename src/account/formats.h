/* Which account records the regions of an account can read, while programs of several versions run it.
 *
 * Every heartbeat says the newest record format that its process reads. A change that needs a newer
 * format than the record has now is refused until every region of the account has said that it reads
 * it: a region that met a record of a newer program would stop serving (FENCED). A heartbeat that
 * does not say is one of a program that reads RECORD_FORMAT_UNSAID; a region that has no heartbeat
 * has said nothing, which is not enough either, since it may come back at any time.
 *
 * The coordinator keeps the heartbeat of a region that is away: one that is put back to an older program afterwards is refused by record_decode: nothing is
 * destroyed. */
#pragma once

#include "account/beats.h"
#include "account/record.h"
#include "base/err.h"

/* Has every region of the account said what it reads? */
bool formats_are_said(const struct account_beats *b, const struct account_record *rec);
/* May `to` be put in the place of `from`? ERR_PRECONDITION names the region that could not read it. */
enum err formats_check(const struct account_beats *b, const struct account_record *from,
                       const struct account_record *to, struct errinfo *ei) MUST_CHECK;
/* Would formats_check look at the regions at all? */
bool formats_rise(const struct account_record *from, const struct account_record *to);
/* The rule itself, for a format given as a number. */
enum err formats_need(const struct account_beats *b, const struct account_record *rec,
                      unsigned format, struct errinfo *ei) MUST_CHECK;
