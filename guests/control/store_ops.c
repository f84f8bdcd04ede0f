/*
 * The store's protocol: what each request does.
 *
 * Invariant: every request leaves exactly one reply in its connection, also
 * when memory is short, since the room for it is the connection's own.
 */
#include "guests/control/store_ops.h"

#include "lib/errno.h"
#include "lib/format.h"
#include "lib/string.h"

struct watch {
    struct list link;
    bool relative;     /* its events are told without the domain's path */
    const char *token; /* behind the path, in the same block */
    char path[];
};

struct transaction {
    struct list link;
    uint32_t id;
    struct tree_txn *txn;
};

struct event {
    struct list link;
    uint32_t length;
    uint8_t bytes[];
};

/* ---- Events. ---- */

/* Is the same event among the newest that wait?  A bounded look, so that a
 * domain with a long queue does not slow the others' changes down. */
static bool event_waits(struct xs_conn *c, const struct event *e)
{
    struct list *l = c->events.prev;

    for (int looks = 0; looks < 32 && l != &c->events; looks++, l = l->prev) {
        const struct event *o = container_of(l, struct event, link);

        if (l == c->events.next && c->event_sent > 0)
            return false;
        if (o->length == e->length && !memcmp(o->bytes, e->bytes, e->length))
            return true;
    }
    return false;
}

static void queue_event(struct xs_conn *c, const char *path, const char *token)
{
    size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;
    struct xsd_sockmsg header = { .type = XS_WATCH_EVENT,
                                  .len = (uint32_t)(path_size + token_size) };
    uint32_t length = (uint32_t)sizeof(header) + header.len;
    struct event *e;

    e = header.len <= XENSTORE_PAYLOAD_MAX &&
                c->event_bytes + length <= XS_EVENTS_MAX
            ? tree_alloc(sizeof(*e) + length)
            : NULL;
    if (!e) {
        c->xs->events_dropped++;
        return;
    }
    e->length = length;
    memcpy(e->bytes, &header, sizeof(header));
    memcpy(e->bytes + sizeof(header), path, path_size);
    memcpy(e->bytes + sizeof(header) + path_size, token, token_size);
    if (event_waits(c, e)) {
        tree_free(e);
        return;
    }
    list_add_tail(&e->link, &c->events);
    c->event_bytes += length;
}

static void drop_event(struct xs_conn *c, struct event *e)
{
    c->event_bytes -= e->length;
    list_remove(&e->link);
    tree_free(e);
}

/* ---- Paths and watches. ---- */

static int own_path(const struct xs_conn *c, char *buf, size_t size)
{
    return format_string(buf, size, "/local/domain/%u", c->id);
}

/* The absolute path of what a request names.  -EINVAL. */
static int full_path(const struct xs_conn *c, const char *name, char *out)
{
    int n;

    if (name[0] == '/') {
        if (string_copy(out, name, TREE_PATH_MAX + 1) > TREE_PATH_MAX)
            return -EINVAL;
    } else {
        if (strlen(name) > XENSTORE_REL_PATH_MAX)
            return -EINVAL;
        n = own_path(c, out, TREE_PATH_MAX + 1);
        format_string(out + n, TREE_PATH_MAX + 1 - (size_t)n, "/%s", name);
    }
    return tree_path_valid(out) ? 0 : -EINVAL;
}

