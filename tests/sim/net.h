/* Streams between regions, and the paths below everything.
 *
 * Place 0 is the coordinator, 1..n are the regions. A *path* is one direction between two places;
 * it is open or blocked. A *stream* is one region's outgoing link to a peer: FIFO while it is up;
 * when its path is blocked (or clogged) its frames pile up and come later, all at once; when a
 * path between the two stays blocked longer than the sender's patience, or on a fault, the stream
 * breaks: what was in flight is lost (with FAULT_LATE_FRAMES some of it arrives all the same, as
 * unread bytes of an old connection do) and both a down and later an up event are told. */
#pragma once

#include "base/str.h"
#include "sim/world.h"

struct net;
struct net *net_new(struct world *w);
void net_free(struct net *n);

/* A frame leaves at `at` (>= now). Copied. Dropped when the stream is down. */
void net_send(struct world *w, region_id from, region_id to, struct str frame, usec at);
void net_node_up(struct world *w, region_id id);   /* process started: streams begin to connect */
void net_node_down(struct world *w, region_id id); /* process ended: its streams are gone */

void net_block(struct world *w, unsigned from, unsigned to, bool is_blocked); /* one direction */
bool net_is_open(const struct world *w, unsigned from, unsigned to);
void net_clog(struct world *w, region_id from, region_id to, bool is_clogged);
void net_break(struct world *w, region_id from, region_id to);
void net_heal(struct world *w); /* everything open, nothing clogged */
bool net_stream_is_up(const struct world *w, region_id from, region_id to);
/* One-way time between two places now. */
usec net_delay(struct world *w, unsigned from, unsigned to);
