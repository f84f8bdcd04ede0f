/*
 * The switchboard between clients and the control domain.
 *
 * Nothing here blocks, and nobody's silence holds up another: a client that
 * does not read is dropped, a request that is not answered is given up.
 */
#include "tools/switchboard.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/belfry.h"
#include "tools/clock.h"

#define PROTOCOL_VERSION 1
#define MAX_LINE         16384 /* the control domain takes 1,000 bytes */
#define MAX_REPLY        (16u << 20)
#define MAX_UNREAD       (32u << 20) /* more waits for nobody */
#define REQUEST_TIME     (10 * SECOND)
#define RAW_TIME         (2 * SECOND)
#define HELLO_TIME       (SECOND / 4)

/* ---- Replies to clients. ------------------------------------------------- */

static void drop_client(struct switchboard *s, int index)
{
    struct client_line *client = &s->clients[index];

    close(client->fd);
    client->fd = -1;
    client->finished = false;
    buffer_free(&client->in);
    buffer_free(&client->out);
    if (s->exchange.client == index)
        s->exchange.client = -1;
}

/* Takes the document. */
static void send_document(struct switchboard *s, int index, json_t *document)
{
    struct client_line *client = &s->clients[index];
    char *text = json_dumps(document, JSON_COMPACT);

    json_decref(document);
    if (!text)
        return;
    if (client->out.length + strlen(text) > MAX_UNREAD) {
        free(text);
        drop_client(s, index);
        return;
    }
    buffer_add(&client->out, text, strlen(text));
    buffer_add(&client->out, "\n", 1);
    free(text);
}

static void send_error(struct switchboard *s, int index, const char *id,
                       enum status code, const char *what)
{
    send_document(s, index,
                  json_pack("{s:s, s:b, s:s, s:i, s:I, s:{s:i, s:s}}",
                            "id", id, "ok", 0, "schema", "belfry.error",
                            "version", 1,
                            "time", (json_int_t)(clock_now() - s->started),
                            "error", "code", (int)code, "what", what));
}

static void send_data(struct switchboard *s, int index, const char *id,
                      const char *schema, json_t *data)
{
    send_document(s, index,
                  json_pack("{s:s, s:b, s:s, s:i, s:I, s:o}",
                            "id", id, "ok", 1, "schema", schema, "version", 1,
                            "time", (json_int_t)(clock_now() - s->started),
                            "data", data));
}

/* The request under way ends with an error. */
static void fail_exchange(struct switchboard *s, enum status code,
                          const char *what)
{
    struct exchange *e = &s->exchange;

    e->active = false;
    if (e->client >= 0)
        send_error(s, e->client, e->id, code, what);
}

/* ---- Being ready. -------------------------------------------------------- */

static void tell_ready(struct switchboard *s, enum status status)
{
    char byte = (char)status;

    if (s->ready < 0)
        return;
    if (write(s->ready, &byte, 1) < 0) {
        /* Whoever waited has gone; the system runs on. */
    }
    close(s->ready);
    s->ready = -1;
}

/* Any reply to any of our hellos will do, also one that comes late. */
static void judge_hello(struct switchboard *s, const json_t *reply)
{
    const json_t *data = json_object_get(reply, "data");
    const json_t *version = json_object_get(data, "version");

    if (json_is_true(json_object_get(reply, "ok")) && json_is_integer(version))
        tell_ready(s, json_integer_value(version) == PROTOCOL_VERSION
                          ? STATUS_FINE : STATUS_VERSION);
}

/* ---- Requests to the machine. -------------------------------------------- */

/* Begin an exchange; index -1 is the broker itself. */
static void begin(struct switchboard *s, int index, const char *id,
                  int64_t patience)
{
    struct exchange *e = &s->exchange;

    *e = (struct exchange){
        .active = true,
        .client = index,
        .deadline = clock_now() + patience,
    };
    snprintf(e->id, sizeof(e->id), "%s", id);
    snprintf(e->own_id, sizeof(e->own_id), "b%u", ++s->counter);
}

