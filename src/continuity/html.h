/* Self-contained HTML pages for reports: one file, no script, nothing loaded from elsewhere; readable
 * on a narrow screen, on paper, in dark and light, and without seeing colours.
 *
 * Everything that comes from outside goes through html_text(); nothing else here escapes. Output goes
 * to a struct buf, which tells overflow as usual. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/* Text or attribute value: & < > " ' become references, control characters U+FFFD, bytes that are not
 * UTF-8 too. */
void html_text(struct buf *out, struct str s);
/* Same, cut to `width` characters; what is cut is shown as an ellipsis. */
void html_text_cut(struct buf *out, struct str s, size_t width);

/* Head with the style sheet, and the start of the page's body. `title` is escaped. */
void html_begin(struct buf *out, struct str title);
void html_end(struct buf *out);