/* Is @path @top, or something below it? */
static bool is_below(const char *path, const char *top)
{
    size_t n = strlen(top);

    if (n == 1 && top[0] == '/')
        return path[0] == '/';
    return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static void fire(struct xs_conn *c, const struct watch *w, const char *path)
{
    char own[32];
    size_t n = (size_t)own_path(c, own, sizeof(own));

    if (w->relative && strncmp(path, own, n) == 0 && path[n] == '/')
        path += n + 1;
    queue_event(c, path, w->token);
}

static void fire_if_matching(struct xs_conn *c, const struct watch *w,
                             const char *path, bool removed)
{
    const char *told = path;

    if (!is_below(path, w->path)) {
        if (!removed || !is_below(w->path, path) ||
            !tree_was(c->xs->tree, w->path))
            return;
        told = w->path;
    }
    if (tree_visible(c->xs->tree, c->id, told))
        fire(c, w, told);
}

static void on_change(void *data, const char *path, bool removed)
{
    struct xs *xs = data;

    list_for_each (l, &xs->connections) {
        struct xs_conn *c = container_of(l, struct xs_conn, link);

        list_for_each (m, &c->watches)
            fire_if_matching(c, container_of(m, struct watch, link), path,
                             removed);
    }
}

void xs_fire_special(struct xs *xs, const char *name)
{
    list_for_each (l, &xs->connections) {
        struct xs_conn *c = container_of(l, struct xs_conn, link);

        list_for_each (m, &c->watches) {
            struct watch *w = container_of(m, struct watch, link);

            if (strcmp(w->path, name) == 0)
                queue_event(c, name, w->token);
        }
    }
}

static struct watch *find_watch(struct xs_conn *c, const char *path,
                                const char *token)
{
    list_for_each (l, &c->watches) {
        struct watch *w = container_of(l, struct watch, link);

        if (!strcmp(w->path, path) && !strcmp(w->token, token))
            return w;
    }
    return NULL;
}

static void drop_watch(struct xs_conn *c, struct watch *w)
{
    list_remove(&w->link);
    tree_free(w);
    c->nr_watches--;
}

/* ---- Replies. ---- */

static void reply(struct xs_conn *c, const struct xsd_sockmsg *request,
                  uint32_t type, const void *bytes, size_t n)
{
    struct xsd_sockmsg header = { .type = type,
                                  .req_id = request->req_id,
                                  .tx_id = request->tx_id,
                                  .len = (uint32_t)n };

    memcpy(c->reply, &header, sizeof(header));
    memmove(c->reply + sizeof(header), bytes, n);
    c->reply_length = (uint32_t)(sizeof(header) + n);
    c->reply_sent = 0;
}

static const char *error_name(int err)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        { EINVAL, "EINVAL" }, { EACCES, "EACCES" }, { EEXIST, "EEXIST" },
        { ENOENT, "ENOENT" }, { ENOMEM, "ENOMEM" }, { ENOSPC, "ENOSPC" },
        { EIO, "EIO" },       { ENOSYS, "ENOSYS" }, { EBUSY, "EBUSY" },
        { EAGAIN, "EAGAIN" }, { E2BIG, "E2BIG" },   { EPERM, "EPERM" },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].number == -err)
            return names[i].name;
    return "EIO";
}

/* ---- Requests.  Each handler returns 0 with what it replies in `answer` and
 * `length`, or -Exxx. ---- */

struct request {
    struct xs_conn *conn;
    struct tree_txn *txn;
    const char *args; /* the payload: strings, the last may lack its end */
    size_t size;
    const char *path; /* the first string */
    const char *rest; /* what follows it */
    size_t rest_size;
    char *answer; /* XENSTORE_PAYLOAD_MAX bytes */
    size_t length;
};

/* The store is single-threaded: one path and one answer at a time. */
static char path_buffer[TREE_PATH_MAX + 1];

static void answer_ok(struct request *r)
{
    memcpy(r->answer, "OK", 3);
    r->length = 3;
}

static int answer_text(struct request *r, const char *text)
{
    r->length = strlen(text) + 1;
    memcpy(r->answer, text, r->length);
    return 0;
}

static int split(struct request *r)
{
    const char *end = r->size ? memchr(r->args, 0, r->size) : NULL;

    if (!end)
        return -EINVAL;
    r->path = r->args;
    r->rest = end + 1;
    r->rest_size = r->size - (size_t)(r->rest - r->args);
    return 0;
}

/* The rest is a terminated string too. */
static bool rest_is_text(const struct request *r)
{
    return r->rest_size > 0 && r->rest[r->rest_size - 1] == 0;
}

static int to_full_path(struct request *r)
{
    int err = full_path(r->conn, r->path, path_buffer);

    r->path = path_buffer;
    return err;
}

static int op_read(struct request *r)
{
    const void *value;
    int err = tree_read(r->conn->xs->tree, r->txn, r->conn->id, r->path, &value,
                        &r->length);

    if (!err)
        memcpy(r->answer, value, r->length);
    return err;
}

static int op_write(struct request *r)
{
    answer_ok(r);
    return tree_write(r->conn->xs->tree, r->txn, r->conn->id, r->path, r->rest,
                      r->rest_size);
}

static int op_mkdir(struct request *r)
{
    answer_ok(r);
    return tree_mkdir(r->conn->xs->tree, r->txn, r->conn->id, r->path);
}

static int op_rm(struct request *r)
{
    answer_ok(r);
    return tree_rm(r->conn->xs->tree, r->txn, r->conn->id, r->path);
}

static int op_directory(struct request *r)
{
    size_t total;
    uint64_t generation;
    int err =
        tree_list(r->conn->xs->tree, r->txn, r->conn->id, r->path, 0, r->answer,
                  XENSTORE_PAYLOAD_MAX, &r->length, &total, &generation);

    return !err && total > r->length ? -E2BIG : err;
}