static void send_request(struct switchboard *s, int index, const char *id,
                         const char *rest, int64_t patience)
{
    begin(s, index, id, patience);
    buffer_add(&s->to_com2, s->exchange.own_id, strlen(s->exchange.own_id));
    buffer_add(&s->to_com2, " ", 1);
    buffer_add(&s->to_com2, rest, strlen(rest));
    buffer_add(&s->to_com2, "\n", 1);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static void send_raw(struct switchboard *s, int index, const char *id,
                     const char *hex)
{
    begin(s, index, id, RAW_TIME);
    s->exchange.raw = true;
    for (; hex[0] && hex[1]; hex += 2) {
        int high = hex_digit(hex[0]), low = hex_digit(hex[1]);
        char byte = (char)(high << 4 | low);

        if (high < 0 || low < 0)
            break;
        buffer_add(&s->to_com2, &byte, 1);
    }
}

/* ---- Requests to the broker. --------------------------------------------- */

static void send_status(struct switchboard *s, int index, const char *id)
{
    send_data(s, index, id, "belfry.run",
              json_pack("{s:s, s:s, s:i, s:i, s:I}", "name", s->setup->name,
                        "image", s->setup->image, "broker", (int)getpid(),
                        "qemu", (int)s->qemu, "running",
                        (json_int_t)(clock_now() - s->started)));
}

/* The control domain is asked to end it; the broker sees that it does. */
static void stop_machine(struct switchboard *s, int index, const char *id)
{
    static const char request[] = "\nstop shutdown\n";

    s->stop_asked = true;
    buffer_add(&s->to_com2, request, strlen(request));
    send_data(s, index, id, "belfry.stop",
              json_pack("{s:s}", "name", s->setup->name));
}

/* "ID VERB REST": cuts the line in place; false if it is no request. */
static bool split_request(char *line, const char **id, char **rest)
{
    size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    if (length == 0 || length > 20 || line[length] != ' ')
        return false;
    line[length] = '\0';
    *id = line;
    *rest = line + length + 1;

    return true;
}

static bool is_verb(const char *request, const char *verb)
{
    size_t length = strlen(verb);

    return !strncmp(request, verb, length) &&
           (request[length] == '\0' || request[length] == ' ');
}

/* Act on a client's line.  False: it must wait for the request under way. */
static bool take_request(struct switchboard *s, int index, char *line)
{
    const char *id;
    char *rest;

    if (!split_request(line, &id, &rest)) {
        send_error(s, index, "?", STATUS_USAGE,
                   "a request is: ID VERB [ARGUMENT ...]");
        return true;
    }
    if (is_verb(rest, "broker.status")) {
        send_status(s, index, id);
        return true;
    }
    if (is_verb(rest, "broker.stop")) {
        stop_machine(s, index, id);
        return true;
    }
    if (s->exchange.active) {
        line[strlen(id)] = ' '; /* whole again */
        return false;
    }
    if (s->com2 < 0)
        send_error(s, index, id, STATUS_UNREACHABLE,
                   "the machine is stopping");
    else if (is_verb(rest, "broker.raw"))
        send_raw(s, index, id, rest + strcspn(rest, " ") + 1);
    else
        send_request(s, index, id, rest, REQUEST_TIME);

    return true;
}

/* Take a client's lines as far as that goes. */
static void take_requests(struct switchboard *s, int index)
{
    struct client_line *client = &s->clients[index];
    char *line;

    while (client->fd >= 0 && (line = buffer_take_line(&client->in))) {
        if (!take_request(s, index, line)) {
            struct buffer rest = client->in;

            client->in = (struct buffer){ 0 };
            buffer_add(&client->in, line, strlen(line));
            buffer_add(&client->in, "\n", 1);
            buffer_add(&client->in, rest.data, rest.length);
            buffer_free(&rest);
            free(line);
            return;
        }
        free(line);
    }
    if (client->fd >= 0 && client->in.length > MAX_LINE) {
        send_error(s, index, "?", STATUS_USAGE, "the request is too long");
        client->in.length = 0;
        client->finished = true;
    }
}

/* Everybody in turn, so that one busy client does not keep the others out. */
static void take_all_requests(struct switchboard *s)
{
    for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
        int index = (int)((s->turn + i) % MAX_CLIENTS);

        if (s->clients[index].fd >= 0 && s->clients[index].in.length)
            take_requests(s, index);
    }
    s->turn = (s->turn + 1) % MAX_CLIENTS;
}

/* ---- Replies from the machine. ------------------------------------------- */

