/* The estate over its regions, as SVG within an HTML page (continuity/html.h has the colours).
 *
 * A column for each region, a box for each place of an asset, an arrow from an asset to what it
 * depends on. Under a what-if each box says in a word and by its border what happens to it. More boxes
 * than PICTURE_BOXES_MAX are drawn one for each type in each region, with their number. */
#pragma once

#include "base/buf.h"
#include "continuity/posture/report.h"

enum {
    PICTURE_BOXES_MAX = 100,
    PICTURE_ARROWS_MAX = 600, /* what is left out is said below the picture */
};

void picture_write(const struct report *r, struct buf *out);
/* "ok", "warn", "bad", "info" or "mild": the style sheet's class for an effect. */
const char *picture_effect_class(enum effect e);
/* A sign that repeats the effect's word; "" for no effect. */
const char *picture_effect_sign(enum effect e);
