/* Values on their way to PostgreSQL and back, as text: what our types are called there. */
#include "core/sql_postgres.h"

#include "base/mem.h"

#include <math.h>

/* Type oids are fixed by PostgreSQL's catalogue. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_OID = 26,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701
};

void postgres_put(struct sql_query *q, PGresult *res, int row, int column)
{
    struct sql_value v = {.type = SQL_NULL};
    char *text = PQgetvalue(res, row, column), *end;
    unsigned char *unescaped = NULL;
    if (!PQgetisnull(res, row, column)) {
        switch (PQftype(res, column)) {
        case OID_BOOL:
            v.type = SQL_BOOL;
            v.boolean = text[0] == 't';
            break;
        case OID_INT2:
        case OID_INT4:
        case OID_INT8:
        case OID_OID:
            v.type = SQL_INT;
            v.integer = strtoll(text, &end, 10);
            break;
        case OID_FLOAT4:
        case OID_FLOAT8:
            v.type = SQL_REAL;
            v.real = strtod(text, &end);
            break;
        case OID_BYTEA:
            v.type = SQL_BLOB;
            v.bytes.data = (char *)(unescaped = PQunescapeBytea((unsigned char *)text, &v.bytes.len));
            if (unescaped == NULL) q->cells.failed = true;
            break;
        default: /* numeric too: as text it is exact */
            v.type = SQL_TEXT;
            v.bytes.data = text;
            v.bytes.len = (size_t)PQgetlength(res, row, column);
        }
    }
    if (!q->cells.failed) sql_put(q, &v);
    PQfreemem(unescaped);
}

struct wire { /* parameters in the form that libpq wants */
    const char **values;
    int *lengths, *formats;
    Oid *types;
    char (*texts)[32];
};

static void wire_free(struct wire *w)
{
    mem_free(w->values);
    mem_free(w->lengths);
    mem_free(w->formats);
    mem_free(w->types);
    mem_free(w->texts);
}

/* The smallest fitting type lets the server widen it where a wider one is expected; strings stay
 * untyped, so that they become dates, JSON or whatever stands on the other side. */
static void wire_value(struct wire *w, size_t i, const struct sql_value *v)
{
    switch (v->type) {
    case SQL_NULL:
        return;
    case SQL_BOOL:
        w->types[i] = OID_BOOL;
        w->values[i] = v->boolean ? "t" : "f";
        return;
    case SQL_INT:
        w->types[i] = v->integer == (int32_t)v->integer ? OID_INT4 : OID_INT8;
        snprintf(w->texts[i], sizeof w->texts[i], "%lld", (long long)v->integer);
        break;
    case SQL_REAL:
        w->types[i] = OID_FLOAT8;
        if (isnan(v->real))
            snprintf(w->texts[i], sizeof w->texts[i], "NaN");
        else if (isinf(v->real))
            snprintf(w->texts[i], sizeof w->texts[i], "%sInfinity", v->real < 0 ? "-" : "");
        else
            snprintf(w->texts[i], sizeof w->texts[i], "%.17g", v->real);
        break;
    case SQL_TEXT:
        w->values[i] = v->bytes.data;
        return;
    case SQL_BLOB:
        w->types[i] = OID_BYTEA;
        w->formats[i] = 1;
        w->values[i] = v->bytes.data;
        w->lengths[i] = (int)v->bytes.len;
        return;
    }
    w->values[i] = w->texts[i];
}

int postgres_send(struct postgres *c)
{
    const struct sql_query *q = c->q;
    size_t n = q->param_count;
    struct wire w = {
        .values = mem_zalloc((n + 1) * sizeof *w.values),
        .lengths = mem_zalloc((n + 1) * sizeof *w.lengths),
        .formats = mem_zalloc((n + 1) * sizeof *w.formats),
        .types = mem_zalloc((n + 1) * sizeof *w.types),
        .texts = mem_zalloc((n + 1) * sizeof *w.texts),
    };
    int sent = -1;
    if (w.values && w.lengths && w.formats && w.types && w.texts) {
        for (size_t i = 0; i < n; i++)
            wire_value(&w, i, &q->params[i]);
        sent =
            PQsendQueryParams(c->pq, buf_str(&q->text), (int)n, w.types, w.values, w.lengths, w.formats, 0);
    }
    wire_free(&w);
    return sent;
}
