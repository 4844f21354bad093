/* Every rule three times: an estate where it fires, one where it does not, one where it says unknown.
 * A rule that lacks one of the three fails the test by its name. */
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "continuity/posture/posture_int.h"
#include "lib/t.h"

/* Regions: a and b are each other's pair; c has no pair, no zones and is restricted; of d nothing is
 * known; e is in the outage domain of a. */
#define HEAD                                                                                       \
    "version: 1\n"                                                                                 \
    "regions:\n"                                                                                   \
    "- {name: a, pair: b, restricted: false, zones: [1, 2], core_quota: 100, not_offered: [],"     \
    " outage_domain: quake}\n"                                                                     \
    "- {name: b, pair: a, restricted: false, zones: [1, 2], core_quota: 100, not_offered: []}\n"   \
    "- {name: c, pair: none, restricted: true, zones: [], core_quota: 10,"                         \
    " not_offered: [key_vault]}\n"                                                                 \
    "- {name: d}\n"                                                                                \
    "- {name: e, outage_domain: quake}\n"                                                          \
    "policy: {log_retention_days: 90, backup_retention: 7d}\n"                                     \
    "objectives:\n"                                                                                \
    "- {class: o, rto: 15m, rpo: 5m, write_availability: 99.99}\n"                                 \
    "- {class: high, write_availability: 99.999}\n"                                                \
    "assets:\n"
#define HEAD_NO_POLICY "version: 1\nregions: [{name: a}]\nassets:\n"

/* Two workspaces that are a pair, the first (x) hot/warm. */
#define PAIR(mine, theirs)                                                                         \
    HEAD "- {id: x, type: aml_workspace, region: a, peer: z, topology: hot/warm, attrs: {" mine    \
         "}}\n- {id: z, type: aml_workspace, region: b, attrs: {" theirs "}}\n"
#define WS(attrs)        HEAD "- {id: x, type: aml_workspace, region: a, attrs: {" attrs "}}\n"
#define ONE(type, attrs) HEAD "- {id: x, type: " type ", region: a, class: o, attrs: {" attrs "}}\n"
#define STORE(id, attrs) "- {id: " id ", type: storage_account, region: a, attrs: {" attrs "}}\n"
#define OWNER            "- {id: w, type: aml_workspace, region: a, attrs: {default_storage: x}}\n"
#define OWNER_UNKNOWN    "- {id: w, type: aml_workspace, region: a}\n"
#define DBX(attrs)                                                                                 \
    HEAD "- {id: x, type: databricks_workspace, region: a, peer: z, class: o, attrs: {" attrs      \
         "}}\n- {id: z, type: databricks_workspace, region: b}\n"
#define CDB(regions, attrs)                                                                        \
    HEAD "- {id: x, type: cosmos_account, class: o, regions: [" regions "], attrs: {" attrs "}}\n"
#define ROUTE(attrs)                                                                               \
    HEAD "- {id: app, type: application, region: a, class: o}\nroutes:\n- {id: x, attrs: {" attrs  \
         "}}\n"
#define BOOK(rest) HEAD "  []\nrunbooks:\n- {id: x, " rest "}\n"
#define BACKUP(region, attrs)                                                                      \
    HEAD "- {id: x, type: backup, " region ", attrs: {" attrs "}}\n"                               \
         "- {id: data, type: postgresql_server, region: a, class: o, attrs: {backups: [x]}}\n"

#define REPLICATED(t)                                                                              \
    "replicated_users: " t ", replicated_notebooks: " t ", replicated_clusters: " t                \
    ", replicated_jobs: " t ", replicated_libraries: " t ", replicated_mounts: " t                 \
    ", replicated_init_scripts: " t ", replicated_acls: " t

#define F VERDICT_FIRES
#define P VERDICT_PASS
#define N VERDICT_NOT_APPLICABLE
#define U VERDICT_UNKNOWN

