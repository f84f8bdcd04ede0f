/*
 * The server on COM2.
 *
 * Invariant: the next request is read only when the last reply has gone, so
 * one line and one reply are all the memory there is; whatever a line holds,
 * the one after it is read as usual.
 */
#include "guests/control/server.h"

#include "guests/control/hv.h"
#include "guests/control/json.h"
#include "guests/control/verbs.h"
#include "guests/control/words.h"
#include "lib/errno.h"

#define LINE_MAX  1000u
#define REPLY_MAX (768u * 1024u)
#define ID_MAX    20u

static char line[LINE_MAX + 1];
static size_t line_length;
static bool too_long;

static char reply[REPLY_MAX];
static size_t reply_length, reply_sent;
static bool stop_after;

static char arrived[256]; /* bytes read and not yet looked at */
static uint32_t nr_arrived, looked_at;
static bool dirty = true;

/* ---- Replies. ---- */

static void begin(struct json *j, const char *id, bool ok, const char *schema)
{
    /* One byte is kept for the line end. */
    json_init(j, reply, sizeof(reply) - 1);
    emit_object(&j->emit, NULL);
    emit_string(&j->emit, "id", id);
    emit_bool(&j->emit, "ok", ok);
    emit_string(&j->emit, "schema", schema);
    emit_number(&j->emit, "version", 1);
    emit_number(&j->emit, "time", clock_now());
}

static void end(struct json *j)
{
    emit_object_end(&j->emit);
    reply[j->used] = '\n';
    reply_length = j->used + 1;
    reply_sent = 0;
}

static void reply_error(const char *id, int code, const struct call *c)
{
    struct json j;

    begin(&j, id, false, "belfry.error");
    emit_object(&j.emit, "error");
    emit_number(&j.emit, "code", (uint64_t)code);
    emit_string(&j.emit, "what", c->what);
    if (c->have) {
        emit_array(&j.emit, "have");
        c->have(&j.emit);
        emit_array_end(&j.emit);
    }
    emit_object_end(&j.emit);
    end(&j);
}

static void reply_usage(const char *id, const char *what)
{
    struct call c = { .have = NULL };

    call_fail(&c, CODE_USAGE, "%s", what);
    reply_error(id, CODE_USAGE, &c);
}

/* ---- Requests. ---- */

static bool id_is_good(const char *id)
{
    size_t n = strlen(id);

    if (n == 0 || n > ID_MAX)
        return false;
    for (; *id; id++)
        if (!((*id >= '0' && *id <= '9') || (*id >= 'a' && *id <= 'z') ||
              (*id >= 'A' && *id <= 'Z')))
            return false;
    return true;
}

static void run(const char *id, const struct verb *v, struct call *c)
{
    struct json j;
    int code;

    begin(&j, id, true, v->schema);
    c->emit = &j.emit;
    code = verb_run(v, c);
    if (j.full && !code)
        code = call_fail(c, CODE_FAILED, "%s: too much for one reply", v->name);
    if (code)
        reply_error(id, code, c);
    else
        end(&j);
    stop_after = c->stop;
}

static void request(void)
{
    const char *words[CALL_ARGS + 2];
    struct call c = { .argc = 0 };
    const struct verb *v;
    int n = words_split(line, words, CALL_ARGS + 2);

    if (n == 0 || n == -EINVAL || !id_is_good(words[0])) {
        reply_usage("?", "not a request: ID VERB [ARGUMENT ...]");
        return;
    }
    if (n < 2) {
        reply_usage(words[0], n < 0 ? "too many arguments" : "no verb");
        return;
    }
    v = verb_find(words[1]);
    if (!v) {
        call_fail(&c, CODE_USAGE, "unknown verb %s", words[1]);
        reply_error(words[0], CODE_USAGE, &c);
        return;
    }
    for (int i = 2; i < n; i++)
        c.argv[c.argc++] = words[i];
    run(words[0], v, &c);
}

/* An empty line is no request, and has no reply: a tool that comes to a line in
 * an unknown state ends with one what may have been begun. */
static void end_line(void)
{
    if (line_length > 0 && line[line_length - 1] == '\r')
        line_length--;
    line[line_length] = 0;
    if (too_long)
        reply_usage("?", "the request is longer than 1000 bytes");
    else if (strlen(line) != line_length)
        reply_usage("?", "not a request: it has a zero byte in it");
    else if (line_length > 0)
        request();
    line_length = 0;
    too_long = false;
}

/* ---- Bytes. ---- */

static void take_bytes(void)
{
    while (looked_at < nr_arrived && reply_length == 0) {
        char byte = arrived[looked_at++];

        if (byte == '\n')
            end_line();
        else if (line_length < LINE_MAX)
            line[line_length++] = byte;
        else
            too_long = true;
    }
}

static void exchange(void)
{
    uint32_t out = (uint32_t)(reply_length - reply_sent);
    uint32_t in = looked_at == nr_arrived ? sizeof(arrived) : 0;

    hv_serial(reply + reply_sent, &out, arrived, &in);
    reply_sent += out;
    if (reply_sent == reply_length)
        reply_length = reply_sent = 0;
    if (looked_at == nr_arrived) {
        nr_arrived = in;
        looked_at = 0;
    }
    /* Otherwise the virq tells of room or of bytes. */
    dirty = out > 0 || nr_arrived > looked_at;
}

bool server_work(void)
{
    if (!dirty)
        return false;
    exchange();
    take_bytes();
    if (reply_length > 0)
        exchange();
    if (stop_after && reply_length == 0) {
        sleep_ns(50000000); /* for the last bytes to leave the UART */
        guest_exit(0);
    }
    return dirty;
}

static void rang(evtchn_port_t port, void *data)
{
    (void)port;
    (void)data;
    dirty = true;
}

void server_start(void)
{
    evtchn_port_t port;

    if (event_bind_virq(VIRQ_BELFRY_SERIAL, &port) == 0)
        event_handle(port, rang, NULL);
}
