#include "core/http_link.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* --- what libcurl calls ------------------------------------------------------------------------- */

static size_t into_file(struct http_request *r, const char *bytes, size_t n)
{
    if (n > r->to_room) {
        r->refused = ERR_LIMIT;
        snprintf(r->refusal, sizeof r->refusal, "the body is larger than the limit of its file");
        return 0;
    }
    r->to_room -= n;
    for (size_t at = 0; at < n;) {
        ssize_t written = write(r->to_fd, bytes + at, n - at);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            r->refused = errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_IO;
            snprintf(r->refusal, sizeof r->refusal, "the file cannot be written: %s", strerror(errno));
            return 0;
        }
        at += (size_t)written;
    }
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    if (r->to_fd >= 0 && status >= 200 && status < 300) return into_file(r, bytes, n);
    if (n > r->max_response_bytes - r->response.body.len) {
        r->refused = ERR_LIMIT;
        return 0;
    }
    buf_add(&r->response.body, bytes, n);
    if (!buf_ok(&r->response.body)) {
        r->refused = ERR_MEMORY;
        return 0;
    }
    return n;
}

/* Called for each header line of each answer: those before redirects, and 100 Continue, too. */
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;
    struct buf *out = &r->response.headers;
    size_t n = size * count, len = n;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        buf_clear(out);
        buf_clear(&r->response.body);
        return n;
    }
    if (out->len + n > MAX_HEADER_BYTES) {
        r->refused = ERR_LIMIT;
        return 0;
    }
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    const char *colon = memchr(line, ':', len);
    if (colon == NULL) return n;
    for (const char *at = line; at < colon; at++)
        buf_addch(out, (char)tolower((unsigned char)*at));
    buf_add(out, colon, len - (size_t)(colon - line));
    buf_addch(out, '\n');
    if (!buf_ok(out)) r->refused = ERR_MEMORY;
    return buf_ok(out) ? n : 0;
}

/* Called for each line of the server. */
static size_t on_mail_line(char *line, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;
    size_t n = size * count, len = n;
    while (len > 0 && isspace((unsigned char)line[len - 1]))
        len--;
    if (len >= 3 && (line[0] == '4' || line[0] == '5'))
        snprintf(r->refusal, sizeof r->refusal, "%.*s", (int)len, line);
    return n;
}

static size_t on_upload(char *out, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;
    size_t n = r->body.len - r->sent;
    if (n > size * count) n = size * count;
    if (n > 0) memcpy(out, r->body.data + r->sent, n);
    r->sent += n;
    return n;
}

static size_t on_upload_file(char *out, size_t size, size_t count, void *arg)
{
    struct http_request *r = arg;
    size_t want = size * count;
    if ((off_t)want > r->body_end - r->body_at) want = (size_t)(r->body_end - r->body_at);
    ssize_t n;
    do
        n = want > 0 ? pread(r->body_fd, out, want, r->body_at) : 0;
    while (n < 0 && errno == EINTR);
    if (n < 0 || (n == 0 && want > 0)) {
        r->refused = ERR_IO;
        snprintf(r->refusal, sizeof r->refusal, "the file that is sent %s",
                 n < 0 ? strerror(errno) : "became shorter");
        return CURL_READFUNC_ABORT;
    }
    r->body_at += n;
    return (size_t)n;
}

/* libcurl begins again where a kept connection turned out to be closed. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_request *r = arg;
    if (origin != SEEK_SET || offset < 0 || offset > r->body_end - r->body_begin) return CURL_SEEKFUNC_FAIL;
    r->body_at = r->body_begin + (off_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int mail_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    struct http_request *r = arg;
    return work_is_canceled(&r->work);
}

/* --- what the caller gave ----------------------------------------------------------------------- */

