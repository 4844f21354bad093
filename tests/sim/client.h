/* Clients: each does one operation at a time, routes it as an SDK does, keeps its session tokens,
 * and puts everything into the ledger. reader.c is the server's rule for reads. */
#pragma once

#include "sim/ledger.h"
#include "sim/node.h"

struct client;
struct client *client_new(struct world *w, unsigned id);
void client_free(struct client *c);
void client_start(struct client *c, usec delay);
void client_stop(struct client *c); /* no new operations */
bool client_is_idle(const struct client *c);
void client_cut(struct client *c, region_id region,
                bool is_cut); /* requests and answers get lost */
void client_heal(struct client *c);
void client_cancel(
    struct client *c); /* gives up what it waits for; the servers do not learn of it */
/* Another process of the same program; tokens may have been kept outside. */
void client_restart(struct client *c, bool keeps_tokens);
void client_move(struct client *c, region_id home); /* prefers another region for reads */
/* From now on: one write of every partition and one read in every region must succeed, retried
 * as long as it takes; client_has_probed when all did. */
void client_probe(struct client *c);
bool client_has_probed(const struct client *c);

/* Called by the process. */
void client_write_answered(struct world *w, struct node *n, struct region_write *write);
void client_wait_answered(struct world *w, struct node *n, struct region_wait *wait);
void client_process_ended(struct world *w, struct op *op);

/* An operator has a container made or removed, by that region; the answer changes the partition's state.
 * Returns its number; 0: none is left. To be removed it must be open, or in doubt. */
pid container_make(struct world *w, region_id to);
void container_remove(struct world *w, pid p, region_id to);

/* Creates the containers' partitions, retried until every one exists; then the clients begin. */
void bootstrap_start(struct world *w);
bool bootstrap_is_done(struct world *w);

/* Begins a read or scan in the process (a node_call_fn's ctx is the op). */
void reader_begin(struct node *n, void *ctx);
void reader_wait_done(struct node *n, struct op *op);

/* Change feed. */
struct feed_reader;
enum feed_turn { FEED_BRANCH }; /* counted in cover.c */
struct feed_reader *feed_reader_new(struct world *w, pid p, region_id home);
void feed_reader_free(struct feed_reader *f);
void feed_reader_start(struct feed_reader *f);
void feed_readers_go(struct world *w, region_id home); /* they read there, most of the time */
/* At the end, when all is quiet: reads on to the end in its region and compares what it has
 * seen with what is there. */
void feed_reader_finish(struct feed_reader *f);