static bool parse_number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max)
            return false;
    }
    *out = (uint32_t)value;
    return true;
}

/* "generation\0" and names; an empty name more once the list has ended. */
static int op_directory_part(struct request *r)
{
    uint32_t offset;
    size_t filled, total;
    uint64_t generation;
    char *names = r->answer + 24;
    int n, err;

    if (!rest_is_text(r) || !parse_number(r->rest, ~0u, &offset))
        return -EINVAL;
    err = tree_list(r->conn->xs->tree, r->txn, r->conn->id, r->path, offset,
                    names, XENSTORE_PAYLOAD_MAX - 25, &filled, &total,
                    &generation);
    if (err)
        return err;
    n = format_string(r->answer, 24, "%llu", (unsigned long long)generation);
    memmove(r->answer + n + 1, names, filled);
    r->length = (size_t)n + 1 + filled;
    if (offset + filled >= total)
        r->answer[r->length++] = 0;
    return 0;
}

char xs_perm_letter(unsigned int access)
{
    return "nrwb"[access & (TREE_READ | TREE_WRITE)];
}

bool xs_perm_parse(const char *text, struct tree_perm *perm)
{
    const char *letters = "nrwb", *at = *text ? strchr(letters, *text) : NULL;
    uint32_t id;

    if (!at || !parse_number(text + 1, 0x7fef, &id))
        return false;
    perm->id = (uint16_t)id;
    perm->access = (uint16_t)(at - letters);
    return true;
}

static int op_get_perms(struct request *r)
{
    struct tree_perm perms[TREE_PERMS_MAX];
    unsigned int count;
    int err = tree_get_perms(r->conn->xs->tree, r->txn, r->conn->id, r->path,
                             perms, &count);

    if (err)
        return err;
    for (unsigned int i = 0; i < count; i++)
        r->length += (size_t)format_string(r->answer + r->length, 8, "%c%u",
                                           xs_perm_letter(perms[i].access),
                                           perms[i].id) +
                     1;
    return 0;
}

static int op_set_perms(struct request *r)
{
    struct tree_perm perms[TREE_PERMS_MAX];
    unsigned int count = 0;
    const char *p = r->rest, *end = r->rest + r->rest_size;

    if (!rest_is_text(r))
        return -EINVAL;
    while (p < end) {
        if (count == TREE_PERMS_MAX)
            return -ENOSPC;
        if (!xs_perm_parse(p, &perms[count++]))
            return -EINVAL;
        p += strlen(p) + 1;
    }
    answer_ok(r);
    return tree_set_perms(r->conn->xs->tree, r->txn, r->conn->id, r->path,
                          perms, count);
}

static bool is_privileged(const struct xs_conn *c)
{
    return c->id == 0;
}

/* The path that a watch of this name has. */
static int watch_path(struct request *r, bool *relative)
{
    *relative = r->path[0] != '/' && r->path[0] != '@';
    if (r->path[0] != '@')
        return to_full_path(r);
    if (strcmp(r->path, "@introduceDomain") != 0 &&
        strcmp(r->path, "@releaseDomain") != 0)
        return -EINVAL;
    return is_privileged(r->conn) ? 0 : -EACCES;
}

static int op_watch(struct request *r)
{
    struct xs_conn *c = r->conn;
    size_t path_size, token_size;
    bool relative;
    struct watch *w;
    int err;

    if (!rest_is_text(r))
        return -EINVAL;
    err = watch_path(r, &relative);
    if (err)
        return err;
    path_size = strlen(r->path) + 1;
    token_size = strlen(r->rest) + 1;
    if (token_size > XS_TOKEN_MAX)
        return -E2BIG;
    if (find_watch(c, r->path, r->rest))
        return -EEXIST;
    if (c->nr_watches >= XS_WATCHES_MAX && !is_privileged(c))
        return -ENOSPC;
    w = tree_alloc(sizeof(*w) + path_size + token_size);
    if (!w)
        return -ENOMEM;
    memcpy(w->path, r->path, path_size);
    memcpy(w->path + path_size, r->rest, token_size);
    w->token = w->path + path_size;
    w->relative = relative;
    list_add_tail(&w->link, &c->watches);
    c->nr_watches++;
    answer_ok(r);
    fire(c, w, w->path); /* once at once */
    return 0;
}

