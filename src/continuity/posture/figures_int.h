/* The parts of the report that are computed for each asset. */
#pragma once

#include "continuity/posture/posture_int.h"

void figures_of(const struct posture *p, const struct estate_asset *a,
                struct figure rto[FIGURE_SOURCE_COUNT], struct figure rpo[FIGURE_SOURCE_COUNT]);
/* Recovery time of a topology by the policy's terms, whatever is there today. */
struct figure figures_planned_rto(const struct posture *p, const struct estate_asset *a,
                                  enum estate_topology t);
/* The best figure that there is against the objective, which is stated: measured before current
 * before estimated. */
enum estate_tri figures_meet(const struct figure f[FIGURE_SOURCE_COUNT]);

/* Assets that `a` cannot do without: depends_on, its storage, vault, registry, metastore, workspace
 * and the account behind its key. `fn` may be called twice for one of them. */
void needs_each(const struct estate_asset *a,
                void (*fn)(void *ctx, const struct estate_asset *needed), void *ctx);
bool is_on_path(const struct estate_asset *a);

/* Loss of a region (zone empty) or of one zone: outcomes[i] is that of estate.assets[i]. `assets` has
 * figures and peers already. */
void outcomes_of(const struct posture *p, const struct report_asset *assets, struct str region,
                 struct str zone, struct report_outcome *outcomes);

/* SLA figures of the report. */
void slas_of(const struct posture *p, struct report *r);

/* Reads a `holdfast drill --json` file; the newest of several stays. `name` is what the report calls
 * it, and lives as long. */
enum err drill_report_read(struct posture *p, const struct estate_asset *a, const char *path,
                           struct str name, struct errinfo *ei) MUST_CHECK;