/* Text that must be in what was observed (F) or is missing (U). The asset is always `x`. */
static const struct {
    enum rule rule;
    enum verdict verdict;
    const char *told;
    const char *text;
} cases[] = {
    /* ---- Azure ML ---- */
    {RULE_ML_001, F, "it has no peer",
     HEAD "- {id: x, type: aml_workspace, region: a, environment: "
          "production, topology: hot/warm, peer: none}\n"},
    {RULE_ML_001, F, "no other workspace",
     HEAD "- {id: x, type: aml_workspace, region: a, "
          "environment: production, topology: hot/cold}\n"},
    {RULE_ML_001, F, "in the same region",
     HEAD "- {id: x, type: aml_workspace, region: a, peer: z}\n"
          "- {id: z, type: aml_workspace, region: a}\n"},
    {RULE_ML_001, P, "", PAIR("", "")},
    {RULE_ML_001, N, "",
     HEAD "- {id: x, type: aml_workspace, region: a, environment: development}\n"},
    {RULE_ML_001, N, "",
     HEAD "- {id: x, type: aml_workspace, region: a, environment: production, "
          "topology: single}\n"},
    {RULE_ML_001, U, "environment, topology", WS("")},
    {RULE_ML_001, U, "peer",
     HEAD "- {id: x, type: aml_workspace, region: a, environment: production, "
          "topology: hot/hot}\n- {id: z, type: aml_workspace, region: b}\n"},
    {RULE_ML_002, F, "relies_on_failover is true",
     HEAD STORE("x", "redundancy: ra_grs, relies_on_failover: true") OWNER},
    {RULE_ML_002, F, "is not stated", HEAD STORE("x", "redundancy: gzrs") OWNER},
    {RULE_ML_002, P, "", HEAD STORE("x", "redundancy: grs, relies_on_failover: false") OWNER},
    {RULE_ML_002, P, "", HEAD STORE("x", "redundancy: zrs") OWNER},
    {RULE_ML_002, N, "", HEAD STORE("x", "redundancy: grs")},
    {RULE_ML_002, U, "redundancy", HEAD STORE("x", "relies_on_failover: true") OWNER},
    {RULE_ML_002, U, "default_storage", HEAD STORE("x", "redundancy: grs") OWNER_UNKNOWN},
    {RULE_ML_003, F, "both use s", PAIR("default_storage: s", "default_storage: s") STORE("s", "")},
    {RULE_ML_003, P, "",
     PAIR("default_storage: s", "default_storage: t") STORE("s", "") STORE("t", "")},
    {RULE_ML_003, N, "", WS("default_storage: none")},
    {RULE_ML_003, U, "default_storage of z", PAIR("default_storage: none", "")},
    {RULE_ML_003, U, "peer",
     HEAD "- {id: x, type: aml_workspace, region: a}\n"
          "- {id: z, type: aml_workspace, region: b}\n"},
    {RULE_ML_004, F, "another vault", PAIR("key_vault: 'outside:k'", "key_vault: 'outside:l'")},
    {RULE_ML_004, P, "", PAIR("key_vault: 'outside:k'", "key_vault: 'outside:k'")},
    {RULE_ML_004, U, "key_vault", PAIR("", "key_vault: none")},
    {RULE_ML_005, F, "another registry",
     PAIR("container_registry: 'outside:k'", "container_registry: none")},
    {RULE_ML_005, F, "no replica in b",
     PAIR("container_registry: r",
          "container_registry: r") "- {id: r, type: container_registry, region: a}\n"},
    {RULE_ML_005, P, "",
     PAIR("container_registry: r",
          "container_registry: r") "- {id: r, type: container_registry, regions: [a, b]}\n"},
    {RULE_ML_005, U, "container_registry of z", PAIR("container_registry: 'outside:k'", "")},
    {RULE_ML_005, U, "regions of the registry",
     PAIR("container_registry: r",
          "container_registry: r") "- {id: r, type: container_registry, regions: [a, unknown]}\n"},
    {RULE_ML_006, F, "has none", PAIR("", "application_insights: none")},
    {RULE_ML_006, F, "both use",
     PAIR("application_insights: 'outside:i'", "application_insights: 'outside:i'")},
    {RULE_ML_006, P, "",
     PAIR("application_insights: 'outside:i'", "application_insights: 'outside:j'")},
    {RULE_ML_006, U, "application_insights of z", PAIR("application_insights: 'outside:i'", "")},
    {RULE_ML_007, F, "s is the default storage of w",
     HEAD "- {id: x, type: aml_datastore, attrs: {storage: s, holds: [training_data]}}\n" STORE(
         "s", "") "- {id: w, type: aml_workspace, region: a, attrs: {default_storage: s}}\n"},
    {RULE_ML_007, P, "",
     HEAD "- {id: x, type: aml_datastore, attrs: {storage: s, holds: "
          "[training_data]}}\n" STORE("s", "")},
    {RULE_ML_007, P, "",
     HEAD "- {id: x, type: aml_datastore, attrs: {storage: s, holds: [logs]}}\n" STORE(
         "s", "") "- {id: w, type: aml_workspace, region: a, attrs: {default_storage: s}}\n"},
    {RULE_ML_007, U, "holds",
     HEAD "- {id: x, type: aml_datastore, attrs: {storage: s}}\n" STORE(
         "s", "") "- {id: w, type: aml_workspace, region: a, attrs: {default_storage: s}}\n"},
    {RULE_ML_007, U, "default_storage of every",
     HEAD "- {id: x, type: aml_datastore, attrs: "
          "{storage: s, holds: [datasets]}}\n" STORE("s", "") OWNER_UNKNOWN},
    {RULE_ML_007, U, "storage",
     HEAD "- {id: x, type: aml_datastore, attrs: {holds: [datasets]}}\n"},
#define DATASTORE(to, rest)                                                                        \
    HEAD "- {id: x, type: aml_datastore, attrs: {storage: s, attached_to: [" to "]}}\n"            \
         "- {id: w, type: aml_workspace, region: a, peer: z, topology: hot/hot}\n"                 \
         "- {id: z, type: aml_workspace, region: b}\n" STORE("s", "") rest
    {RULE_ML_008, F, "attached to w, not to its peer z", DATASTORE("w", "")},
    {RULE_ML_008, P, "", DATASTORE("w, z", "")},
    {RULE_ML_008, P, "",
     DATASTORE("w", "- {id: twin, type: aml_datastore, attrs: {storage: s, "
                    "attached_to: [z]}}\n")},
    {RULE_ML_008, U, "may have more", DATASTORE("w, unknown", "")},
    {RULE_ML_008, U, "attached_to", HEAD "- {id: x, type: aml_datastore}\n"},
    {RULE_ML_008, U, "topology",
     HEAD "- {id: x, type: aml_datastore, attrs: {attached_to: [w]}}\n"
          "- {id: w, type: aml_workspace, region: a, peer: z}\n- {id: z, type: aml_workspace, "
          "region: b}\n"},
#define CLUSTER(mine, theirs)                                                                      \
    HEAD "- {id: x, type: aml_compute_cluster, region: a, attrs: {workspace: w, " mine "}}\n"      \
         "- {id: w, type: aml_workspace, region: a, peer: z, topology: hot/warm}\n"                \
         "- {id: z, type: aml_workspace, region: b}\n" theirs
#define OTHER(attrs)                                                                               \
    "- {id: other, type: aml_compute_cluster, region: b, attrs: {workspace: z, " attrs "}}\n"
    {RULE_ML_009, F, "none in z", CLUSTER("max_nodes: 8", "")},
    {RULE_ML_009, F, "at most 4 nodes, 8 are needed",
     CLUSTER("max_nodes: 8", OTHER("max_nodes: 4"))},
    {RULE_ML_009, P, "", CLUSTER("max_nodes: 8, needed_nodes: 4", OTHER("max_nodes: 4"))},
    {RULE_ML_009, U, "max_nodes of other", CLUSTER("max_nodes: 8", OTHER("min_nodes: 0"))},
    {RULE_ML_009, U, "workspace", HEAD "- {id: x, type: aml_compute_cluster, region: a}\n"},
#define NEEDS(region, attrs)                                                                       \
    HEAD "- {id: x, type: aml_workspace, region: a, peer: z}\n"                                    \
         "- {id: z, type: aml_workspace, region: " region "}\n"                                    \
         "- {id: cl, type: aml_compute_cluster, region: a, attrs: {workspace: x, " attrs "}}\n"
    {RULE_ML_010, F, "40 cores are needed in c, the quota is 10",
     NEEDS("c", "max_nodes: 10, cores_per_node: 4")},
    {RULE_ML_010, P, "", NEEDS("b", "needed_cores: 100")},
    {RULE_ML_010, U, "core_quota", NEEDS("d", "needed_cores: 1")},
    {RULE_ML_010, U, "max_nodes of cl, cores_per_node of cl", NEEDS("b", "min_nodes: 0")},
    {RULE_ML_011, F, "created_by is aml", ONE("aks_cluster", "created_by: aml")},
    {RULE_ML_011, P, "", ONE("aks_cluster", "created_by: customer")},
    {RULE_ML_011, U, "created_by", ONE("aks_cluster", "")},
    {RULE_ML_012, F, "in 0 zones", HEAD "- {id: x, type: aks_cluster, region: a, zones: []}\n"},
    {RULE_ML_012, F, "in 1 zones", HEAD "- {id: x, type: aks_cluster, region: a, zones: [1]}\n"},
    {RULE_ML_012, P, "", HEAD "- {id: x, type: aks_cluster, region: a, zones: [1, 2]}\n"},
    {RULE_ML_012, N, "", HEAD "- {id: x, type: aks_cluster, region: c, zones: []}\n"},
    {RULE_ML_012, U, "zones", ONE("aks_cluster", "")},
    {RULE_ML_013, F, "is false",
     ONE("aks_cluster", "workspace: w, attach_in_template: false") OWNER_UNKNOWN},
    {RULE_ML_013, P, "",
     ONE("aks_cluster", "workspace: w, attach_in_template: true") OWNER_UNKNOWN},
    {RULE_ML_013, N, "", ONE("aks_cluster", "attach_in_template: false")},
    {RULE_ML_013, U, "attach_in_template", ONE("aks_cluster", "workspace: w") OWNER_UNKNOWN},
    {RULE_ML_013, U, "workspace", ONE("aks_cluster", "attach_in_template: false") OWNER_UNKNOWN},
    {RULE_ML_014, F, "models_replicated is false", PAIR("models_replicated: false", "")},
    {RULE_ML_014, P, "", PAIR("models_replicated: true", "")},
    {RULE_ML_014, U, "models_replicated", PAIR("", "")},
    {RULE_ML_015, F, "environments_as_code is false", WS("environments_as_code: false")},
    {RULE_ML_015, F, "pipelines_as_code is false",
     WS("environments_as_code: true, "
        "pipelines_as_code: false")},
    {RULE_ML_015, P, "", WS("environments_as_code: true, pipelines_as_code: true")},
    {RULE_ML_015, U, "pipelines_as_code", WS("environments_as_code: true")},
    {RULE_ML_016, F, "designer_pipelines is 2", WS("designer_pipelines: 2")},
    {RULE_ML_016, P, "", WS("designer_pipelines: 0")},
    {RULE_ML_016, U, "designer_pipelines", WS("")},
    {RULE_ML_017, F, "datasets_copy_planned is true", WS("datasets_copy_planned: true")},
    {RULE_ML_017, P, "", WS("datasets_copy_planned: false")},
    {RULE_ML_017, U, "datasets_copy_planned", WS("")},
#define RUN(steps) "runbooks: [{id: rb, " steps "attrs: {applies_to: [x]}}]\n"
    {RULE_ML_018, F, "resubmit_jobs", WS("") RUN("steps: [{kind: promote}], ")},
    {RULE_ML_018, F, "resubmit_jobs", WS("") "runbooks: []\n"},
    {RULE_ML_018, P, "", WS("") RUN("steps: [{kind: resubmit_jobs}], ")},
    {RULE_ML_018, U, "runbooks", WS("")},
    {RULE_ML_018, U, "steps", WS("") RUN("")},
    {RULE_ML_019, F, "config_file is false", WS("config_file: false")},
    {RULE_ML_019, P, "", WS("config_file: true")},
    {RULE_ML_019, U, "config_file", WS("")},
#define PIPELINE(attrs, peer)                                                                      \
    HEAD "- {id: x, type: cicd_pipeline, attrs: {" attrs "}}\n"                                    \
         "- {id: w, type: aml_workspace, region: a" peer "}\n"                                     \
         "- {id: z, type: aml_workspace, region: b}\n"
    {RULE_ML_020, F, "not to b", PIPELINE("targets: [a], deploys: [w]", ", peer: z")},
    {RULE_ML_020, P, "", PIPELINE("targets: [a, b], deploys: [w]", ", peer: z")},
    {RULE_ML_020, U, "targets", PIPELINE("deploys: [w]", ", peer: z")},
    {RULE_ML_020, U, "peer of what it deploys", PIPELINE("targets: [a], deploys: [w]", "")},
    {RULE_ML_021, F, "not in the estate", WS("cmk: true, cmk_account: 'outside:c'")},
    {RULE_ML_021, F, "not in the estate", WS("cmk: true")},
    {RULE_ML_021, F, "db fails HF-CDB-001",
     WS("cmk: true, cmk_account: db") "- {id: db, type: cosmos_account, region: a}\n"},
    {RULE_ML_021, P, "", WS("cmk: false")},
    {RULE_ML_021, P, "",
     WS("cmk: true, cmk_account: db") "- {id: db, type: cosmos_account, class: o, "
                                      "regions: [{name: a, zone_redundant: true}, {name: b, "
                                      "zone_redundant: true}, {name: c}], attrs: "
                                      "{automatic_failover: true, consistency: strong, "
                                      "backup_type: continuous, backup_redundancy: "
                                      "geo}}\n"},
    {RULE_ML_021, U, "cmk", WS("")},
    {RULE_ML_021, U, "cmk_account",
     WS("cmk: true") "- {id: db, type: cosmos_account, region: a}\n"},
    {RULE_ML_021, U, "attributes of its Cosmos DB account",
     WS("cmk: true, cmk_account: db") "- {id: db, type: cosmos_account, regions: [a, b]}\n"},
    {RULE_ML_022, F, "outputs_readable is false", WS("outputs_readable: false")},
    {RULE_ML_022, P, "", WS("outputs_readable: true")},
    {RULE_ML_022, U, "outputs_readable", WS("")},
#define ROLES(mine, theirs)                                                                        \
    HEAD "- {id: x, type: role_assignment, attrs: {" mine "}}\n"                                   \
         "- {id: w, type: aml_workspace, region: a, peer: z}\n"                                    \
         "- {id: z, type: aml_workspace, region: b}\n" theirs
#define THERE(attrs) "- {id: r2, type: role_assignment, attrs: {scope: z, " attrs "}}\n"
    {RULE_ML_023, F, "ops is reader on w, not on z",
     ROLES("scope: w, principal: ops, role: reader", THERE("principal: ops, role: owner"))},
    {RULE_ML_023, P, "",
     ROLES("scope: w, principal: ops, role: reader", THERE("principal: ops, role: reader"))},
    {RULE_ML_023, N, "", ROLES("scope: z, principal: ops, role: reader", "")},
    {RULE_ML_023, U, "principal, role", ROLES("scope: w", "")},
    {RULE_ML_023, U, "peer's assignments",
     ROLES("scope: w, principal: ops, role: reader", THERE("role: reader"))},
    {RULE_ML_024, F, "it is in a only",
     HEAD "- {id: x, type: vpn_gateway, region: a, peer: none}\n"},
    {RULE_ML_024, F, "it is in a only", ONE("virtual_network", "")},
    {RULE_ML_024, P, "",
     HEAD "- {id: x, type: private_endpoint, region: a, peer: z}\n"
          "- {id: z, type: private_endpoint, region: b}\n"},
    {RULE_ML_024, N, "", HEAD "- {id: x, type: dns_zone}\n"},
    {RULE_ML_024, U, "peer",
     HEAD "- {id: x, type: virtual_network, region: a}\n"
          "- {id: z, type: virtual_network, region: b}\n"},
    {RULE_ML_025, F, "in_template is false", ONE("key_vault", "in_template: false")},
    {RULE_ML_025, P, "", ONE("key_vault", "in_template: true")},
    {RULE_ML_025, U, "in_template", ONE("key_vault", "")},
#define TWO(first, second)                                                                         \
    HEAD "- {id: x, type: aml_workspace, region: " first ", peer: z}\n"                            \
         "- {id: z, type: aml_workspace, region: " second "}\n"                                    \
         "- {id: kv, type: key_vault, region: a}\n"
    {RULE_ML_026, F, "both are in a", TWO("a", "a")},
    {RULE_ML_026, F, "access to c is restricted", TWO("a", "c")},
    {RULE_ML_026, F, "the pair of a is b, not d", TWO("a", "d")},
    {RULE_ML_026, P, "", TWO("a", "b")},
    {RULE_ML_026, P, "", TWO("c", "b")},
    {RULE_ML_026, U, "pair of the region", TWO("d", "b")},
    {RULE_ML_027, F, "key_vault is used in a and not offered in c", TWO("a", "c")},
    {RULE_ML_027, P, "", TWO("a", "b")},
    {RULE_ML_027, U, "not_offered", TWO("a", "d")},

    /* ---- vaults, registries, storage, telemetry ---- */
    {RULE_KV_001, F, "c has no pair",
     HEAD "- {id: x, type: key_vault, region: c, attrs: "
          "{relies_on_failover: true}}\n"},
    {RULE_KV_001, F, "used from two regions",
     HEAD "- {id: x, type: key_vault, region: c}\n"
          "- {id: w, type: aml_workspace, region: a, attrs: {key_vault: x}}\n"
          "- {id: z, type: aml_workspace, region: b, attrs: {key_vault: x}}\n"},
    {RULE_KV_001, P, "", ONE("key_vault", "relies_on_failover: true")},
    {RULE_KV_001, P, "",
     HEAD "- {id: x, type: key_vault, region: c, attrs: "
          "{relies_on_failover: false}}\n"},
    {RULE_KV_001, U, "pair of its region", HEAD "- {id: x, type: key_vault, region: d}\n"},
    {RULE_KV_001, U, "relies_on_failover", HEAD "- {id: x, type: key_vault, region: c}\n"},
    {RULE_KV_002, F, "step 1 (exec)", BOOK("steps: [{kind: exec, writes_secrets: true}]")},
    {RULE_KV_002, P, "",
     BOOK("steps: [{kind: exec, phase: before, writes_secrets: true}, "
          "{kind: promote}]")},
    {RULE_KV_002, U, "writes_secrets", BOOK("steps: [{kind: manual}]")},
    {RULE_KV_002, U, "steps", BOOK("owner: ops")},
    {RULE_ACR_001, F, "sku is basic", ONE("container_registry", "sku: basic")},
    {RULE_ACR_001, P, "", ONE("container_registry", "sku: premium")},
    {RULE_ACR_001, U, "sku", ONE("container_registry", "")},
    {RULE_ACR_002, F, "it is in a only", ONE("container_registry", "")},
    {RULE_ACR_002, F, "no replica in b, where z is",
     HEAD "- {id: x, type: container_registry, regions: [a, c]}\n"
          "- {id: w, type: aml_workspace, region: a, peer: z, attrs: {container_registry: x}}\n"
          "- {id: z, type: aml_workspace, region: b}\n"},
    {RULE_ACR_002, P, "", HEAD "- {id: x, type: container_registry, regions: [a, b]}\n"},
    {RULE_ACR_002, U, "regions",
     HEAD "- {id: x, type: container_registry, regions: [a, unknown]}\n"},
    {RULE_ACR_003, F, "zone_redundant is false",
     ONE("container_registry", "zone_redundant: false")},
    {RULE_ACR_003, P, "", ONE("container_registry", "zone_redundant: true")},
    {RULE_ACR_003, P, "", HEAD "- {id: x, type: container_registry, region: c}\n"},
    {RULE_ACR_003, U, "zone_redundant", ONE("container_registry", "")},
    {RULE_ACR_003, U, "zones of its region",
     HEAD "- {id: x, type: container_registry, region: d, "
          "attrs: {zone_redundant: false}}\n"},
    {RULE_ST_001, F, "x is lrs",
     ONE("storage_account", "redundancy: lrs, copy_in: [], backups: none")},
    {RULE_ST_001, F, "x has no copy", ONE("adls_gen1", "copy_in: [], backups: none")},
    {RULE_ST_001, P, "", ONE("storage_account", "redundancy: zrs, copy_in: [b]")},
    {RULE_ST_001, P, "", ONE("storage_account", "redundancy: grs")},
    {RULE_ST_001, P, "",
     ONE("storage_account",
         "redundancy: lrs, backups: [bk]") "- {id: bk, type: backup, region: b}\n"},
    {RULE_ST_001, N, "", HEAD STORE("x", "redundancy: lrs") OWNER},
    {RULE_ST_001, U, "copy_in, backups", ONE("storage_account", "redundancy: lrs")},
    {RULE_ST_001, U, "redundancy", ONE("storage_account", "copy_in: [], backups: none")},
    {RULE_ST_002, F, "last sync was 1h ago, the RPO is 5m",
     ONE("storage_account", "redundancy: grs, last_sync_time: 2026-11-27T23:00:00Z")},
    {RULE_ST_002, F, "never", ONE("storage_account", "redundancy: grs, last_sync_time: never")},
    {RULE_ST_002, P, "",
     ONE("storage_account", "redundancy: grs, last_sync_time: 2026-11-27T23:56:00Z")},
    {RULE_ST_002, N, "", ONE("storage_account", "redundancy: lrs")},
    {RULE_ST_002, U, "last_sync_time", ONE("storage_account", "redundancy: grs")},
    {RULE_ST_002, U, "objective rpo",
     HEAD STORE("x", "redundancy: grs, last_sync_time: 2026-11-27")},
    {RULE_ST_003, F, "restore_geo_redundancy",
     ONE("storage_account", "redundancy: grs, relies_on_failover: true")
         RUN("steps: [{kind: promote}], ")},
    {RULE_ST_003, P, "",
     ONE("storage_account", "redundancy: grs, relies_on_failover: true")
         RUN("steps: [{kind: restore_geo_redundancy}], ")},
    {RULE_ST_003, P, "", ONE("storage_account", "redundancy: grs, relies_on_failover: false")},
    {RULE_ST_003, U, "relies_on_failover", ONE("storage_account", "redundancy: grs")},
    {RULE_ST_003, U, "runbooks",
     ONE("storage_account", "redundancy: grs, relies_on_failover: true")},
    {RULE_ST_004, F, "it holds datasets", HEAD STORE("x", "holds: [logs, datasets]") OWNER},
    {RULE_ST_004, P, "", HEAD STORE("x", "holds: [logs]") OWNER},
    {RULE_ST_004, N, "", HEAD STORE("x", "holds: [datasets]")},
    {RULE_ST_004, U, "holds", HEAD STORE("x", "") OWNER},
    {RULE_ST_004, U, "may have more", HEAD STORE("x", "holds: [logs, unknown]") OWNER},
    {RULE_AI_001, F, "30 days, the policy says 90",
     ONE("application_insights", "retention_days: 30")},
    {RULE_AI_001, P, "", ONE("application_insights", "retention_days: 90")},
    {RULE_AI_001, U, "retention_days", ONE("application_insights", "")},
    {RULE_AI_001, U, "log_retention_days of the policy",
     HEAD_NO_POLICY
     "- {id: x, type: application_insights, region: a, attrs: {retention_days: 30}}\n"},

    /* ---- compute and databases ---- */
    {RULE_ACI_001, F, "orchestrator is false", ONE("container_instances", "orchestrator: false")},
    {RULE_ACI_001, P, "", ONE("container_instances", "orchestrator: true")},
    {RULE_ACI_001, U, "orchestrator", ONE("container_instances", "")},
#define META(attrs) "- {id: m, type: hive_metastore, region: a, attrs: {" attrs "}}\n"
    {RULE_HDI_001, F, "ha_components is false", ONE("hdinsight_cluster", "ha_components: false")},
    {RULE_HDI_001, F, "built-in",
     ONE("hdinsight_cluster", "ha_components: true, "
                              "external_metastore: none")},
    {RULE_HDI_001, F, "m has no copy",
     ONE("hdinsight_cluster", "ha_components: true, "
                              "external_metastore: m")
         META("copy_in: [], backups: none, geo_backup: false, failover_group: "
              "false")},
    {RULE_HDI_001, P, "",
     ONE("hdinsight_cluster", "ha_components: true, external_metastore: m")
         META("geo_backup: true")},
    {RULE_HDI_001, U, "ha_components",
     ONE("hdinsight_cluster", "external_metastore: m") META("geo_backup: true")},
    {RULE_SQL_001, F, "failover_group is false", ONE("sql_database", "failover_group: false")},
    {RULE_SQL_001, P, "", ONE("sql_database", "failover_group: true")},
    {RULE_SQL_001, P, "", HEAD "- {id: x, type: sql_database, regions: [a, b]}\n"},
    {RULE_SQL_001, U, "failover_group", ONE("sql_database", "")},
#define LONELY "copy_in: [], backups: none, geo_backup: false"
    {RULE_PG_001, F, "ha_mode is none", ONE("postgresql_server", "ha_mode: none, " LONELY)},
    {RULE_PG_001, F, "ha_mode is none", ONE("postgresql_single_server", "ha_mode: none, " LONELY)},
    {RULE_PG_001, P, "", ONE("postgresql_server", "ha_mode: none, geo_backup: true")},
    {RULE_PG_001, P, "", ONE("postgresql_server", "ha_mode: same_zone, " LONELY)},
    {RULE_PG_001, U, "ha_mode", ONE("postgresql_server", LONELY)},
    {RULE_PG_001, U, "geo_backup", ONE("postgresql_server", "ha_mode: none")},
    {RULE_MY_001, F, "ha_mode is none", ONE("mysql_server", "ha_mode: none, " LONELY)},
    {RULE_MY_001, P, "", ONE("mysql_single_server", "geo_backup: true")},
    {RULE_MY_001, U, "ha_mode", ONE("mysql_server", LONELY)},
    {RULE_META_001, F, "not in the estate",
     ONE("databricks_workspace", "external_metastore: 'outside:hive'")},
    {RULE_META_001, F, "m has no copy",
     ONE("hdinsight_cluster", "external_metastore: m")
         META("copy_in: [], backups: none, geo_backup: false, failover_group: false")},
    {RULE_META_001, P, "",
     ONE("databricks_workspace", "external_metastore: m") META("failover_group: true")},
    {RULE_META_001, N, "", ONE("databricks_workspace", "external_metastore: none")},
    {RULE_META_001, U, "external_metastore", ONE("databricks_workspace", "")},
    {RULE_META_001, U, "copy_in of m",
     ONE("databricks_workspace", "external_metastore: m") META("")},

    /* ---- Databricks ---- */
    {RULE_DBX_001, F, "it has no peer",
     HEAD "- {id: x, type: databricks_workspace, region: a, peer: none}\n"},
    {RULE_DBX_001, F, "no other workspace", ONE("databricks_workspace", "")},
    {RULE_DBX_001, P, "", DBX("")},
    {RULE_DBX_001, U, "peer",
     HEAD "- {id: x, type: databricks_workspace, region: a}\n"
          "- {id: z, type: databricks_workspace, region: b}\n"},
    {RULE_DBX_002, F, "x is lrs",
     ONE("databricks_storage", "redundancy: lrs, copy_in: [], backups: "
                               "none")},
    {RULE_DBX_002, F, "s is zrs",
     ONE("databricks_workspace", "storage: s")
         STORE("s", "redundancy: zrs, copy_in: [], backups: none")},
    {RULE_DBX_002, P, "", ONE("databricks_storage", "redundancy: ra_grs")},
    {RULE_DBX_002, N, "", ONE("databricks_workspace", "storage: none")},
    {RULE_DBX_002, U, "redundancy", ONE("databricks_storage", "")},
    {RULE_DBX_002, U, "storage", ONE("databricks_workspace", "")},
    {RULE_DBX_003, F, "replicated_users is never", DBX("replicated_users: never")},
    {RULE_DBX_003, F, "the RPO is 5m", DBX(REPLICATED("2026-11-27"))},
    {RULE_DBX_003, P, "", DBX(REPLICATED("2026-11-27T23:58:00Z"))},
    {RULE_DBX_003, U, "replicated_users, replicated_notebooks", DBX("")},
    {RULE_DBX_004, F, "job_schedules is both", DBX("job_schedules: both")},
    {RULE_DBX_004, P, "", DBX("job_schedules: primary")},
    {RULE_DBX_004, U, "job_schedules", DBX("")},
    {RULE_DBX_005, F, "cluster_ids_mapped is false",
     DBX("jobs_on_existing_clusters: true, "
         "cluster_ids_mapped: false")},
    {RULE_DBX_005, P, "", DBX("cluster_ids_mapped: true")},
    {RULE_DBX_005, P, "", DBX("jobs_on_existing_clusters: false")},
    {RULE_DBX_005, U, "cluster_ids_mapped", DBX("jobs_on_existing_clusters: true")},
    {RULE_DBX_006, F, "libraries_by is notebooks", DBX("libraries_by: notebooks")},
    {RULE_DBX_006, P, "", DBX("libraries_by: api")},
    {RULE_DBX_006, U, "libraries_by", DBX("")},
    {RULE_DBX_007, F, "mounts_by is api", DBX("mounts_by: api")},
    {RULE_DBX_007, P, "", DBX("mounts_by: notebook")},
    {RULE_DBX_007, U, "mounts_by", DBX("")},
    {RULE_DBX_008, F, "acls_reapplied is false", DBX("sku: premium, acls_reapplied: false")},
    {RULE_DBX_008, P, "", DBX("sku: premium, acls_reapplied: true")},
    {RULE_DBX_008, N, "", DBX("sku: standard")},
    {RULE_DBX_008, U, "sku", DBX("acls_reapplied: false")},
    {RULE_DBX_009, F, "compute is in a, s in b",
     ONE("databricks_workspace",
         "storage: none, "
         "data_stores: [s]") "- {id: s, type: storage_account, region: b}\n"},
    {RULE_DBX_009, P, "",
     ONE("databricks_workspace", "storage: none, data_stores: [s]") STORE("s", "")},
    {RULE_DBX_009, U, "data_stores", ONE("databricks_workspace", "storage: none")},
    {RULE_DBX_009, U, "region of its data",
     ONE("databricks_workspace", "storage: none, data_stores: "
                                 "['outside:s']")},
    {RULE_DBX_010, F, "101 cores are needed in b, the quota is 100", DBX("needed_cores: 101")},
    {RULE_DBX_010, P, "", DBX("needed_cores: 100")},
    {RULE_DBX_010, U, "needed_cores", DBX("")},

    /* ---- Cosmos-type accounts ---- */
    {RULE_CDB_001, F, "its only region is a", CDB("a", "")},
    {RULE_CDB_001, F, "its only region is a", ONE("holdfast_account", "")},
    {RULE_CDB_001, P, "", CDB("a, b", "")},
    {RULE_CDB_001, U, "regions", CDB("a, unknown", "")},
    {RULE_CDB_001, U, "regions", HEAD "- {id: x, type: cosmos_account}\n"},
    {RULE_CDB_002, F, "automatic_failover is false",
     CDB("a, b", "automatic_failover: false, "
                 "multi_write: false")},
    {RULE_CDB_002, P, "", CDB("a, b", "automatic_failover: true")},
    {RULE_CDB_002, N, "", CDB("a", "automatic_failover: false")},
    {RULE_CDB_002, N, "", CDB("a, b", "automatic_failover: false, multi_write: true")},
    {RULE_CDB_002, U, "automatic_failover, multi_write", CDB("a, b", "")},
    {RULE_CDB_003, F, "false in b",
     CDB("{name: a, zone_redundant: true}, "
         "{name: b, zone_redundant: false}",
         "")},
    {RULE_CDB_003, P, "",
     CDB("{name: a, zone_redundant: true}, {name: c, zone_redundant: false}", "")},
    {RULE_CDB_003, U, "zone_redundant", CDB("a, b", "")},
    {RULE_CDB_003, U, "zones of its regions", CDB("{name: d, zone_redundant: false}", "")},
    {RULE_CDB_004, F, "zones_relied_on is true", CDB("a, b", "zones_relied_on: true")},
    {RULE_CDB_004, F, "zones of a are all", CDB("{name: a, zone_redundant: true}", "")},
    {RULE_CDB_004, P, "", CDB("a, b", "")},
    {RULE_CDB_004, P, "", CDB("{name: a, zone_redundant: true}", "zones_relied_on: false")},
    {RULE_CDB_004, U, "zones_relied_on", CDB("a", "")},
    {RULE_CDB_005, F, "the window of session is 15m", CDB("a, b", "consistency: session")},
    {RULE_CDB_005, F, "the window of bounded_staleness is 6m",
     CDB("a, b", "consistency: bounded_staleness, staleness_time: 6m")},
    {RULE_CDB_005, F, "acknowledges before",
     HEAD "- {id: x, type: holdfast_account, regions: [a, b], "
          "objective: {rpo: 0}, attrs: {consistency: session}}\n"},
    {RULE_CDB_005, P, "", CDB("a, b", "consistency: bounded_staleness")},
    {RULE_CDB_005, P, "", CDB("a, b", "consistency: strong")},
    {RULE_CDB_005, N, "", CDB("a", "consistency: session")},
    {RULE_CDB_005, U, "consistency", CDB("a, b", "")},
    {RULE_CDB_005, U, "objective rpo",
     HEAD "- {id: x, type: cosmos_account, regions: [a, b], attrs: "
          "{consistency: session}}\n"},
    {RULE_CDB_005, U, "replication_lag",
     HEAD "- {id: x, type: holdfast_account, class: o, regions: "
          "[a, b], attrs: {consistency: session}}\n"},
    {RULE_CDB_006, F, "strong over 2 regions", CDB("a, b", "consistency: strong")},
    {RULE_CDB_006, P, "", CDB("a, b, c", "consistency: strong")},
    {RULE_CDB_006, P, "", CDB("a, b", "consistency: session")},
    {RULE_CDB_006, P, "",
     HEAD "- {id: x, type: cosmos_account, regions: [a, b], objective: {rto: 2h}, "
          "attrs: {consistency: strong}}\n"},
    {RULE_CDB_006, U, "consistency", CDB("a, b", "")},
    {RULE_CDB_006, U, "objective",
     HEAD "- {id: x, type: cosmos_account, regions: [a, b], attrs: "
          "{consistency: strong}}\n"},
    {RULE_CDB_007, F, "99.999",
     HEAD "- {id: x, type: cosmos_account, regions: [a, b], class: high, "
          "attrs: {multi_write: false}}\n"},
    {RULE_CDB_007, P, "", CDB("a, b", "multi_write: false")},
    {RULE_CDB_007, P, "",
     HEAD "- {id: x, type: cosmos_account, regions: [a, b], class: high, "
          "attrs: {multi_write: true}}\n"},
    {RULE_CDB_007, U, "multi_write",
     HEAD "- {id: x, type: cosmos_account, region: a, class: high}\n"},
    {RULE_CDB_007, U, "write_availability",
     HEAD "- {id: x, type: cosmos_account, region: a, attrs: "
          "{multi_write: false}}\n"},
    {RULE_CDB_008, F, "conflict_policy is none",
     CDB("a, b", "multi_write: true, conflict_policy: none, "
                 "conflict_consumer: true")},
    {RULE_CDB_008, F, "conflict_consumer is false",
     CDB("a, b", "multi_write: true, "
                 "conflict_consumer: false")},
    {RULE_CDB_008, P, "",
     CDB("a, b", "multi_write: true, conflict_policy: custom, "
                 "conflict_consumer: true")},
    {RULE_CDB_008, N, "", CDB("a, b", "multi_write: false, conflict_policy: none")},
    {RULE_CDB_008, U, "multi_write",
     CDB("a, b", "conflict_policy: none, conflict_consumer: false")},
    {RULE_CDB_008, U, "conflict_policy", CDB("a, b", "multi_write: true, conflict_consumer: true")},
    {RULE_CDB_009, F, "client_regions has no b", CDB("a, b", "client_regions: [a]")},
    {RULE_CDB_009, P, "", CDB("a, b", "client_regions: [b, a]")},
    {RULE_CDB_009, U, "client_regions", CDB("a, b", "")},
    {RULE_CDB_009, U, "may have more", CDB("a, b", "client_regions: [a, unknown]")},
    {RULE_CDB_010, F, "400 are left",
     CDB("{name: a, throughput: 600}, {name: b, throughput: 400}", "throughput_demand: 500")},
    {RULE_CDB_010, P, "",
     CDB("{name: a, throughput: 600}, {name: b, throughput: 400}", "throughput_demand: 400")},
    {RULE_CDB_010, N, "", CDB("a, b", "serverless: true")},
    {RULE_CDB_010, U, "throughput_demand",
     CDB("{name: a, throughput: 600}, {name: b, throughput: 1}", "")},
    {RULE_CDB_010, U, "throughput of its regions", CDB("a, b", "throughput_demand: 400")},
    {RULE_CDB_011, F, "never", CDB("a, b", "last_drill: never")},
    {RULE_CDB_011, F, "the policy says 90d", CDB("a, b", "last_drill: 2026-08-29")},
    {RULE_CDB_011, P, "", CDB("a, b", "last_drill: 2026-08-30")},
    {RULE_CDB_011, U, "last_drill", CDB("a, b", "")},
    {RULE_CDB_012, F, "a is there twice", CDB("a, a", "")},
    {RULE_CDB_012, F, "same priority", CDB("{name: a, priority: 0}, {name: b, priority: 0}", "")},
    {RULE_CDB_012, F, "1 of 2 regions", CDB("{name: a, priority: 0}, b", "")},
    {RULE_CDB_012, F, "outage domain quake",
     CDB("{name: a, priority: 0}, {name: e, priority: 1}", "")},
    {RULE_CDB_012, P, "",
     CDB("{name: a, priority: 0}, {name: b, priority: 1}, "
         "{name: e, priority: 2}",
         "")},
    {RULE_CDB_012, N, "", CDB("a", "")},
    {RULE_CDB_012, U, "priority", CDB("a, b", "")},
    {RULE_CDB_013, F, "false in a",
     CDB("{name: a, zone_redundant: false}, b", "multi_write: true")},
    {RULE_CDB_013, P, "",
     CDB("{name: a, zone_redundant: true}, {name: c, zone_redundant: false}", "multi_write: true")},
    {RULE_CDB_013, N, "", CDB("{name: a, zone_redundant: false}, b", "multi_write: false")},
    {RULE_CDB_013, U, "multi_write", CDB("{name: a, zone_redundant: false}, b", "")},
    {RULE_CDB_013, U, "zone_redundant", CDB("a, b", "multi_write: true")},
    {RULE_CDB_014, F, "backup_type is none", CDB("a", "backup_type: none")},
    {RULE_CDB_014, F, "redundancy is local",
     CDB("a", "backup_type: continuous, "
              "backup_redundancy: local")},
    {RULE_CDB_014, F, "a backup each 4h, the RPO is 5m",
     CDB("a", "backup_type: periodic, "
              "backup_interval: 4h, backup_redundancy: geo")},
    {RULE_CDB_014, F, "kept 8h, the policy says 7d",
     CDB("a", "backup_type: periodic, "
              "backup_interval: 1m, backup_retention: 8h, backup_redundancy: geo")},
    {RULE_CDB_014, P, "", CDB("a", "backup_type: continuous, backup_redundancy: geo")},
    {RULE_CDB_014, P, "",
     CDB("a", "backup_type: periodic, backup_interval: 5m, "
              "backup_retention: 30d, backup_redundancy: geo")},
    {RULE_CDB_014, U, "backup_redundancy", CDB("a", "backup_type: continuous")},
    {RULE_CDB_014, U, "backup_interval", CDB("a", "backup_type: periodic, backup_redundancy: geo")},

    /* ---- managed services ---- */
    {RULE_OS_001, F, "own_backup is false", ONE("openscale_service", "own_backup: false")},
    {RULE_OS_001, P, "", ONE("openscale_content", "own_backup: true")},
    {RULE_OS_001, U, "own_backup", ONE("openscale_service", "")},
    {RULE_OS_002, F, "cross_region_routing is false",
     ONE("openscale_routing", "cross_region_routing: false")},
    {RULE_OS_002, P, "", ONE("openscale_service", "cross_region_routing: true")},
    {RULE_OS_002, U, "cross_region_routing", ONE("openscale_service", "")},
    {RULE_OS_003, F, "rpo_in_writing is false", ONE("openscale_database", "rpo_in_writing: false")},
    {RULE_OS_003, P, "", ONE("openscale_database", "rpo_in_writing: true")},
    {RULE_OS_003, U, "rpo_in_writing", ONE("openscale_service", "")},

    /* ---- backups ---- */
    {RULE_BK_001, F, "no backup, and no copy", ONE("postgresql_server", LONELY)},
    {RULE_BK_001, F, "no backup, and no copy",
     HEAD "- {id: x, type: key_vault, region: c, attrs: "
          "{copy_in: [], backups: none}}\n"},
    {RULE_BK_001, P, "", ONE("key_vault", "copy_in: [], backups: none")},
    {RULE_BK_001, P, "", ONE("mysql_server", "copy_in: [b]")},
    {RULE_BK_001, P, "",
     ONE("sql_database", "copy_in: [], backups: [bk]") "- {id: bk, type: backup, region: a}\n"},
    {RULE_BK_001, U, "backups, copy_in", ONE("postgresql_server", "")},
    {RULE_BK_002, F, "recoverable up to 10m ago, the RPO of data is 5m",
     BACKUP("region: b", "last_recoverable_point: 2026-11-27T23:50:00Z")},
    {RULE_BK_002, F, "never", BACKUP("region: b", "last_recoverable_point: never")},
    {RULE_BK_002, P, "", BACKUP("region: b", "last_recoverable_point: 2026-11-27T23:55:00Z")},
    {RULE_BK_002, U, "last_recoverable_point", BACKUP("region: b", "")},
    {RULE_BK_003, F, "last_verify_ok is false", BACKUP("region: b", "last_verify_ok: false")},
    {RULE_BK_003, F, "the policy says 7d",
     BACKUP("region: b", "last_verify_ok: true, "
                         "last_verified: 2026-11-20T23:00:00Z")},
    {RULE_BK_003, P, "", BACKUP("region: b", "last_verify_ok: true, last_verified: 2026-11-21")},
    {RULE_BK_003, U, "last_verify_ok", BACKUP("region: b", "last_verified: 2026-11-21")},
    {RULE_BK_004, F, "last_restore is never", BACKUP("region: b", "last_restore: never")},
    {RULE_BK_004, P, "", BACKUP("region: b", "last_restore: 2026-09-01")},
    {RULE_BK_004, U, "last_restore", BACKUP("region: b", "")},
    {RULE_BK_005, F, "it is in a, as data is", BACKUP("region: a", "same_account_as_data: false")},
    {RULE_BK_005, F, "same_account_as_data is true",
     BACKUP("region: b", "same_account_as_data: true")},
    {RULE_BK_005, P, "", BACKUP("region: b", "same_account_as_data: false")},
    {RULE_BK_005, U, "same_account_as_data", BACKUP("region: b", "")},
    {RULE_BK_005, U, "region", BACKUP("region: unknown", "same_account_as_data: false")},
    {RULE_BK_006, F, "deletable_by_node is true", BACKUP("region: b", "deletable_by_node: true")},
    {RULE_BK_006, F, "locked is false",
     BACKUP("region: b", "deletable_by_node: false, locked: false")},
    {RULE_BK_006, P, "", BACKUP("region: b", "deletable_by_node: false, locked: true")},
    {RULE_BK_006, U, "locked", BACKUP("region: b", "deletable_by_node: false")},

    /* ---- routes ---- */
    {RULE_RT_001, F, "health_check is endpoint", ROUTE("health_check: endpoint")},
    {RULE_RT_001, P, "", ROUTE("health_check: role")},
    {RULE_RT_001, U, "health_check", ROUTE("")},
    {RULE_RT_002, F, "ttl is 4m, at most 225s fits an RTO of 15m", ROUTE("serves: [app], ttl: 4m")},
    {RULE_RT_002, F, "negative_ttl is 5m", ROUTE("serves: [app], ttl: 1m, negative_ttl: 5m")},
    {RULE_RT_002, P, "", ROUTE("serves: [app], ttl: 225s, negative_ttl: 1m")},
    {RULE_RT_002, U, "serves", ROUTE("ttl: 1m, negative_ttl: 1m")},
    {RULE_RT_002, U, "ttl", ROUTE("serves: [app]")},
    {RULE_RT_003, F, "needs a, the primary region of app",
     ROUTE("serves: [app], dns_providers: [one], "
           "provider_depends_on: [a], prestaged: false")},
    {RULE_RT_003, P, "", ROUTE("dns_providers: [one, two]")},
    {RULE_RT_003, P, "", ROUTE("prestaged: true")},
    {RULE_RT_003, P, "", ROUTE("serves: [app], dns_providers: [one], provider_depends_on: [b]")},
    {RULE_RT_003, U, "dns_providers, provider_depends_on", ROUTE("serves: [app]")},
    {RULE_RT_003, U, "prestaged",
     ROUTE("serves: [app], dns_providers: [one], "
           "provider_depends_on: [a]")},
    {RULE_RT_004, F, "min_targets is 0", ROUTE("min_targets: 0")},
    {RULE_RT_004, P, "", ROUTE("min_targets: 1")},
    {RULE_RT_004, U, "min_targets", ROUTE("")},
    {RULE_RT_005, F, "2 controllers", ROUTE("controllers: 2, controller_guard: none")},
    {RULE_RT_005, P, "", ROUTE("controllers: 2, controller_guard: epoch")},
    {RULE_RT_005, P, "", ROUTE("controllers: 1, controller_guard: none")},
    {RULE_RT_005, U, "controller_guard", ROUTE("controllers: 2")},

    /* ---- runbooks ---- */
    {RULE_RB_001, F, "RTO 15m", ONE("application", "") "runbooks: []\n"},
    {RULE_RB_001, P, "", ONE("application", "") RUN("")},
    {RULE_RB_001, N, "", HEAD "- {id: x, type: application}\nrunbooks: []\n"},
    {RULE_RB_001, U, "runbooks", ONE("application", "")},
    {RULE_RB_002, F, "no owner", BOOK("steps: []")},
    {RULE_RB_002, F, "step 2 is manual",
     BOOK("owner: ops, steps: [{kind: manual, who: me}, "
          "{kind: manual}]")},
    {RULE_RB_002, P, "", BOOK("owner: ops, steps: [{kind: manual, who: me}, {kind: exec}]")},
    {RULE_RB_002, U, "steps", BOOK("owner: ops")},
    {RULE_RB_003, F, "executes_from",
     BOOK("attrs: {evacuates: [a], stored_in: [a, b], "
          "executes_from: [a], authenticates_through: [b]}")},
    {RULE_RB_003, P, "",
     BOOK("attrs: {evacuates: [a], stored_in: [a, b], executes_from: [b], "
          "authenticates_through: [b]}")},
    {RULE_RB_003, U, "authenticates_through",
     BOOK("attrs: {evacuates: [a], stored_in: [b], "
          "executes_from: [a, unknown]}")},
    {RULE_RB_004, F, "validation is failing", BOOK("attrs: {validation: failing}")},
    {RULE_RB_004, F, "last_drill is never",
     BOOK("attrs: {validation: passing, last_drill: never}")},
    {RULE_RB_004, P, "", BOOK("attrs: {validation: passing, last_drill: 2026-11-01}")},
    {RULE_RB_004, U, "last_drill", BOOK("attrs: {validation: passing}")},
};

