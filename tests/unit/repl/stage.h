/* A replication machine of region 1 on a mem engine that stores when it is told to. One at a time. */
#pragma once

#include "repl/repl_int.h"

enum { PEER = 2 }; /* the region that a test plays by hand, if it plays one */

extern struct engine *engine;
extern struct repl *R;
extern struct partition *part; /* partition 1 */
extern struct arena arena;
extern usec now_us;
extern int64_t wall;         /* ms */
extern unsigned acked_count; /* waiters released */
/* To be set before stage_begin. What PEER is sent, `m` in `arena`; NULL: nothing to the test. */
extern void (*stage_on_msg)(const struct msg *m);
extern void (*stage_on_metadata)(void); /* some of it was acknowledged; NULL: nothing to the test */
extern bool stage_has_copies;           /* they are told of; no other event is expected */

/* Opened as the writer of all in `mask`, regions 2 and up to `last` being peers, what that wrote stored. */
void stage_begin(bool is_strong, uint64_t mask, region_id last);
void stage_end(void);
struct repl_mode writer_mode(bool is_strong, uint64_t mask);
enum err open_repl(struct errinfo *ei); /* over the engine as it is */
void hear(const struct msg *m);         /* from PEER */
void store(void);                       /* storage answers everything that was handed over */
const char *stored(const char *key);    /* the text in `arena`; NULL = none */
void sound(void);                       /* stores, and what is stored has to be consistent */
