/* Whatever a server answers to a scrape: no crash, no endless loop, and every sample lies inside the text. */
#include "core/exposition.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = text + size;
    struct exposition_sample s;
    size_t at = 0, before = 0;
    for (enum exposition_line line; (line = exposition_next(text, size, &at, &s)) != EXPOSITION_END;
         before = at) {
        if (at <= before || at > size) abort();
        if (line != EXPOSITION_SAMPLE) continue;
        if (s.name_len == 0 || s.name < text || s.name + s.name_len > end) abort();
        for (size_t i = 0; i < s.label_count; i++) {
            const struct exposition_label *label = &s.labels[i];
            if (label->name_len == 0 || label->value < text || label->value + label->value_len > end) abort();
            char *value = malloc(label->value_len + 1);
            if (value != NULL && exposition_unescape(label, value) > label->value_len) abort();
            free(value);
        }
    }
    return 0;
}