static const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {
        [N] = "not applicable", [P] = "pass", [F] = "fires", [U] = "unknown"};
    return names[v];
}

static void run_case(size_t i)
{
    struct estate *e = NULL;
    struct errinfo ei = {0};
    t_checkf(estate_read(str_of(cases[i].text), STR("case"), &e, &ei) == OK, "case %zu: %s: %s", i,
             rule_info(cases[i].rule)->id, ei.message);
    int64_t at = 0;
    t_check(estate_parse_time(STR("2026-11-28"), &at));
    struct arena arena;
    arena_init(&arena);
    struct posture p;
    posture_init(&p, &arena, e, at);
    struct eval ev;
    enum verdict v = rule_eval(&p, cases[i].rule, estate_find(e, STR("x")), &ev);
    struct str told = v == F ? ev.observed : str_make(ev.missing, ev.missing_len);
    const char *id = rule_info(cases[i].rule)->id;
    if (v != cases[i].verdict) {
        t_fail_soft("%s (case %zu) says %s, not %s (" STR_FMT "):\n%s", id, i, verdict_name(v),
                    verdict_name(cases[i].verdict), STR_ARG(told), cases[i].text);
    } else if (v == F || v == U) {
        if (str_find(told, str_of(cases[i].told)) < 0) {
            t_fail_soft("%s (case %zu): " STR_FMT, id, i, STR_ARG(told));
        }
        t_check(ev.line > 0);
    }
    t_check(IMPLIES(v == F, ev.conf != EV_UNKNOWN));
    arena_done(&arena);
    estate_free(e);
}

