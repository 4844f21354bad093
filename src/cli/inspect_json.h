/* What `holdfast inspect --json` prints of tables and entries. */
#pragma once

#include "base/buf.h"
#include "base/fsm.h"
#include "repl/entry.h"
#include "json/json.h"

/* One object: the machine with its rows, and the decisions that go with it. */
void inspect_json_fsm(const struct fsm *fsm, struct buf *out);
/* One object; keys and documents only with `wants_bodies`. A key is bytes: what is not plain text in it is \xHH. */
void inspect_json_entry(const struct entry *e, size_t size, bool wants_bodies, struct buf *out);
/* The bytes of a key for people; a backslash is one of those that are not plain. */
void inspect_bytes(struct str s, struct buf *out);
const char *inspect_reason(const struct entry *e);
/* The n-th decision that goes with the machine; NULL: no more. */
struct region_rule;
const struct region_rule *inspect_rule(const struct fsm *fsm, size_t n);
