/* For leak tests: counts what mem_* gave out and has not got back. Costs one branch while off.
 * Start it before the first allocation that is to be counted; blocks older than the start that
 * are freed later make the count negative. Thread-safe. */
#pragma once

void mem_probe_start(void); /* counts from zero */
void mem_probe_stop(void);
long mem_live_count(void); /* blocks allocated minus blocks freed since mem_probe_start() */