static void test_cases(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        run_case(i);
    }
}

static void test_three_each(void)
{
    for (unsigned r = 0; r < RULE_COUNT; r++) {
        size_t n[4] = {0};
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
            n[cases[i].verdict] += cases[i].rule == r;
        }
        t_checkf(n[F] > 0, "%s: no case where it fires", rule_info(r)->id);
        t_checkf(n[P] > 0, "%s: no case where it passes", rule_info(r)->id);
        t_checkf(n[U] > 0, "%s: no case where it says unknown", rule_info(r)->id);
    }
}

static void test_table(void)
{
    /* Ids are unique and told apart from each other by more than their texts. */
    for (size_t i = 0; i < rule_count(); i++) {
        const struct rule_info *r = rule_info(i);
        t_check(rule_find(str_of(r->id)) == r);
        t_check(r->title[0] && r->expected[0] && r->why[0] && r->remedy[0] && r->sources[0]);
        t_check(rule_types((enum rule)i) != 0);
    }
    t_check(rule_find(STR("HF-XX-001")) == NULL);
    t_eq_u64(rule_count(), 85);
}

static void test_never_pass_empty(void)
{
    /* An asset of which nothing is stated passes no rule by silence: whatever its type, what a rule says
     * about it is unknown, does not apply, or fires. */
    for (unsigned t = 0; t < TYPE_COUNT; t++) {
        if (t == TYPE_ROUTE || t == TYPE_RUNBOOK) {
            continue;
        }
        char text[300];
        (void)snprintf(text, sizeof(text), "version: 1\nassets: [{id: x, type: %s}]\n",
                       estate_type_row((enum estate_type)t)->name);
        struct estate *e = NULL;
        struct errinfo ei = {0};
        t_ok_info(estate_read(str_of(text), STR("case"), &e, &ei), &ei);
        struct arena arena;
        arena_init(&arena);
        struct posture p;
        posture_init(&p, &arena, e, 0);
        for (unsigned r = 0; r < RULE_COUNT; r++) {
            struct eval ev;
            t_checkf(rule_eval(&p, (enum rule)r, e->assets[0], &ev) != P, "%s passes an empty %s",
                     rule_info(r)->id, estate_type_row((enum estate_type)t)->name);
        }
        arena_done(&arena);
        estate_free(e);
    }
}

int main(int argc, char **argv)
{
    t_start(argc, argv);
    t_run("each rule answers as its cases say", test_cases);
    t_run("each rule has a case that fires, one that does not, one unknown", test_three_each);
    t_run("the table of rules is sound", test_table);
    t_run("silence passes no rule", test_never_pass_empty);
    return t_done();
}
