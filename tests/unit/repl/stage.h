/* A replication machine of region 1 on a mem engine that stores when it is told to. One at a time. */
#pragma once

#include "repl/repl_int.h"

extern struct engine *engine;
extern struct repl *R;
extern struct partition *part; /* partition 1 */
extern struct arena arena;
extern usec now_us;
extern int64_t wall;         /* ms */
extern unsigned acked_count; /* waiters released */
/* Before stage_begin, or NULL: what is sent is nothing to the test, and no event is expected. */
extern void (*stage_on_send)(region_id to, struct str frame);
extern void (*stage_on_event)(enum region_event_kind kind, const char *text);

/* Opened as the writer of all in `mask`, regions 2 and up to `last` being peers, what that wrote stored. */
void stage_begin(bool is_strong, uint64_t mask, region_id last);
void stage_end(void);
struct repl_mode writer_mode(bool is_strong, uint64_t mask);
enum err open_repl(struct errinfo *ei); /* over the engine as it is */
void store(void);                       /* storage answers everything that was handed over */
