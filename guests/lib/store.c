/*
 * The store's client: Xenstore's wire protocol over the store ring.
 *
 * One request is under way at a time; its reply is waited for without
 * running handlers, so these calls may be made anywhere.  Watch events that
 * arrive meanwhile are queued, and their functions run from event_poll and
 * event_wait like every handler.
 *
 * A server that breaks the protocol is not believed again: from then on
 * every call is -EPROTO.
 */
#include "guests/lib/internal.h"

#include <xen/io/xs_wire.h>

#include "rings/stream.h"

/* A request's or a reply's text, in pieces as the caller has them. */
struct piece {
    const void *bytes;
    size_t n;
};

struct watch {
    struct list node;
    uint32_t token;
    char *path;
    store_fn *fn;
    void *data;
};

struct queued_event {
    struct list node;
    uint32_t token;
    char *path;
};

static char ring_page[PAGE_SIZE] OWN_PAGE;
static struct stream out, in;
static evtchn_port_t port; /* 0: no store */
static int broken;         /* 0 or -EPROTO */
static uint32_t transaction;
static uint32_t last_request, last_token;
static struct list watches, queue;

static void store_rang(evtchn_port_t rang, void *data);

void store_init(void)
{
    struct xenstore_domain_interface *ring =
        (struct xenstore_domain_interface *)ring_page;
    uint64_t frame = guest.start->store_mfn;

    list_init(&watches);
    list_init(&queue);
    broken = 0;
    if (!frame || !guest.start->store_evtchn ||
        map_frame_at(ring_page, frame, true))
        return;
    stream_attach_producer(&out, (uint8_t *)ring->req, sizeof(ring->req),
                           &ring->req_prod, &ring->req_cons);
    stream_attach_consumer(&in, (uint8_t *)ring->rsp, sizeof(ring->rsp),
                           &ring->rsp_prod, &ring->rsp_cons);
    port = guest.start->store_evtchn;
    BUG_ON(event_handle(port, store_rang, NULL));
}

bool store_available(void)
{
    return port != 0;
}

/* ---- Bytes. ---- */

static int send_bytes(const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0) {
        int done = stream_write(&out, p, (uint32_t)n);

        if (done < 0)
            return broken = done;
        p += done;
        n -= (size_t)done;
        if (n > 0) {
            event_send(port);
            event_quiet_wait(port, 0);
        }
    }
    return 0;
}

/* The server may wait for the room that each read makes. */
static int receive_bytes(void *bytes, size_t n)
{
    char *p = bytes;

    for (;;) {
        int done = stream_read(&in, p, (uint32_t)n);

        if (done < 0)
            return broken = done;
        p += done;
        n -= (size_t)done;
        if (n == 0)
            return 0;
        if (done > 0)
            event_send(port);
        event_quiet_wait(port, 0);
    }
}

/* ---- Messages. ---- */

static int send_message(uint32_t type, const struct piece *pieces,
                        unsigned int n)
{
    struct xsd_sockmsg head = { .type = type,
                                .req_id = ++last_request,
                                .tx_id = transaction };
    int error;

    for (unsigned int i = 0; i < n; i++)
        head.len += (uint32_t)pieces[i].n;
    if (head.len > XENSTORE_PAYLOAD_MAX)
        return -E2BIG;
    error = send_bytes(&head, sizeof(head));
    for (unsigned int i = 0; i < n && !error; i++)
        error = send_bytes(pieces[i].bytes, pieces[i].n);
    if (!error)
        event_send(port);
    return error;
}

/* One message with its text, to which a 0 is added; mem_free it. */
static int receive_message(struct xsd_sockmsg *head, char **text)
{
    int error = receive_bytes(head, sizeof(*head));

    if (error)
        return error;
    if (head->len > XENSTORE_PAYLOAD_MAX)
        return broken = -EPROTO;
    *text = mem_alloc(head->len + 1);
    if (!*text)
        panic("no memory for a message of the store");
    error = receive_bytes(*text, head->len);
    if (error)
        mem_free(*text);
    else
        event_send(port);
    return error;
}

/* "path\0token\0".  Takes the text over. */
static void queue_watch_event(char *text, size_t n)
{
    size_t path_size = strlen(text) + 1;
    struct queued_event *event;
    uint64_t token;

    if (path_size >= n || !number_parse(text + path_size, &token)) {
        mem_free(text);
        return;
    }
    event = mem_alloc(sizeof(*event));
    if (!event)
        panic("no memory for a watch event");
    event->token = (uint32_t)token;
    event->path = text;
    list_add_tail(&event->node, &queue);
}

