/* The timeline as a picture. See report.h.
 *
 *        1  2    3                        numbers of events: the table below the picture says what
 *   [ east      |//| west              ]  who may write, by the account's document
 *   |||||||||||      |||||||||||||||||||  writes acknowledged per 10 ms
 *   ___________/\________________________ what each other region lacked
 *   0 s        fault      +1 s
 *
 * Widths are in pixels of a fixed drawing, scaled by the page. More buckets than columns: a column shows
 * the mean of its buckets. */
#include "continuity/drill/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "continuity/drill/timeline.h"
#include "continuity/html.h"

enum {
    WIDTH = 1120,
    LEFT = 64,
    RIGHT = 16,
    PLOT_WIDTH = WIDTH - LEFT - RIGHT,
    MARKS_TOP = 8,
    MARK_ROW = 14,
    MARK_ROWS = 3,
    BAND_TOP = MARKS_TOP + MARK_ROWS * MARK_ROW + 4,
    BAND_HEIGHT = 22,
    ACKS_TOP = BAND_TOP + BAND_HEIGHT + 22,
    ACKS_HEIGHT = 150,
    LAG_TOP = ACKS_TOP + ACKS_HEIGHT + 34,
    LAG_HEIGHT = 90,
    AXIS_TOP = LAG_TOP + LAG_HEIGHT,
    HEIGHT = AXIS_TOP + 44,
    SAMPLE_GAP_MS = 400, /* longer without a sample: the line breaks */
    MARK_WIDTH = 18,
    GAP_SHOWN_MS = 50,
};

