#include "cosmos/account_doc.h"

#include <stdio.h>

#include "json/json.h"

static void add_location(struct json_out *o, const struct record_region *r)
{
    json_out_object(o);
    json_out_member_cstr(o, "name", r->name);
    json_out_member_cstr(o, "databaseAccountEndpoint", r->endpoint);
    json_out_object_end(o);
}

static void add_replication(struct json_out *o, const char *key)
{
    json_out_key(o, key);
    json_out_object(o);
    json_out_member_bool(o, "asyncReplication", false);
    json_out_member_u64(o, "minReplicaSetSize", 1);
    json_out_member_u64(o, "maxReplicasetSize", 1);
    json_out_object_end(o);
}

void cosmos_account_document(const struct account_record *rec, const char *region, struct buf *out)
{
    struct json_out o;
    char id[2 * RECORD_NAME_MAX + 2];
    (void)snprintf(id, sizeof(id), "%s%s%s", rec->name, region ? "-" : "", region ? region : "");
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_cstr(&o, "_self", "");
    json_out_member_cstr(&o, "id", id);
    json_out_member_cstr(&o, "_rid", rec->name);
    json_out_member_cstr(&o, "media", "//media/");
    json_out_member_cstr(&o, "addresses", "//addresses/");
    json_out_member_cstr(&o, "_dbs", "//dbs/");
    json_out_key(&o, "writableLocations");
    json_out_array(&o);
    /* While a new writer is being promoted it is named already: publishing it before or together with
     * the first 403/3 keeps clients from spinning. */
    const struct record_region *writer = record_region_const(rec, rec->writer);
    if (writer) {
        add_location(&o, writer);
    }
    json_out_array_end(&o);
    json_out_key(&o, "readableLocations");
    json_out_array(&o);
    for (size_t i = 0; i < rec->region_count; i++) { /* in priority order */
        const struct record_region *r = &rec->regions[i];
        if (r->state == REGION_ONLINE_READ || r->state == REGION_ONLINE_WRITE ||
            r->state == REGION_DRAINING) {
            add_location(&o, r);
        }
    }
    json_out_array_end(&o);
    json_out_member_bool(&o, "enableMultipleWriteLocations", false);
    json_out_member_bool(&o, "enablePerPartitionFailoverBehavior", rec->region_count > 1);
    json_out_member_bool(&o, "continuousBackupEnabled", false);
    json_out_member_bool(&o, "enableNRegionSynchronousCommit", false);
    add_replication(&o, "userReplicationPolicy");
    json_out_key(&o, "userConsistencyPolicy");
    json_out_object(&o);
    json_out_key(&o, "defaultConsistencyLevel");
    enum consistency level = record_read_level(rec); /* what clients can count on */
    json_out_cstr(&o, consistency_name(level));
    if (level == CONSISTENCY_BOUNDED_STALENESS) {
        json_out_member_u64(&o, "maxStalenessPrefix", rec->max_staleness_ops);
        json_out_member_u64(&o, "maxIntervalInSeconds", rec->max_staleness_s);
    }
    json_out_object_end(&o);
    /* Ours: whether what is acknowledged now is in one region only. */
    json_out_member_cstr(&o, "durability", record_is_degraded(rec) ? "degraded" : "normal");
    add_replication(&o, "systemReplicationPolicy");
    json_out_key(&o, "readPolicy");
    json_out_object(&o);
    json_out_member_u64(&o, "primaryReadCoefficient", 1);
    json_out_member_u64(&o, "secondaryReadCoefficient", 1);
    json_out_object_end(&o);
    json_out_key(&o, "queryEngineConfiguration");
    json_out_cstr(
        &o, "{\"maxSqlQueryInputLength\":262144,\"maxJoinsPerSqlQuery\":5,"
            "\"maxLogicalAndPerSqlQuery\":2000,"
            "\"maxLogicalOrPerSqlQuery\":2000,\"maxUdfRefPerSqlQuery\":10,"
            "\"maxInExpressionItemsCount\":16000,"
            "\"queryMaxInMemorySortDocumentCount\":500,\"maxQueryRequestTimeoutFraction\":0.9,"
            "\"sqlAllowNonFiniteNumbers\":false,\"sqlAllowAggregateFunctions\":true,"
            "\"sqlAllowSubQuery\":true,"
            "\"sqlAllowScalarSubQuery\":true,\"allowNewKeywords\":true,\"sqlAllowLike\":true,"
            "\"sqlAllowGroupByClause\":true,\"sqlAllowTop\":true,\"enableSpatialIndexing\":false}");
    json_out_object_end(&o);
}
