/* Any bytes as a log line: nothing is read outside of them, and what is accepted is in range. `make fuzz`
 * runs it. */
#include "core/log_line.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t size, const struct log_line *line)
{
    if (line->server < text || line->server + line->server_len > text + size || line->server_len == 0)
        abort();
    if (line->backend < text || line->backend + line->backend_len > text + size) abort();
    if (line->status < -1 || line->status > 999 || line->total_ms < -1 || line->response_ms < -1) abort();
    if (line->retries < 0 || (line->failed && line->client_aborted)) abort();
    if ((line->status >= 500 || line->status < 100) && !line->failed && !line->client_aborted) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct log_line line;
    if (log_line_parse(text, size, &line)) check(text, size, &line);
    if (log_line_parse_nginx(text, size, &line)) check(text, size, &line);
    return 0;
}
