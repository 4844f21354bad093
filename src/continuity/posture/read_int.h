/* Inside of reading an estate file: values (read_values.c), assets (read_asset.c), the rest and the order
 * of it all (read.c). A failure has the line it was found in. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/tree.h"

struct reader {
    struct estate *e;
    struct errinfo *ei;
    struct arena tree; /* of the text's tree: freed after reading */
};

struct read_field {
    const char *name;
    enum err (*set)(struct reader *r, void *to, const struct tree_node *v);
    bool is_required;
};

#define FAIL(r, node, ...)       read_fail((r), (node)->line, ERR_INVALID, __VA_ARGS__)
#define FAIL_LIMIT(r, node, ...) read_fail((r), (node)->line, ERR_LIMIT, __VA_ARGS__)

/* ---- read_values.c ---- */
/* Says file and line; returns `code`. */
enum err read_fail(struct reader *r, unsigned line, enum err code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Puts the line before a message of the model's. */
enum err read_at_line(struct reader *r, unsigned line, enum err err,
                      const struct errinfo *why) MUST_CHECK;
/* At most this much of a text from the file goes into a message. */
struct str read_brief(struct str s);
/* A plain scalar of just this word. */
bool read_is_word(const struct tree_node *v, const char *word);
/* Texts are as they stand in the file: what YAML would take for something else is refused. */
enum err read_text(struct reader *r, const struct tree_node *v, const char *what,
                   struct str *ret) MUST_CHECK;
enum err read_bool(struct reader *r, const struct tree_node *v, const char *what,
                   bool *ret) MUST_CHECK;
enum err read_tri(struct reader *r, const struct tree_node *v, const char *what,
                  enum estate_tri *ret) MUST_CHECK;
enum err read_int(struct reader *r, const struct tree_node *v, const char *what,
                  int64_t *ret) MUST_CHECK;
enum err read_number(struct reader *r, const struct tree_node *v, const char *what, double max,
                     double *ret) MUST_CHECK;
enum err read_duration(struct reader *r, const struct tree_node *v, const char *what,
                       int64_t *ret) MUST_CHECK;
enum err read_time(struct reader *r, const struct tree_node *v, const char *what, bool may_be_never,
                   int64_t *ret) MUST_CHECK;
enum err read_choice(struct reader *r, const struct tree_node *v, const char *what,
                     const char *(*name)(unsigned), unsigned first, unsigned n,
                     unsigned *ret) MUST_CHECK;
enum err read_topology(struct reader *r, const struct tree_node *v,
                       enum estate_topology *ret) MUST_CHECK;
enum err read_need_list(struct reader *r, const struct tree_node *v, const char *what) MUST_CHECK;
enum err read_texts(struct reader *r, const struct tree_node *v, const char *what,
                    const struct str **ret, size_t *ret_n, bool *ret_is_open) MUST_CHECK;
/* NULL: the map has no such key. */
const struct tree_node *read_member(const struct tree_node *map, const char *key);
/* With a suggestion when a key that there is is near. */
enum err read_unknown_key(struct reader *r, const struct tree_pair *pair, const char *what,
                          const char *nearest, unsigned distance) MUST_CHECK;
/* Fields in the order of the table; a NULL `set` was dealt with by the caller. */
enum err read_map(struct reader *r, const struct tree_node *v, const char *what,
                  const struct read_field *fields, size_t n, void *to) MUST_CHECK;
/* Each item of a list of maps. */
enum err read_list(struct reader *r, const struct tree_node *v, const char *what,
                   enum err (*item)(struct reader *r, const struct tree_node *v)) MUST_CHECK;

/* ---- read.c ---- */
enum err read_known_region(struct reader *r, const struct tree_node *v, const char *what,
                           struct str *ret) MUST_CHECK;
/* An asset's own: it names no class. */
enum err read_own_objective(struct reader *r, const struct tree_node *v,
                            struct estate_objective *o) MUST_CHECK;

/* ---- read_asset.c ---- */
enum err read_asset(struct reader *r, const struct tree_node *v) MUST_CHECK;
enum err read_route(struct reader *r, const struct tree_node *v) MUST_CHECK;
enum err read_runbook(struct reader *r, const struct tree_node *v) MUST_CHECK;