/* The number that an error's name stands for. */
static int error_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } errors[] = {
        { "EINVAL", EINVAL },   { "EACCES", EACCES },
        { "EEXIST", EEXIST },   { "EISDIR", EISDIR },
        { "ENOENT", ENOENT },   { "ENOMEM", ENOMEM },
        { "ENOSPC", ENOSPC },   { "EIO", EIO },
        { "ENOSYS", ENOSYS },   { "ENOTEMPTY", ENOTEMPTY },
        { "EROFS", EROFS },     { "EBUSY", EBUSY },
        { "EAGAIN", EAGAIN },   { "E2BIG", E2BIG },
        { "EISCONN", EISCONN }, { "EPERM", EPERM },
    };

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (!strcmp(name, errors[i].name))
            return errors[i].number;
    return EIO;
}

/* Receive until the reply to the last request is there. */
static int receive_reply(uint32_t type, char **text, size_t *size)
{
    struct xsd_sockmsg head;

    for (;;) {
        int error = receive_message(&head, text);

        if (error)
            return error;
        if (head.type == XS_WATCH_EVENT) {
            queue_watch_event(*text, head.len);
            continue;
        }
        if (head.req_id != last_request)
            break;
        if (head.type == type) {
            *size = head.len;
            return 0;
        }
        error = head.type == XS_ERROR ? -error_number(*text) : -EPROTO;
        mem_free(*text);
        return error;
    }
    mem_free(*text);
    return broken = -EPROTO;
}

/* Waiting for a reply takes the port's ring.  If that ring was also for a
 * watch event, queued by now or still in the ring, the handler must run. */
static void raise_if_events_wait(void)
{
    if (!list_empty(&queue) || stream_readable(&in) != 0)
        event_raise(port);
}

/* Ask; the reply's text with a 0 behind it is for mem_free. */
static int request(uint32_t type, const struct piece *pieces, unsigned int n,
                   char **text, size_t *size)
{
    int error;

    if (!port)
        return -ENOSYS;
    if (broken)
        return broken;
    error = send_message(type, pieces, n);
    if (!error)
        error = receive_reply(type, text, size);
    raise_if_events_wait();
    return error;
}

/* Ask for what has no answer but yes or no. */
static int command(uint32_t type, const struct piece *pieces, unsigned int n)
{
    char *text;
    size_t size;
    int error = request(type, pieces, n, &text, &size);

    if (!error)
        mem_free(text);
    return error;
}

static struct piece piece_of(const char *s)
{
    return (struct piece){ s, strlen(s) + 1 };
}

/* ---- Nodes. ---- */

/* Ask about a path: the answer, or NULL and *error. */
static char *query(uint32_t type, const char *path, size_t *size, int *error)
{
    struct piece piece = piece_of(path);
    char *text = NULL;
    int failed = request(type, &piece, 1, &text, size);

    if (error)
        *error = failed;
    return failed ? NULL : text;
}

char *store_read(const char *path, int *error)
{
    size_t size;

    return query(XS_READ, path, &size, error);
}

uint64_t store_read_number(const char *path, uint64_t otherwise)
{
    char *text = store_read(path, NULL);
    uint64_t number = otherwise;

    if (text && !number_parse(text, &number))
        number = otherwise;
    mem_free(text);
    return number;
}

int store_write(const char *path, const char *fmt, ...)
{
    struct piece pieces[2] = { piece_of(path) };
    char *value = mem_alloc(XENSTORE_PAYLOAD_MAX);
    va_list args;
    int n, error;

    if (!value)
        return -ENOMEM;
    va_start(args, fmt);
    n = format_string_v(value, XENSTORE_PAYLOAD_MAX, fmt, args);
    va_end(args);
    pieces[1] = (struct piece){ value, (size_t)n };
    error = n < XENSTORE_PAYLOAD_MAX ? command(XS_WRITE, pieces, 2) : -E2BIG;
    mem_free(value);
    return error;
}

int store_mkdir(const char *path)
{
    struct piece piece = piece_of(path);

    return command(XS_MKDIR, &piece, 1);
}

int store_rm(const char *path)
{
    struct piece piece = piece_of(path);

    return command(XS_RM, &piece, 1);
}

char *store_directory(const char *path, unsigned int *count, int *error)
{
    size_t size = 0;
    char *names = query(XS_DIRECTORY, path, &size, error);

    *count = 0;
    for (size_t i = 0; names && i < size; i++)
        *count += names[i] == 0;
    return names;
}

