/* Inside of record.c and record_text.c: the words of the record. */
#pragma once

#include "account/record.h"

extern const char *const record_level_names[CONSISTENCY_COUNT];
extern const char *const record_state_names[REGION_STATE_COUNT];
extern const char *const record_phase_names[PHASE_COUNT];

/* Index of `s` in a table of names, in any case; -1 = none. */
int record_name_find(const char *const *names, int count, struct str s);
