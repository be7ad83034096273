/* exposition: samples in Prometheus' text format 0.0.4, and what OpenMetrics adds to it. Pure: no I/O, no
 * allocation; names and labels point into the text.
 *
 * A line that is not a whole sample is unreadable: counted, never a value. Source: the Prometheus
 * documentation, "Exposition formats", and OpenMetrics 1.0, 5. */
#ifndef ENGINE_CORE_EXPOSITION_H
#define ENGINE_CORE_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

enum { EXPOSITION_MAX_LABELS = 64, EXPOSITION_MAX_LINE = 65536 };

struct exposition_label {
    const char *name, *value; /* the value as written, with its escapes */
    size_t name_len, value_len;
};

struct exposition_sample {
    const char *name;
    size_t name_len;
    struct exposition_label labels[EXPOSITION_MAX_LABELS];
    size_t label_count;
    double value; /* may be NaN or infinite, as the format allows */
};

enum exposition_line { EXPOSITION_SAMPLE, EXPOSITION_NOTHING, EXPOSITION_UNREADABLE, EXPOSITION_END };

/* Reads the line at *at of text[0..len) and moves *at behind it. NOTHING: a comment or an empty line. */
enum exposition_line exposition_next(const char *text, size_t len, size_t *at, struct exposition_sample *out);

/* Writes the label's value without its escapes into `out`, which has room for value_len bytes. Gives the
 * length. */
size_t exposition_unescape(const struct exposition_label *label, char *out);

#endif