static int op_unwatch(struct request *r)
{
    struct watch *w;
    bool relative;
    int err;

    if (!rest_is_text(r))
        return -EINVAL;
    err = watch_path(r, &relative);
    if (err)
        return err;
    w = find_watch(r->conn, r->path, r->rest);
    if (!w)
        return -ENOENT;
    drop_watch(r->conn, w);
    answer_ok(r);
    return 0;
}

static void reset(struct xs_conn *c)
{
    list_for_each_safe (l, &c->watches)
        drop_watch(c, container_of(l, struct watch, link));
    list_for_each_safe (l, &c->transactions) {
        struct transaction *t = container_of(l, struct transaction, link);

        tree_txn_abort(t->txn);
        list_remove(&t->link);
        tree_free(t);
    }
}

static int op_reset_watches(struct request *r)
{
    reset(r->conn);
    answer_ok(r);
    return 0;
}

static struct transaction *find_transaction(struct xs_conn *c, uint32_t id)
{
    list_for_each (l, &c->transactions) {
        struct transaction *t = container_of(l, struct transaction, link);

        if (t->id == id)
            return t;
    }
    return NULL;
}

static int op_transaction_start(struct request *r)
{
    struct xs_conn *c = r->conn;
    struct transaction *t;
    char id[16];
    int err;

    if (r->txn)
        return -EBUSY;
    t = tree_alloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    err = tree_txn_start(c->xs->tree, c->id, &t->txn);
    if (err) {
        tree_free(t);
        return err;
    }
    do
        t->id = ++c->next_transaction;
    while (t->id == 0 || find_transaction(c, t->id));
    list_add_tail(&t->link, &c->transactions);
    format_string(id, sizeof(id), "%u", t->id);
    return answer_text(r, id);
}

#define CONFLICTS_MANY 3u  /* then a domain is favoured */
#define HELD_BACK_MAX  16u /* so long does a favour last that is not used */

/* Who failed most often has the next turn. */
static void choose_favoured(struct xs *xs)
{
    uint32_t most = CONFLICTS_MANY - 1;

    xs->favoured = NULL;
    xs->held_back = 0;
    list_for_each (l, &xs->connections) {
        struct xs_conn *c = container_of(l, struct xs_conn, link);

        if (c->conflicts <= most)
            continue;
        most = c->conflicts;
        xs->favoured = c;
    }
}

static bool stands_back(struct xs_conn *c)
{
    struct xs *xs = c->xs;

    if (!xs->favoured || xs->favoured == c || is_privileged(c))
        return false;
    if (xs->held_back++ < HELD_BACK_MAX)
        return true;
    xs->favoured->conflicts = 0;
    choose_favoured(xs);
    return false;
}

/* Conflicts are found when a transaction ends, so one that takes its time
 * would lose to quick ones for ever: see CONFLICTS_MANY. */
static int commit(struct xs_conn *c, struct tree_txn *txn)
{
    int err;

    if (stands_back(c)) {
        tree_txn_abort(txn);
        c->conflicts++;
        return -EAGAIN;
    }
    err = tree_txn_commit(txn);
    c->conflicts = err == -EAGAIN ? c->conflicts + 1 : 0;
    if (!c->xs->favoured || c->xs->favoured == c)
        choose_favoured(c->xs);
    return err;
}

static int op_transaction_end(struct request *r)
{
    bool keep = r->path[0] == 'T';
    struct transaction *t = NULL;

    if ((!keep && r->path[0] != 'F') || r->path[1])
        return -EINVAL;
    list_for_each (l, &r->conn->transactions)
        if (container_of(l, struct transaction, link)->txn == r->txn)
            t = container_of(l, struct transaction, link);
    if (!t)
        return -ENOENT;
    list_remove(&t->link);
    tree_free(t);
    answer_ok(r);
    if (keep)
        return commit(r->conn, r->txn);
    tree_txn_abort(r->txn);
    return 0;
}

static int op_get_domain_path(struct request *r)
{
    uint32_t id;
    char path[32];

    if (!parse_number(r->path, 0xffff, &id))
        return -EINVAL;
    format_string(path, sizeof(path), "/local/domain/%u", id);
    return answer_text(r, path);
}

static int op_is_introduced(struct request *r)
{
    uint32_t id;

    if (!parse_number(r->path, 0xffff, &id))
        return -EINVAL;
    return answer_text(
        r, tree_domain_known(r->conn->xs->tree, (uint16_t)id) ? "T" : "F");
}

enum { NOTHING, TEXT, PATH };