static void on_raw_reply(struct switchboard *s, char *line)
{
    struct exchange *e = &s->exchange;
    json_t *text = json_string(line);

    e->active = false;
    if (e->client < 0) {
        json_decref(text);
        return;
    }
    if (!text)
        send_error(s, e->client, e->id, STATUS_FAILED,
                   "the machine's reply is no text");
    else
        send_data(s, e->client, e->id, "belfry.raw",
                  json_pack("{s:o}", "line", text));
}

/* Is this one of our ids, of an earlier request? */
static bool is_late(const char *id)
{
    return id[0] == 'b' && id[1] && strspn(id + 1, "0123456789") ==
                                        strlen(id + 1);
}

/* Our id, also behind the remains of a line that somebody left unended. */
static bool ends_with(const char *id, const char *own_id)
{
    size_t length = strlen(id), own = strlen(own_id);

    return length >= own && !strcmp(id + length - own, own_id);
}

static void on_client_reply(struct switchboard *s, json_t *reply,
                            const char *id)
{
    struct exchange *e = &s->exchange;

    if (!ends_with(id, e->own_id) && strcmp(id, "?")) {
        if (!is_late(id))
            fail_exchange(s, STATUS_FAILED,
                          "the request was garbled on its way to the control "
                          "domain; try again");
        return;
    }
    e->active = false;
    json_object_set_new(reply, "id", json_string(e->id));
    send_document(s, e->client, json_incref(reply));
}

static void on_reply(struct switchboard *s, json_t *reply)
{
    struct exchange *e = &s->exchange;
    const char *id = json_string_value(json_object_get(reply, "id"));

    if (s->ready >= 0)
        judge_hello(s, reply);
    if (!e->active || !id)
        return;
    if (e->client >= 0)
        on_client_reply(s, reply, id);
    else if (ends_with(id, e->own_id))
        e->active = false;
}

static void on_line(struct switchboard *s, char *line)
{
    json_t *reply;

    line[strcspn(line, "\r")] = '\0';
    if (!*line)
        return;
    if (s->exchange.active && s->exchange.raw) {
        on_raw_reply(s, line);
        return;
    }
    reply = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(reply))
        on_reply(s, reply);
    else if (s->exchange.active && s->exchange.client >= 0)
        fail_exchange(s, STATUS_FAILED,
                      "the control domain sent a broken reply (no JSON)");
    json_decref(reply);
}

static void read_com2(struct switchboard *s)
{
    int n = buffer_read(&s->from_com2, s->com2);
    char *line;

    if (n == 0 || n == -2) {
        close(s->com2);
        s->com2 = -1;
        if (s->exchange.active)
            fail_exchange(s, STATUS_UNREACHABLE, "the machine has stopped");
        return;
    }
    while ((line = buffer_take_line(&s->from_com2))) {
        on_line(s, line);
        free(line);
    }
    if (s->from_com2.length > MAX_REPLY) {
        s->from_com2.length = 0;
        if (s->exchange.active)
            fail_exchange(s, STATUS_FAILED,
                          "the control domain's reply has no end");
    }
}

/* ---- The poll set. ------------------------------------------------------- */

static void accept_client(struct switchboard *s)
{
    int fd = accept4(s->setup->listener, NULL, NULL,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (s->clients[i].fd < 0) {
            s->clients[i].fd = fd;
            return;
        }
    }
    close(fd); /* too many; its user sees the connection end */
}

static void serve_client(struct switchboard *s, int index, short events)
{
    struct client_line *client = &s->clients[index];

    if (events & POLLOUT &&
        !buffer_write(&client->out, client->fd, MAX_REPLY)) {
        drop_client(s, index);
        return;
    }
    if (events & (POLLIN | POLLHUP | POLLERR)) {
        int n = buffer_read(&client->in, client->fd);

        if (n == -2) {
            drop_client(s, index);
            return;
        }
        if (n == 0)
            client->finished = true;
    }
}

/* Clients that send no more and have got all they asked for.  What is left in
 * `in` is then no whole line. */
