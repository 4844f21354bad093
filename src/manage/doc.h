/* Documents of the management interface, in the shapes its clients read (geo-semantics 10). */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "manage/op.h"
#include "manage/target.h"
#include "manage/world.h"

/* `t` says under which subscription and resource group it was asked for: Holdfast has neither, every
 * name is taken and given back. */
void manage_doc_account(const struct manage_target *t, const struct manage_account *acc,
                        struct buf *out);
void manage_doc_list(const struct manage_target *t, const struct manage_world *w, struct buf *out);
void manage_doc_keys(const struct account_record *rec, bool is_read_only, struct buf *out);
void manage_doc_connections(const struct manage_account *acc, struct buf *out);
void manage_doc_status(const struct manage_target *t, const struct manage_op *op,
                       enum manage_op_state state, const struct errinfo *ei, struct buf *out);
/* {"error":{"code","message"}}; the hint ends the message. */
void manage_doc_error(const struct errinfo *ei, struct buf *out);
/* HTTP status of an error: 409 while something is unhealthy, 412 while another operation runs. */
int manage_http_status(enum err e);