static const struct operation {
    int (*handle)(struct request *r);
    int first; /* what the payload must begin with */
} operations[XS_TYPE_COUNT] = {
    [XS_DIRECTORY] = { op_directory, PATH },
    [XS_READ] = { op_read, PATH },
    [XS_GET_PERMS] = { op_get_perms, PATH },
    [XS_WATCH] = { op_watch, TEXT },
    [XS_UNWATCH] = { op_unwatch, TEXT },
    [XS_TRANSACTION_START] = { op_transaction_start, NOTHING },
    [XS_TRANSACTION_END] = { op_transaction_end, TEXT },
    [XS_GET_DOMAIN_PATH] = { op_get_domain_path, TEXT },
    [XS_WRITE] = { op_write, PATH },
    [XS_MKDIR] = { op_mkdir, PATH },
    [XS_RM] = { op_rm, PATH },
    [XS_SET_PERMS] = { op_set_perms, PATH },
    [XS_IS_DOMAIN_INTRODUCED] = { op_is_introduced, TEXT },
    [XS_RESET_WATCHES] = { op_reset_watches, NOTHING },
    [XS_DIRECTORY_PART] = { op_directory_part, PATH },
};

static int dispatch(struct request *r, const struct xsd_sockmsg *header)
{
    const struct operation *op =
        header->type < XS_TYPE_COUNT ? &operations[header->type] : NULL;
    struct transaction *t;
    int err;

    if (!op || !op->handle)
        return -ENOSYS;
    if (header->tx_id) {
        t = find_transaction(r->conn, header->tx_id);
        if (!t)
            return -ENOENT;
        r->txn = t->txn;
    }
    err = op->first == NOTHING ? 0 : split(r);
    if (!err && op->first == PATH)
        err = to_full_path(r);
    return err ? err : op->handle(r);
}

void xs_request(struct xs_conn *c, const struct xsd_sockmsg *header,
                char *payload)
{
    static char answer[XENSTORE_PAYLOAD_MAX];
    struct request r = {
        .conn = c, .args = payload, .size = header->len, .answer = answer
    };
    int err = dispatch(&r, header);

    if (err) {
        answer_text(&r, error_name(err));
        reply(c, header, XS_ERROR, answer, r.length);
        return;
    }
    reply(c, header, header->type, answer, r.length);
}

/* ---- Sending. ---- */

uint32_t xs_to_send(struct xs_conn *c, const uint8_t **bytes)
{
    struct event *e;

    if (c->reply_length > 0 && (c->in_reply || c->event_sent == 0)) {
        c->in_reply = true;
        *bytes = c->reply + c->reply_sent;
        return c->reply_length - c->reply_sent;
    }
    if (list_empty(&c->events))
        return 0;
    e = container_of(c->events.next, struct event, link);
    *bytes = e->bytes + c->event_sent;
    return e->length - c->event_sent;
}

void xs_sent(struct xs_conn *c, uint32_t n)
{
    struct event *e;

    if (c->in_reply) {
        c->reply_sent += n;
        if (c->reply_sent < c->reply_length)
            return;
        c->in_reply = false;
        c->reply_length = 0;
        return;
    }
    e = container_of(c->events.next, struct event, link);
    c->event_sent += n;
    if (c->event_sent < e->length)
        return;
    c->event_sent = 0;
    drop_event(c, e);
}

/* ---- Connections. ---- */

void xs_conn_open(struct xs *xs, struct xs_conn *c, uint16_t id)
{
    memset(c, 0, offsetof(struct xs_conn, reply));
    c->xs = xs;
    c->id = id;
    list_init(&c->watches);
    list_init(&c->transactions);
    list_init(&c->events);
    list_add_tail(&c->link, &xs->connections);
}

void xs_conn_close(struct xs_conn *c)
{
    reset(c);
    list_for_each_safe (l, &c->events)
        drop_event(c, container_of(l, struct event, link));
    list_remove(&c->link);
    if (c->xs->favoured == c)
        choose_favoured(c->xs);
}

int xs_create(struct xs *xs)
{
    static const struct tree_quota quota = {
        .nodes = 1000,
        .bytes = 256 * 1024,
        .value = 2048,
        .transactions = 10,
        .accesses = 1024,
    };

    memset(xs, 0, sizeof(*xs));
    list_init(&xs->connections);
    xs->tree = tree_create(&quota, on_change, xs);
    return xs->tree ? tree_domain_add(xs->tree, 0, true) : -ENOMEM;
}

void xs_destroy(struct xs *xs)
{
    list_for_each_safe (l, &xs->connections)
        xs_conn_close(container_of(l, struct xs_conn, link));
    tree_destroy(xs->tree);
}