static bool is_token_char(char c)
{
    return c != '\0' && (isalnum((unsigned char)c) || strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(const char *s)
{
    size_t n = 0;
    while (is_token_char(s[n]))
        n++;
    return n > 0 && s[n] == '\0';
}

/* "name: value" or "name;", in one line. */
static bool is_header(const char *s)
{
    size_t n = strcspn(s, ":;");
    for (size_t i = 0; i < n; i++)
        if (!is_token_char(s[i])) return false;
    return n > 0 && s[n] != '\0' && strpbrk(s, "\r\n") == NULL;
}

static bool is_address(const char *s)
{
    for (const char *at = s; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f || *at == '<' || *at == '>') return false;
    return *s != '\0';
}

/* Checks the URL and makes what may be shown of it: user, password, query and fragment may hold secrets. */
static int describe(struct http_request *r, const char *method, const char *text, struct err *e)
{
    char *scheme = NULL, *clean = NULL;
    CURLU *url = curl_url();
    CURLUcode rc = url ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
    if (rc == CURLUE_OK) {
        curl_url_set(url, CURLUPART_USER, NULL, 0);
        curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(url, CURLUPART_QUERY, NULL, 0);
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
        rc = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    }
    if (rc == CURLUE_OK) rc = curl_url_get(url, CURLUPART_URL, &clean, 0);
    if (rc == CURLUE_OK) {
        bool is_http = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
        bool is_smtp = strcmp(scheme, "smtp") == 0 || strcmp(scheme, "smtps") == 0;
        if (!(r->is_mail ? is_smtp : is_http)) rc = CURLUE_UNSUPPORTED_SCHEME;
        snprintf(r->label, sizeof r->label, "%s %s", r->is_mail ? "mail to" : method, clean);
        log_redact(r->label, strlen(r->label));
        snprintf(r->what, sizeof r->what, "%.*s", (int)sizeof r->what - 1, r->label);
    }
    curl_free(scheme);
    curl_free(clean);
    curl_url_cleanup(url);
    /* The text is not shown: what is no URL may still hold a password. */
    if (rc == CURLUE_OK) return 0;
    return err_set(e, ERR_USAGE, "http", "the address is not a URL such as %s: %s",
                   r->is_mail ? "smtp://host:25" : "http://host/path", curl_url_strerror(rc));
}

static bool append(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer == NULL) return false;
    *list = longer;
    return true;
}

static bool append_all(struct curl_slist **list, const char *const *texts)
{
    for (; texts != NULL && *texts != NULL; texts++)
        if (!append(list, *texts)) return false;
    return true;
}

/* Also takes out what libcurl would add by itself: waiting for 100 Continue, and a type that the body
 * has not got. */
static int read_lists(struct http_request *r, const struct http_options *o, struct err *e)
{
    bool has_type = false;
    for (const char *const *at = o->headers; at != NULL && *at != NULL; at++) {
        if (!is_header(*at))
            return err_set(e, ERR_USAGE, r->what, "%s: a header would break the request", r->label);
        has_type = has_type || strncasecmp(*at, "content-type", strcspn(*at, ":;")) == 0;
    }
    for (const char *const *at = o->mail_to; at != NULL && *at != NULL; at++)
        if (!is_address(*at))
            return err_set(e, ERR_USAGE, r->what, "%s: '%s' is no mail address", r->label, *at);
    if (r->is_mail && (!is_address(o->mail_from) || o->mail_to == NULL || o->mail_to[0] == NULL))
        return err_set(e, ERR_USAGE, r->what, "%s: a mail needs a sender and recipients", r->label);
    bool ok = append(&r->headers, "Expect:") && (has_type || append(&r->headers, "Content-Type:")) &&
              append_all(&r->headers, o->headers) && append_all(&r->connect_to, o->connect_to) &&
              append_all(&r->mail_to, o->mail_to);
    return ok ? 0 : err_set(e, ERR_MEMORY, r->what, "no memory for a request");
}

#define SET(option, value) (ok = ok && curl_easy_setopt(r->easy, CURLOPT_##option, value) == CURLE_OK)

static bool set_method(struct http_request *r, const struct http_options *o, const char *method)
{
    bool ok = true;
    bool is_post = strcmp(method, "POST") == 0;
    bool wants_body = is_post || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
    if (strcmp(method, "HEAD") == 0) {
        SET(NOBODY, 1L);
        return ok;
    }
    if (o->body_file != NULL) {
        SET(UPLOAD, 1L);
        SET(READFUNCTION, on_upload_file);
        SET(READDATA, r);
        SET(SEEKFUNCTION, on_seek);
        SET(SEEKDATA, r);
        SET(INFILESIZE_LARGE, (curl_off_t)o->body_file_bytes);
    } else if (o->body != NULL || wants_body) {
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        SET(POSTFIELDS, buf_str(&r->body));
    }
    /* Not for POST: libcurl then turns it into GET where a redirect demands that. */
    if (!is_post && (o->body != NULL || strcmp(method, "GET") != 0)) SET(CUSTOMREQUEST, method);
    return ok;
}

static bool set_http(struct http_request *r, const struct http_options *o, const char *method)
{
    bool ok = set_method(r, o, method);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(HTTPHEADER, r->headers);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, r);
    SET(ACCEPT_ENCODING, "");
    SET(FOLLOWLOCATION, o->max_redirects > 0 ? 1L : 0L);
    SET(MAXREDIRS, (long)o->max_redirects);
    SET(REDIR_PROTOCOLS_STR, "http,https");
    /* An answer to HEAD says how large a body would be, and has none. */
    if (o->to_file == NULL && strcmp(method, "HEAD") != 0)
        SET(MAXFILESIZE_LARGE, (curl_off_t)o->max_response_bytes);
    if (o->sigv4 != NULL) SET(AWS_SIGV4, o->sigv4);
    return ok;
}