static void drop_finished(struct switchboard *s)
{
    const struct exchange *e = &s->exchange;

    for (int i = 0; i < MAX_CLIENTS; i++) {
        const struct client_line *client = &s->clients[i];

        if (client->fd < 0 || !client->finished || client->out.length ||
            (e->active && e->client == i))
            continue;
        if (!client->in.length ||
            !memchr(client->in.data, '\n', client->in.length))
            drop_client(s, i);
    }
}

void switchboard_fill(const struct switchboard *s, struct pollfd *set)
{
    set[SWITCHBOARD_COM2] = (struct pollfd){
        s->com2, (short)(POLLIN | (s->to_com2.length ? POLLOUT : 0)), 0
    };
    set[SWITCHBOARD_LISTENER] = (struct pollfd){ s->setup->listener, POLLIN,
                                                 0 };
    for (int i = 0; i < MAX_CLIENTS; i++) {
        const struct client_line *c = &s->clients[i];
        short in = c->finished || c->in.length > MAX_LINE ? 0 : POLLIN;

        set[SWITCHBOARD_CLIENTS + i] = (struct pollfd){
            in || c->out.length ? c->fd : -1,
            (short)(in | (c->out.length ? POLLOUT : 0)), 0
        };
    }
}

void switchboard_serve(struct switchboard *s, const struct pollfd *set)
{
    short com2 = set[SWITCHBOARD_COM2].revents;

    if (com2 & POLLOUT && !buffer_write(&s->to_com2, s->com2, MAX_REPLY))
        s->to_com2.length = 0;
    if (com2 & (POLLIN | POLLHUP | POLLERR))
        read_com2(s);
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (set[SWITCHBOARD_CLIENTS + i].revents)
            serve_client(s, i, set[SWITCHBOARD_CLIENTS + i].revents);
    }
    if (set[SWITCHBOARD_LISTENER].revents)
        accept_client(s);
    take_all_requests(s);
    drop_finished(s);
}

/* ---- Times. -------------------------------------------------------------- */

static void say_hello(struct switchboard *s, int64_t t)
{
    if (t >= s->start_timeout_at) {
        tell_ready(s, STATUS_TIMED_OUT);
        s->start_failed = true;
        s->start_timeout_at = NEVER;
    } else if (t >= s->next_hello && !s->exchange.active && s->com2 >= 0) {
        /* The newline ends what the port may have lost the start of. */
        buffer_add(&s->to_com2, "\n", 1);
        send_request(s, -1, "", "hello", HELLO_TIME);
        s->next_hello = t + HELLO_TIME;
    }
}

void switchboard_check_times(struct switchboard *s, int64_t t)
{
    if (s->exchange.active && t >= s->exchange.deadline) {
        fail_exchange(s, STATUS_TIMED_OUT,
                      s->exchange.raw
                          ? "the control domain did not answer that"
                          : "the control domain did not answer within 10 s "
                            "(its console may say why)");
        take_all_requests(s);
    }
    if (s->ready >= 0)
        say_hello(s, t);
}

int64_t switchboard_next_time(const struct switchboard *s)
{
    int64_t at = NEVER;

    if (s->ready >= 0)
        at = clock_earlier(s->start_timeout_at, s->next_hello);
    if (s->exchange.active)
        at = clock_earlier(at, s->exchange.deadline);

    return at;
}

/* ---- From the first to the last. ----------------------------------------- */

void switchboard_open(struct switchboard *s, const struct broker_setup *setup,
                      pid_t qemu, int64_t started)
{
    *s = (struct switchboard){
        .setup = setup,
        .qemu = qemu,
        .started = started,
        .com2 = setup->com2,
        .ready = setup->ready,
        .start_timeout_at = clock_in(setup->start_timeout),
        .exchange = { .client = -1 },
    };
    for (int i = 0; i < MAX_CLIENTS; i++)
        s->clients[i].fd = -1;
}

void switchboard_close(struct switchboard *s)
{
    if (s->exchange.active)
        fail_exchange(s, STATUS_UNREACHABLE, "the machine has stopped");
    tell_ready(s, STATUS_FAILED);
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (s->clients[i].fd < 0)
            continue;
        if (s->clients[i].out.length)
            buffer_write(&s->clients[i].out, s->clients[i].fd, MAX_REPLY);
        drop_client(s, i);
    }
    buffer_free(&s->to_com2);
    buffer_free(&s->from_com2);
    if (s->com2 >= 0)
        close(s->com2);
}
