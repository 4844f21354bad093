/* Documents of the management interface. See doc.h. */
#include "manage/doc.h"

#include <stdio.h>
#include <string.h>

#include "account/region.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/crypto.h"
#include "json/json.h"

#define TYPE "Microsoft.DocumentDB/databaseAccounts"

enum { WITH_READABLE = 1, WITH_WRITABLE = 2, WITH_ALL = 4 };

/* "{account}-{region without spaces, lower case}" */
static void location_id(struct json_out *o, const struct manage_account *acc, const char *region)
{
    char name[RECORD_NAME_MAX];
    char id[2 * RECORD_NAME_MAX + 2];
    if (hosted_region_name(str_of(region), name, NULL) != OK) {
        (void)snprintf(name, sizeof(name), "%s", region);
    }
    (void)snprintf(id, sizeof(id), STR_FMT "-%s", STR_ARG(acc->name), name);
    json_out_member_cstr(o, "id", id);
}

static const char *location_state(enum region_state s)
{
    static const char *const names[REGION_STATE_COUNT] = {
        [REGION_SEEDING] = "Creating",       [REGION_ONLINE_READ] = "Succeeded",
        [REGION_ONLINE_WRITE] = "Succeeded", [REGION_DRAINING] = "Deleting",
        [REGION_OFFLINE] = "Offline",        [REGION_RECOVERING] = "Updating",
    };
    return names[s];
}

/* geo-semantics 2.2: which lists a region is in. */
static unsigned lists_of(enum region_state s)
{
    switch (s) {
    case REGION_ONLINE_WRITE:
        return WITH_READABLE | WITH_WRITABLE | WITH_ALL;
    case REGION_ONLINE_READ:
    case REGION_DRAINING:
        return WITH_READABLE | WITH_ALL;
    case REGION_SEEDING:
    case REGION_OFFLINE:
    case REGION_RECOVERING:
    case REGION_STATE_COUNT:
        break;
    }
    return WITH_ALL;
}

