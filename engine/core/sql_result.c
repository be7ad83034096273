/* Rows as one run of bytes: a type byte a cell, then its value. One allocation that grows, filled
 * from any thread and read in order. */
#include "core/sql_driver.h"

#include "base/mem.h"

int sql_set_columns(struct sql_query *q, size_t count, const char *(*name)(void *from, size_t column),
                    void *from)
{
    if (q->names != NULL || count == 0) return 0;
    q->names = mem_zalloc(count * sizeof *q->names);
    if (q->names == NULL) return -ERR_MEMORY;
    q->columns = count;
    for (size_t i = 0; i < count; i++) {
        q->names[i] = mem_strdup(name(from, i));
        if (q->names[i] == NULL) return -ERR_MEMORY;
    }
    return 0;
}

void sql_put(struct sql_query *q, const struct sql_value *value)
{
    struct buf *b = &q->cells;
    buf_addch(b, (char)value->type);
    switch (value->type) {
    case SQL_NULL:
        break;
    case SQL_BOOL:
        buf_addch(b, value->boolean);
        break;
    case SQL_INT:
        buf_add(b, &value->integer, sizeof value->integer);
        break;
    case SQL_REAL:
        buf_add(b, &value->real, sizeof value->real);
        break;
    case SQL_TEXT:
    case SQL_BLOB:
        buf_add(b, &value->bytes.len, sizeof value->bytes.len);
        if (value->bytes.len > 0) buf_add(b, value->bytes.data, value->bytes.len);
        break;
    }
}

int sql_check_size(const struct sql_query *q, struct err *e)
{
    if (q->cells.failed) return err_set(e, ERR_MEMORY, "sql", "no memory for the rows of a query");
    if (q->cells.len > q->limit_bytes)
        return err_set(e, ERR_LIMIT, "sql", "the rows of a query are more than %zu bytes", q->limit_bytes);
    return 0;
}

bool sql_next(const struct sql_query *q, size_t *at, struct sql_value *out)
{
    if (*at >= q->cells.len) return false;
    const char *p = q->cells.data + *at;
    out->type = (enum sql_type)(unsigned char)*p++;
    switch (out->type) {
    case SQL_NULL:
        break;
    case SQL_BOOL:
        out->boolean = *p++ != 0;
        break;
    case SQL_INT:
        memcpy(&out->integer, p, sizeof out->integer);
        p += sizeof out->integer;
        break;
    case SQL_REAL:
        memcpy(&out->real, p, sizeof out->real);
        p += sizeof out->real;
        break;
    case SQL_TEXT:
    case SQL_BLOB:
        memcpy(&out->bytes.len, p, sizeof out->bytes.len);
        p += sizeof out->bytes.len;
        out->bytes.data = p;
        p += out->bytes.len;
        break;
    }
    *at = (size_t)(p - q->cells.data);
    return true;
}
