/* Request bodies of the management interface as changes: read, checked (geo-semantics 10), and mapped
 * onto the plans that `holdfast account` uses. Nothing is decided here that a plan decides.
 *
 * Errors: ERR_INVALID (400) for what is wrong in the body, ERR_UNSUPPORTED (501) for what Holdfast does
 * not have, and what the plans say. */
#pragma once

#include "account/beats.h"
#include "account/record.h"
#include "base/err.h"
#include "base/str.h"
#include "manage/hosted.h"
#include "manage/op.h"
#include "json/json.h"

/* PUT of an account that is not there: what the supervisor is to start. Fills op->kind. */
enum err manage_plan_create(const struct json *body, struct str name, int64_t wall_ms,
                            struct hosted *ret, struct errinfo *ei) MUST_CHECK;
/* PATCH, or PUT of one that is there: what differs is changed. Locations and other properties not in
 * one request; one region at a time. Fills kind and argument of `op`. */
enum err manage_plan_update(const struct json *body, struct account_record *rec, int64_t wall_ms,
                            struct manage_op *op, struct errinfo *ei) MUST_CHECK;
/* POST {account}/{action}, those that change something: failoverPriorityChange, offlineRegion,
 * onlineRegion, regenerateKey. `beats` are those of the account. ERR_NOT_FOUND: no such action. */
enum err manage_plan_action(struct str action, const struct json *body,
                            const struct account_beats *beats, struct account_record *rec,
                            int64_t wall_ms, struct manage_op *op, struct errinfo *ei) MUST_CHECK;
