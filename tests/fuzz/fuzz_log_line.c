/* Any bytes as a log line: never a read outside, and a line that is accepted names a server inside the text.
 */
#include "core/log_line.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_line line;
    const char *text = (const char *)data;
    if (!log_line_parse(text, size, &line)) return 0;
    if (line.server < text || line.server + line.server_len > text + size || line.status < -1 ||
        line.status > 999)
        abort();
    return 0;
}
