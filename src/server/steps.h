/* Fault tests: the process stands still (SIGSTOP) at a named step of a change of the writer, once, so that
 * a test can end whom it likes at exactly that step. Armed by POST /_holdfast/fault
 * {"standStill":"end-sent"}, which only drills have; "" disarms. Names:
 *
 *   holding     old writer of a graceful change: it has begun to hold writes
 *   end-sent    old writer: TRANSFER_END is on its way
 *   taking      target: it knows of the change
 *   promoting   candidate: its claim is in the record
 *   sealed      candidate: a batch became durable after that, the core has not heard of it
 *   pulling     candidate: it has asked the others for more of its history
 *   asking      target or candidate: before the change of the record that opens (or, of a reader, claims)
 *   asked       the same: the coordinator has answered, the core has not heard of it
 *   opening     it has become the writer, its first entry is not durable
 *
 * What does not happen does not stop: arming is no promise. Any thread may call all of it. */
#pragma once

#include <stdbool.h>

#include "account/region.h"
#include "base/err.h"
#include "base/str.h"
#include "coord/coord.h"

enum err steps_arm(struct str name, struct errinfo *ei) MUST_CHECK; /* ERR_INVALID: no such step */
void steps_at_event(const struct region_event *ev);
void steps_at_send(struct str frame);
/* Is it a change of the record that may make a writer? Then steps_at_answer is told of its answer. */
bool steps_at_txn(enum region_role role, const struct coord_txn *t);
void steps_at_answer(void);
void steps_at_durable(enum region_role role);
void steps_at_tick(void);