int store_set_perms(const char *path, const char *const *perms, unsigned int n)
{
    struct piece pieces[17] = { piece_of(path) };

    if (n > 16)
        return -E2BIG;
    for (unsigned int i = 0; i < n; i++)
        pieces[i + 1] = piece_of(perms[i]);
    return command(XS_SET_PERMS, pieces, n + 1);
}

/* ---- Transactions. ---- */

int store_transaction_start(uint32_t *id)
{
    struct piece empty = piece_of("");
    uint64_t number;
    size_t size;
    char *text;
    int error = request(XS_TRANSACTION_START, &empty, 1, &text, &size);

    if (error)
        return error;
    if (!number_parse(text, &number) || number == 0 || number > UINT32_MAX)
        error = broken = -EPROTO;
    else
        *id = (uint32_t)number;
    mem_free(text);
    return error;
}

int store_transaction_end(uint32_t id, bool commit)
{
    struct piece piece = piece_of(commit ? "T" : "F");
    uint32_t before = transaction;
    int error;

    transaction = id;
    error = command(XS_TRANSACTION_END, &piece, 1);
    transaction = before == id ? 0 : before;
    return error;
}

void store_use_transaction(uint32_t id)
{
    transaction = id;
}

/* ---- Watches. ---- */

static struct watch *find_watch(uint32_t token)
{
    list_for_each(node, &watches) {
        struct watch *w = container_of(node, struct watch, node);

        if (w->token == token)
            return w;
    }
    return NULL;
}

static void free_watch(struct watch *w)
{
    list_remove(&w->node);
    mem_free(w->path);
    mem_free(w);
}

static int send_watch(uint32_t type, const struct watch *w)
{
    char token[16];
    struct piece pieces[2] = { piece_of(w->path) };

    format_string(token, sizeof(token), "%u", w->token);
    pieces[1] = piece_of(token);
    return command(type, pieces, 2);
}

/* Listed before it is asked for: its first event may come with the reply. */
int store_watch(const char *path, store_fn *fn, void *data)
{
    struct watch *w = mem_alloc(sizeof(*w));
    int error;

    if (!w)
        return -ENOMEM;
    *w = (struct watch){
        .token = ++last_token, .path = string_dup(path), .fn = fn, .data = data
    };
    list_add_tail(&w->node, &watches);
    error = w->path ? send_watch(XS_WATCH, w) : -ENOMEM;
    if (error)
        free_watch(w);
    return error;
}

int store_unwatch(const char *path, store_fn *fn, void *data)
{
    list_for_each_safe(node, &watches) {
        struct watch *w = container_of(node, struct watch, node);

        if (w->fn == fn && w->data == data && !strcmp(w->path, path)) {
            int error = send_watch(XS_UNWATCH, w);

            free_watch(w);
            return error;
        }
    }
    return -ENOENT;
}

/* Events of a watch that was given up meanwhile are dropped here. */
static void run_queue(void)
{
    while (!list_empty(&queue)) {
        struct queued_event *event =
            container_of(queue.next, struct queued_event, node);
        const struct watch *w = find_watch(event->token);

        list_remove(&event->node);
        if (w)
            w->fn(event->path, w->data);
        mem_free(event->path);
        mem_free(event);
    }
}

/* No request is under way here, so all that arrives is watch events. */
static void store_rang(evtchn_port_t rang, void *data)
{
    struct xsd_sockmsg head;
    char *text;

    (void)rang, (void)data;
    while (!broken && stream_readable(&in) > 0) {
        if (receive_message(&head, &text))
            break;
        if (head.type == XS_WATCH_EVENT)
            queue_watch_event(text, head.len);
        else
            mem_free(text);
    }
    run_queue();
}

static void path_changed(const char *path, void *data)
{
    (void)path;
    *(bool *)data = true;
}

char *store_wait(const char *path, uint64_t timeout_ns, int *error)
{
    uint64_t deadline = clock_now() + timeout_ns;
    bool changed = false;
    char *value = NULL;
    int failed = store_watch(path, path_changed, &changed);

    while (!failed && !(value = store_read(path, &failed)) &&
           failed == -ENOENT) {
        failed = 0;
        changed = false;
        while (!failed && !changed)
            if (!event_wait_until(deadline))
                failed = -ETIMEDOUT;
    }
    store_unwatch(path, path_changed, &changed);
    if (error)
        *error = failed;
    return value;
}