static bool set_mail(struct http_request *r, const struct http_options *o)
{
    bool ok = true;
    SET(FORBID_REUSE, 1L); /* so that leaving the server happens on the worker too */
    SET(HEADERFUNCTION, on_mail_line);
    SET(HEADERDATA, r);
    SET(MAIL_FROM, o->mail_from);
    SET(MAIL_RCPT, r->mail_to);
    SET(UPLOAD, 1L);
    SET(READFUNCTION, on_upload);
    SET(READDATA, r);
    SET(INFILESIZE_LARGE, (curl_off_t)r->body.len);
    SET(XFERINFOFUNCTION, mail_progress);
    SET(XFERINFODATA, r);
    SET(NOPROGRESS, 0L);
    /* A password never travels in the clear. */
    SET(USE_SSL, o->password != NULL ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_TRY);
    SET(SERVER_RESPONSE_TIMEOUT, (long)(o->timeout_us / 1000000 + 1));
    return ok;
}

static bool set_options(struct http_request *r, const struct http_options *o, const char *method)
{
    bool ok = true;
    SET(PRIVATE, r);
    SET(ERRORBUFFER, r->curl_error);
    SET(URL, o->url);
    SET(PROTOCOLS_STR, "http,https,smtp,smtps");
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); /* a canceled request does not wait for its name lookup to end */
    SET(PROXY, "");      /* the machine's proxy settings are not the venture's */
    SET(TIMEOUT_MS, (long)((o->timeout_us + 999) / 1000));
    SET(CONNECTTIMEOUT_MS, (long)((o->connect_timeout_us + 999) / 1000));
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, r);
    if (o->ca_file != NULL) {
        SET(CAINFO, o->ca_file);
        SET(CAPATH, NULL);
    }
    if (o->user != NULL) SET(USERNAME, o->user);
    if (o->password != NULL) SET(PASSWORD, o->password);
    if (o->unix_socket != NULL) SET(UNIX_SOCKET_PATH, o->unix_socket);
    if (r->connect_to != NULL) SET(CONNECT_TO, r->connect_to);
    return ok && (r->is_mail ? set_mail(r, o) : set_http(r, o, method));
}

static int open_files(struct http_request *r, const struct http_options *o, struct err *e)
{
    if (o->body_file != NULL) {
        r->body_fd = open(o->body_file, O_RDONLY | O_CLOEXEC);
        if (r->body_fd < 0) return err_errno(e, errno, r->what, "%.300s cannot be read", o->body_file);
        r->body_begin = r->body_at = (off_t)o->body_file_offset;
        r->body_end = r->body_begin + (off_t)o->body_file_bytes;
    }
    if (o->to_file != NULL) {
        r->to_fd = open(o->to_file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (r->to_fd < 0) return err_errno(e, errno, r->what, "%.300s cannot be written", o->to_file);
    }
    return 0;
}

int http_prepare(struct http_request *r, const struct http_options *o, struct err *e)
{
    const char *method = o->method ? o->method : o->body ? "POST" : "GET";
    if (!is_token(method)) return err_set(e, ERR_USAGE, "http", "a method is one word, such as GET");
    if (o->timeout_us <= 0 || o->connect_timeout_us <= 0)
        return err_set(e, ERR_USAGE, "http", "a request needs time limits greater than 0");
    r->is_mail = o->mail_from != NULL;
    r->max_response_bytes = o->max_response_bytes;
    r->to_room = o->to_file_limit_bytes > 0 ? (uint64_t)o->to_file_limit_bytes : UINT64_MAX;
    int rc = describe(r, method, o->url, e);
    if (rc < 0 || (rc = read_lists(r, o, e)) < 0) return rc;
    if ((rc = open_files(r, o, e)) < 0) return rc;
    buf_add(&r->body, o->body ? o->body : "", o->body_bytes);
    r->easy = buf_ok(&r->body) ? curl_easy_init() : NULL;
    if (r->easy != NULL && set_options(r, o, method)) return 0;
    return err_set(e, ERR_MEMORY, r->what, "no memory for a request");
}