static void locations(struct json_out *o, const char *key, const struct manage_account *acc,
                      unsigned which)
{
    json_out_key(o, key);
    json_out_array(o);
    for (size_t i = 0; acc->rec != NULL && i < acc->rec->region_count; i++) {
        const struct record_region *g = &acc->rec->regions[i];
        if ((lists_of(g->state) & which) == 0) {
            continue;
        }
        json_out_object(o);
        location_id(o, acc, g->name);
        json_out_member_cstr(o, "locationName", g->name);
        if (g->endpoint[0]) {
            json_out_member_cstr(o, "documentEndpoint", g->endpoint);
        }
        json_out_member_cstr(o, "provisioningState", location_state(g->state));
        json_out_member_u64(o, "failoverPriority", g->priority);
        json_out_member_bool(o, "isZoneRedundant", false);
        json_out_object_end(o);
    }
    for (size_t i = 0; acc->rec == NULL && acc->hosted != NULL && which == WITH_ALL &&
                       i < acc->hosted->region_count;
         i++) {
        json_out_object(o);
        location_id(o, acc, acc->hosted->regions[i]);
        json_out_member_cstr(o, "locationName", acc->hosted->regions[i]);
        json_out_member_cstr(o, "provisioningState", "Creating");
        json_out_member_u64(o, "failoverPriority", i);
        json_out_member_bool(o, "isZoneRedundant", false);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static void policies(struct json_out *o, const struct manage_account *acc)
{
    bool is_made = acc->rec != NULL;
    size_t count = is_made ? acc->rec->region_count : acc->hosted->region_count;
    json_out_key(o, "failoverPolicies");
    json_out_array(o);
    for (size_t i = 0; i < count; i++) {
        const char *name = is_made ? acc->rec->regions[i].name : acc->hosted->regions[i];
        json_out_object(o);
        location_id(o, acc, name);
        json_out_member_cstr(o, "locationName", name);
        json_out_member_u64(o, "failoverPriority", i);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static void consistency(struct json_out *o, const struct manage_account *acc)
{
    bool is_made = acc->rec != NULL;
    uint64_t ops = is_made ? acc->rec->max_staleness_ops : acc->hosted->max_staleness_ops;
    uint64_t seconds = is_made ? acc->rec->max_staleness_s : acc->hosted->max_staleness_s;
    json_out_key(o, "consistencyPolicy");
    json_out_object(o);
    json_out_member_cstr(o, "defaultConsistencyLevel",
                         consistency_name(is_made ? acc->rec->level : acc->hosted->level));
    if (ops > 0) {
        json_out_member_u64(o, "maxStalenessPrefix", ops);
        json_out_member_u64(o, "maxIntervalInSeconds", seconds);
    }
    json_out_object_end(o);
}

/* Differs for every account ever made, and tells nothing of the secret it comes from. */
static void instance_id(struct json_out *o, const struct account_record *rec)
{
    struct buf hex;
    struct buf id;
    uint8_t hash[CRYPTO_SHA256_SIZE];
    buf_init(&id, 256);
    buf_init(&hex, 64);
    buf_printf(&id, "instance %s %s", rec->name, rec->peer_secret);
    crypto_sha256(buf_str(&id), hash);
    explicit_bzero(id.p, id.n);
    codec_hex(&hex, str_make(hash, 16), false);
    buf_clear(&id);
    buf_printf(&id, "%.8s-%.4s-%.4s-%.4s-%.12s", hex.p, hex.p + 8, hex.p + 12, hex.p + 16,
               hex.p + 20);
    json_out_member_str(o, "instanceId", buf_str(&id));
    buf_done(&hex);
    buf_done(&id);
}

static void properties(struct json_out *o, const struct manage_account *acc)
{
    const struct account_record *rec = acc->rec;
    json_out_member_cstr(o, "provisioningState", manage_provisioning_state(rec, acc->hosted));
    if (acc->endpoint.n > 0) {
        json_out_member_str(o, "documentEndpoint", acc->endpoint);
    }
    if (rec != NULL) {
        instance_id(o, rec);
    }
    json_out_member_cstr(o, "databaseAccountOfferType", "Standard");
    json_out_member_bool(o, "enableAutomaticFailover",
                         rec != NULL ? rec->auto_failover : acc->hosted->auto_failover);
    json_out_member_bool(o, "enableMultipleWriteLocations", false);
    if (rec != NULL) {
        json_out_member_cstr(o, "divergedWrites", diverged_name(rec->diverged_writes));
        json_out_member_u64(o, "conflictFeedQuota", rec->feed_quota);
    }
    consistency(o, acc);
    locations(o, "writeLocations", acc, WITH_WRITABLE);
    locations(o, "readLocations", acc, WITH_READABLE);
    locations(o, "locations", acc, WITH_ALL);
    policies(o, acc);
    json_out_key(o, "capabilities");
    json_out_array(o);
    json_out_array_end(o);
}

static void account(struct json_out *o, const struct manage_target *t,
                    const struct manage_account *acc)
{
    const struct account_record *rec = acc->rec;
    ASSERT(rec != NULL || acc->hosted != NULL);
    char id[4 * MANAGE_NAME_SIZE_MAX];
    (void)snprintf(id, sizeof(id),
                   "/subscriptions/" STR_FMT "/resourceGroups/" STR_FMT "/providers/" TYPE
                   "/" STR_FMT,
                   STR_ARG(t->subscription), STR_ARG(t->group.n > 0 ? t->group : STR("holdfast")),
                   STR_ARG(acc->name));
    const struct record_region *writer = rec != NULL ? record_region_const(rec, rec->writer) : NULL;
    json_out_object(o);
    json_out_member_cstr(o, "id", id);
    json_out_member_str(o, "name", acc->name);
    json_out_member_cstr(o, "type", TYPE);
    json_out_member_cstr(o, "kind", "GlobalDocumentDB");
    json_out_member_cstr(o, "location",
                         writer != NULL        ? writer->name
                         : acc->hosted != NULL ? acc->hosted->regions[0]
                                               : "");
    json_out_key(o, "tags");
    json_out_object(o);
    json_out_object_end(o);
    json_out_key(o, "properties");
    json_out_object(o);
    properties(o, acc);
    json_out_object_end(o);
    json_out_object_end(o);
}

void manage_doc_account(const struct manage_target *t, const struct manage_account *acc,
                        struct buf *out)
{
    struct json_out o;
    ASSERT(acc->rec != NULL || acc->hosted != NULL);
    json_out_init(&o, out);
    account(&o, t, acc);
}

void manage_doc_list(const struct manage_target *t, const struct manage_world *w, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_key(&o, "value");
    json_out_array(&o);
    for (size_t i = 0; i < w->count; i++) {
        account(&o, t, &w->accounts[i]);
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
}

void manage_doc_keys(const struct account_record *rec, bool is_read_only, struct buf *out)
{
    static const char *const names[4] = {"primaryMasterKey", "secondaryMasterKey",
                                         "primaryReadonlyMasterKey", "secondaryReadonlyMasterKey"};
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    for (size_t i = is_read_only ? 2 : 0; i < ARRAY_COUNT(names); i++) {
        json_out_member_cstr(&o, names[i], rec->key[i]);
    }
    json_out_object_end(&o);
}

void manage_doc_connections(const struct manage_account *acc, struct buf *out)
{
    static const char *const kinds[4] = {"Primary", "Secondary", "PrimaryReadonly",
                                         "SecondaryReadonly"};
    static const char *const texts[4] = {
        "Primary SQL Connection String", "Secondary SQL Connection String",
        "Primary Read-Only SQL Connection String", "Secondary Read-Only SQL Connection String"};
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_key(&o, "connectionStrings");
    json_out_array(&o);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char text[sizeof(acc->rec->key[0]) + 512];
        (void)snprintf(text, sizeof(text), "AccountEndpoint=" STR_FMT ";AccountKey=%s;",
                       STR_ARG(acc->endpoint), acc->rec->key[i]);
        json_out_object(&o);
        json_out_member_cstr(&o, "connectionString", text);
        json_out_member_cstr(&o, "description", texts[i]);
        json_out_member_cstr(&o, "keyKind", kinds[i]);
        json_out_member_cstr(&o, "type", "Sql");
        json_out_object_end(&o);
        explicit_bzero(text, sizeof(text));
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
}

/* ---- errors ---- */

int manage_http_status(enum err e)
{
    switch ((int)e) {
    case ERR_PRECONDITION: /* something is unhealthy */
        return 409;
    case ERR_LIMIT: /* clients of this interface know 413 as a body that is too large */
        return 400;
    default:
        return err_http_status(e);
    }
}

static const char *code_word(int status)
{
    static const struct {
        int status;
        const char *word;
    } words[] = {
        {400, "BadRequest"},         {401, "AuthenticationFailed"}, {403, "Forbidden"},
        {404, "ResourceNotFound"},   {408, "OutcomeUnknown"},       {409, "Conflict"},
        {412, "PreconditionFailed"}, {429, "TooManyRequests"},      {501, "NotImplemented"},
        {503, "ServiceUnavailable"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (words[i].status == status) {
            return words[i].word;
        }
    }
    return "InternalServerError";
}

static void error_object(struct json_out *o, const struct errinfo *ei)
{
    char text[ERRINFO_MESSAGE_SIZE + ERRINFO_HINT_SIZE + 4];
    (void)snprintf(text, sizeof(text), "%s%s%s", ei->message[0] ? ei->message : err_text(ei->code),
                   ei->hint[0] ? ": " : "", ei->hint);
    json_out_object(o);
    json_out_member_cstr(o, "code", code_word(manage_http_status(ei->code)));
    json_out_member_cstr(o, "message", text);
    json_out_object_end(o);
}

void manage_doc_error(const struct errinfo *ei, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_key(&o, "error");
    error_object(&o, ei);
    json_out_object_end(&o);
}

void manage_doc_status(const struct manage_target *t, const struct manage_op *op,
                       enum manage_op_state state, const struct errinfo *ei, struct buf *out)
{
    struct json_out o;
    char when[CLOCK_RFC1123_SIZE];
    char id[4 * MANAGE_NAME_SIZE_MAX];
    clock_format_iso(op->start_wall_ms, when);
    (void)snprintf(id, sizeof(id),
                   "/subscriptions/" STR_FMT
                   "/providers/Microsoft.DocumentDB/locations/global/operationsStatus/" STR_FMT,
                   STR_ARG(t->subscription), STR_ARG(t->operation));
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_cstr(&o, "id", id);
    json_out_member_str(&o, "name", t->operation);
    json_out_member_cstr(&o, "status", manage_op_state_name(state));
    json_out_member_cstr(&o, "startTime", when);
    if (state == OP_FAILED || state == OP_CANCELED) {
        json_out_key(&o, "error");
        error_object(&o, ei);
    }
    json_out_object_end(&o);
}