/* Told apart without colours, too: by name in the band and the legend. */
static const char *const palette[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#56b4e9", "#e69f00", "#8c6bb1", "#7a7a00"};

struct frame {
    const struct timeline *t;
    int64_t from_ms, to_ms;
    struct buf *out;
};

static const char *colour(size_t region)
{
    return palette[region % ARRAY_COUNT(palette)];
}

static double x_of(const struct frame *f, int64_t at_ms)
{
    int64_t at = at_ms < f->from_ms ? f->from_ms : at_ms > f->to_ms ? f->to_ms : at_ms;
    return LEFT + (double)(at - f->from_ms) * PLOT_WIDTH / (double)(f->to_ms - f->from_ms);
}

static bool is_inside(const struct frame *f, int64_t at_ms)
{
    return at_ms >= f->from_ms && at_ms <= f->to_ms;
}

/* ---- who writes ---- */

static void draw_band(const struct frame *f)
{
    const struct timeline *t = f->t;
    for (size_t i = 0; i < t->writer_count; i++) {
        int64_t start = i == 0 ? f->from_ms : t->writers[i].at_ms;
        int64_t end = i + 1 < t->writer_count ? t->writers[i + 1].at_ms : f->to_ms;
        if (end < f->from_ms || start > f->to_ms || end <= start) {
            continue;
        }
        double x = x_of(f, start);
        double w = x_of(f, end) - x;
        int region = t->writers[i].region;
        if (region < 0) {
            buf_printf(
                f->out,
                "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"var(--warnbg)\" "
                "stroke=\"var(--warn)\"><title>nobody may write</title></rect>\n",
                x, BAND_TOP, w < 1 ? 1 : w, BAND_HEIGHT);
            continue;
        }
        const char *name = t->regions[region];
        buf_printf(f->out,
                   "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>", x,
                   BAND_TOP, w, BAND_HEIGHT, colour((size_t)region));
        html_text(f->out, str_of(name));
        buf_add_cstr(f->out, " writes</title></rect>\n");
        if (w > 8.0 * (double)strlen(name) + 8) {
            buf_printf(f->out, "<text x=\"%.1f\" y=\"%d\" style=\"fill:#fff;font-weight:600\">",
                       x + 6, BAND_TOP + BAND_HEIGHT - 7);
            html_text(f->out, str_of(name));
            buf_add_cstr(f->out, "</text>\n");
        }
    }
    buf_printf(f->out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">writer</text>\n", LEFT - 8,
               BAND_TOP + BAND_HEIGHT - 7);
}

/* ---- writes ---- */

/* Mean per bucket in the column; the number of columns is at most the width. */
static double column_value(const struct frame *f, size_t first, size_t end)
{
    uint64_t sum = 0;
    for (size_t i = first; i < end && i < f->t->bucket_count; i++) {
        sum += f->t->acks[i];
    }
    return end > first ? (double)sum / (double)(end - first) : 0;
}

static void draw_acks(const struct frame *f)
{
    const struct timeline *t = f->t;
    size_t first = (size_t)(f->from_ms / TIMELINE_BUCKET_MS);
    size_t end = (size_t)(f->to_ms / TIMELINE_BUCKET_MS) + 1;
    size_t per_column = (end - first + PLOT_WIDTH - 1) / PLOT_WIDTH;
    double top = 1;
    for (size_t i = first; i < end; i += per_column) {
        double v = column_value(f, i, i + per_column);
        top = v > top ? v : top;
    }
    buf_printf(f->out, "<path fill=\"var(--fg)\" fill-opacity=\".75\" d=\"");
    double base = ACKS_TOP + ACKS_HEIGHT;
    for (size_t i = first; i < end && i < t->bucket_count; i += per_column) {
        double v = column_value(f, i, i + per_column);
        if (v > 0) {
            double x = x_of(f, (int64_t)i * TIMELINE_BUCKET_MS);
            double w = x_of(f, (int64_t)(i + per_column) * TIMELINE_BUCKET_MS) - x;
            double h = v * ACKS_HEIGHT / top;
            buf_printf(f->out, "M%.1f %.1fv-%.1fh%.1fv%.1fz", x, base, h, w > 1.6 ? w - 0.6 : w, h);
        }
    }
    buf_printf(f->out, "\"/>\n<path stroke=\"var(--line)\" d=\"M%d %.1fH%d\"/>\n", LEFT, base,
               WIDTH - RIGHT);
    buf_printf(f->out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">0</text>\n", LEFT - 8, base);
    buf_printf(f->out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.0f</text>\n", LEFT - 8,
               ACKS_TOP + 10, top);
    buf_printf(f->out, "<text x=\"%d\" y=\"%d\">writes acknowledged per %d ms%s</text>\n", LEFT,
               ACKS_TOP - 6, TIMELINE_BUCKET_MS, per_column > 1 ? " (mean of each column)" : "");
}

/* The longest silence, where it is longer than the spaces between the bars. */
static void draw_gap(const struct frame *f)
{
    int64_t from = 0;
    int64_t to = 0;
    if (timeline_longest_gap(f->t, &from, &to) && to - from >= GAP_SHOWN_MS) {
        double x = x_of(f, from);
        double w = x_of(f, to) - x;
        buf_printf(f->out,
                   "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"var(--badbg)\"/>"
                   "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" "
                   "style=\"fill:var(--bad);font-weight:600\">%" PRId64 " ms</text>\n",
                   x, ACKS_TOP, w, ACKS_HEIGHT, x + w / 2, ACKS_TOP + 16, to - from);
    }
}

/* ---- lag ---- */

static void draw_lag(const struct frame *f)
{
    const struct timeline *t = f->t;
    uint64_t top = 10;
    for (size_t i = 0; i < t->sample_count; i++) {
        if (is_inside(f, t->samples[i].at_ms) && t->samples[i].lag_operations > top) {
            top = t->samples[i].lag_operations;
        }
    }
    double base = LAG_TOP + LAG_HEIGHT;
    double legend_x = LEFT + 330;
    for (size_t region = 0; region < t->region_count; region++) {
        int64_t before_ms = INT64_MIN / 2;
        bool has_any = false;
        for (size_t i = 0; i < t->sample_count; i++) {
            const struct timeline_sample *s = &t->samples[i];
            if (s->region != region || !is_inside(f, s->at_ms)) {
                continue;
            }
            if (!has_any) {
                buf_printf(f->out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" d=\"",
                           colour(region));
            }
            has_any = true;
            bool is_new = s->at_ms - before_ms > SAMPLE_GAP_MS;
            buf_printf(f->out, "%c%.1f %.1f", is_new ? 'M' : 'L', x_of(f, s->at_ms),
                       base - (double)s->lag_operations * LAG_HEIGHT / (double)top);
            before_ms = s->at_ms;
        }
        if (has_any) {
            buf_printf(f->out,
                       "\"/>\n<path stroke=\"%s\" stroke-width=\"3\" d=\"M%.1f %dh18\"/>"
                       "<text x=\"%.1f\" y=\"%d\">",
                       colour(region), legend_x, LAG_TOP - 10, legend_x + 24, LAG_TOP - 6);
            html_text(f->out, str_of(t->regions[region]));
            buf_add_cstr(f->out, "</text>\n");
            legend_x += 40 + 8.0 * (double)strlen(t->regions[region]);
        }
    }
    buf_printf(f->out, "<path stroke=\"var(--line)\" d=\"M%d %.1fH%d\"/>\n", LEFT, base,
               WIDTH - RIGHT);
    buf_printf(f->out, "<text x=\"%d\" y=\"%d\">lag behind the writer, in operations</text>\n",
               LEFT, LAG_TOP - 6);
    buf_printf(f->out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">0</text>\n", LEFT - 8, base);
    buf_printf(f->out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%" PRIu64 "</text>\n", LEFT - 8,
               LAG_TOP + 10, top);
}

/* ---- time ---- */

static void draw_axis(const struct frame *f)
{
    static const int64_t steps_ms[] = {50,   100,   200,   500,   1000,   2000,
                                       5000, 10000, 30000, 60000, 120000, 300000};
    int64_t zero = f->t->fault_ms >= 0 ? f->t->fault_ms : 0;
    size_t i = 0;
    while (i + 1 < ARRAY_COUNT(steps_ms) && (f->to_ms - f->from_ms) / steps_ms[i] > 12) {
        i++;
    }
    int64_t step = steps_ms[i];
    int64_t first = (f->from_ms - zero) / step - 1;
    for (int64_t k = first; zero + k * step <= f->to_ms; k++) {
        int64_t at = zero + k * step;
        if (at < f->from_ms) {
            continue;
        }
        double x = x_of(f, at);
        buf_printf(f->out,
                   "<path stroke=\"var(--line)\" stroke-opacity=\".6\" d=\"M%.1f %dV%d\"/>\n", x,
                   ACKS_TOP, AXIS_TOP + 5);
        char label[32];
        if (step < 1000) {
            (void)snprintf(label, sizeof(label), "%s%" PRId64 " ms", k > 0 ? "+" : "", k * step);
        } else {
            (void)snprintf(label, sizeof(label), "%s%" PRId64 " s", k > 0 ? "+" : "",
                           k * step / 1000);
        }
        buf_printf(f->out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x,
                   AXIS_TOP + 20, x > WIDTH - 40 ? "end" : "middle", k == 0 ? "0" : label);
    }
    buf_printf(f->out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">time after the fault</text>\n",
               WIDTH - RIGHT, AXIS_TOP + 38);
}

static void draw_moment(const struct frame *f, int64_t at_ms, int label_y, const char *name,
                        const char *tint)
{
    if (at_ms >= 0 && is_inside(f, at_ms)) {
        double x = x_of(f, at_ms);
        bool is_late = x > WIDTH - 120;
        buf_printf(f->out,
                   "<path stroke=\"%s\" stroke-width=\"1.5\" stroke-dasharray=\"5 3\" d=\"M%.1f "
                   "%dV%d\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\" "
                   "style=\"fill:%s;font-weight:600\">%s</text>\n",
                   tint, x, BAND_TOP, AXIS_TOP, is_late ? x - 4 : x + 4, label_y,
                   is_late ? "end" : "start", tint, name);
    }
}

/* ---- events ---- */

static void draw_marks(const struct frame *f)
{
    double free_from[MARK_ROWS] = {0};
    for (size_t i = 0; i < f->t->event_count; i++) {
        const struct timeline_event *e = &f->t->events[i];
        if (!is_inside(f, e->at_ms)) {
            continue;
        }
        double x = x_of(f, e->at_ms);
        size_t row = 0;
        while (row < MARK_ROWS && x < free_from[row]) {
            row++;
        }
        buf_printf(f->out, "<path stroke=\"var(--dim)\" d=\"M%.1f %dv4\"/>", x, BAND_TOP - 4);
        if (row < MARK_ROWS) { /* no room: the table has it all the same */
            free_from[row] = x + MARK_WIDTH;
            buf_printf(f->out,
                       "<text x=\"%.1f\" y=\"%zu\" text-anchor=\"middle\" "
                       "style=\"font-size:10px;%s\">%zu</text>",
                       x, (size_t)MARKS_TOP + (row + 1) * MARK_ROW - 4,
                       e->kind == TIMELINE_DRILL ? "fill:var(--bad);font-weight:700"
                                                 : "fill:var(--dim)",
                       i + 1);
        }
    }
    buf_printf(f->out, "\n<text x=\"%d\" y=\"%d\" text-anchor=\"end\">events</text>\n", LEFT - 8,
               MARKS_TOP + MARK_ROWS * MARK_ROW - 4);
}

void drill_picture(const struct timeline *t, int64_t from_ms, int64_t to_ms, const char *id,
                   struct buf *out)
{
    ASSERT(from_ms >= 0 && to_ms > from_ms);
    struct frame f = {t, from_ms, to_ms, out};
    buf_printf(out,
               "<div class=\"scroll\"><svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
               "style=\"min-width:44rem;max-width:100%%;height:auto\" role=\"img\" "
               "aria-labelledby=\"%s-t %s-d\">\n"
               "<title id=\"%s-t\">Timeline</title><desc id=\"%s-d\">Who could write, writes "
               "acknowledged per %d ms and the lag of the other regions, from %" PRId64
               " ms before to %" PRId64 " ms after the fault. The tables have the same "
               "numbers.</desc>\n",
               WIDTH, HEIGHT, WIDTH, HEIGHT, id, id, id, id, TIMELINE_BUCKET_MS,
               t->fault_ms - from_ms, to_ms - t->fault_ms);
    draw_gap(&f);
    draw_axis(&f);
    draw_band(&f);
    draw_acks(&f);
    draw_lag(&f);
    draw_moment(&f, t->fault_ms, ACKS_TOP + ACKS_HEIGHT + 14, "fault", "var(--bad)");
    draw_moment(&f, t->healed_ms != t->fault_ms ? t->healed_ms : -1, ACKS_TOP + ACKS_HEIGHT + 14,
                "healed", "var(--info)");
    draw_moment(&f, t->back_ms, ACKS_TOP - 6, "all online", "var(--ok)");
    draw_marks(&f);
    buf_add_cstr(out, "</svg></div>\n");
}
