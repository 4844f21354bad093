/* The account document (`GET /`): the clients' only source of truth about regions. Built from one
 * record, the same on every front and in every region but for the id. */
#pragma once

#include "account/record.h"
#include "base/buf.h"

/* `region` NULL: as the global endpoint says it. */
void cosmos_account_document(const struct account_record *rec, const char *region, struct buf *out);
