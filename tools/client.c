/*
 * A conversation with a running system.
 */
#include "tools/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/text.h"

#define REQUEST_SIZE  1000  /* of docs/protocol.md; the broker takes more */
#define PATIENCE_MS   15000 /* the broker gives up after 10 s and says so */
#define SCHEMA_VERSION 1

enum status client_open(struct client *client, const char *name)
{
    int fd;

    *client = (struct client){ .fd = -1 };
    fd = runs_connect(name, client->name);
    if (fd < 0)
        return (enum status)-fd;
    client->fd = fd;

    return STATUS_FINE;
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    buffer_free(&client->in);
}

/* ---- Requests. ----------------------------------------------------------- */

static bool is_plain(const char *word)
{
    if (!*word)
        return false;
    for (; *word; word++) {
        if (*word <= ' ' || *word >= 0x7f || *word == '"' || *word == '\\')
            return false;
    }

    return true;
}

static void add_word(struct buffer *line, const char *word)
{
    bool plain = is_plain(word);
    char escaped[8];

    buffer_add(line, " ", 1);
    if (!plain)
        buffer_add(line, "\"", 1);
    for (; *word; word++) {
        unsigned char c = (unsigned char)*word;

        if (c < ' ' || c >= 0x7f) {
            snprintf(escaped, sizeof(escaped), "\\x%02x", c);
            buffer_add(line, escaped, 4);
            continue;
        }
        if (c == '"' || c == '\\')
            buffer_add(line, "\\", 1);
        buffer_add(line, word, 1);
    }
    if (!plain)
        buffer_add(line, "\"", 1);
}

static bool send_all(int fd, const struct buffer *line)
{
    size_t sent = 0;

    while (sent < line->length) {
        ssize_t n = write(fd, line->data + sent, line->length - sent);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            sent += (size_t)n;
    }

    return true;
}

/* ---- Replies. ------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1: something can be read; 0: it took too long. */
static int await(int fd, int64_t deadline)
{
    struct pollfd set = { fd, POLLIN, 0 };
    int64_t left = deadline - now_ms();

    if (left < 0)
        return 0;

    return poll(&set, 1, (int)left) > 0 || now_ms() < deadline;
}

bool client_has_ended(struct client *client, int ms)
{
    struct pollfd set = { client->fd, POLLIN, 0 };

    if (poll(&set, 1, ms) <= 0)
        return false;

    return buffer_read(&client->in, client->fd) <= 0;
}

/* The next line, or NULL with *status and *error set. */
static char *receive(struct client *client, enum status *status, char **error)
{
    int64_t deadline = now_ms() + PATIENCE_MS;
    char *line;

    while (!(line = buffer_take_line(&client->in))) {
        int n;

        if (!await(client->fd, deadline)) {
            *status = STATUS_TIMED_OUT;
            *error = text_of("%s: its broker does not answer", client->name);
            return NULL;
        }
        n = buffer_read(&client->in, client->fd);
        if (n == 0 || n == -2) {
            *status = STATUS_UNREACHABLE;
            *error = text_of("%s has ended", client->name);
            return NULL;
        }
    }

    return line;
}

/* "what (have: a, b)". */
static char *error_text(const json_t *error)
{
    const char *what = json_string_value(json_object_get(error, "what"));
    const json_t *have = json_object_get(error, "have");
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    fputs(what ? what : "it failed and does not say why", out);
    for (size_t i = 0; i < json_array_size(have); i++) {
        const char *name = json_string_value(json_array_get(have, i));

        fprintf(out, "%s%s", i ? ", " : " (have: ", name ? name : "?");
    }
    if (json_is_array(have))
        fputs(json_array_size(have) ? ")" : " (have: none)", out);
    fclose(out);
    text_clean(text);

    return text;
}

static enum status error_status(const json_t *error)
{
    json_int_t code = json_integer_value(json_object_get(error, "code"));

    return code >= STATUS_FAILED && code <= STATUS_WRONG ? (enum status)code
                                                         : STATUS_FAILED;
}

/* NULL if the envelope is right, else what is wrong with it. */
static const char *envelope_fault(const json_t *reply, const char *id)
{
    const char *got = json_string_value(json_object_get(reply, "id"));
    const json_t *ok = json_object_get(reply, "ok");

    if (!json_is_object(reply))
        return "no JSON object";
    if (!got || strcmp(got, id))
        return "another id";
    if (!json_is_boolean(ok))
        return "no 'ok'";
    if (!json_is_string(json_object_get(reply, "schema")))
        return "no 'schema'";
    if (!json_is_integer(json_object_get(reply, "version")))
        return "no 'version'";
    if (json_is_true(ok) && !json_object_get(reply, "data"))
        return "no 'data'";
    if (json_is_false(ok) && !json_is_object(json_object_get(reply, "error")))
        return "no 'error'";

    return NULL;
}

static enum status judge(const json_t *reply, const char *id, char **error)
{
    const char *fault = envelope_fault(reply, id);
    json_int_t version = json_integer_value(json_object_get(reply, "version"));

    if (fault) {
        *error = text_of("the reply is broken: %s", fault);
        return STATUS_FAILED;
    }
    if (json_is_false(json_object_get(reply, "ok"))) {
        *error = error_text(json_object_get(reply, "error"));
        return error_status(json_object_get(reply, "error"));
    }
    if (version != SCHEMA_VERSION) {
        *error = text_of("%s has version %d there; this tool knows %d",
                         json_string_value(json_object_get(reply, "schema")),
                         (int)version, SCHEMA_VERSION);
        text_clean(*error);
        return STATUS_VERSION;
    }

    return STATUS_FINE;
}

static enum status exchange(struct client *client, const struct buffer *line,
                            const char *id, json_t **reply, char **error)
{
    enum status status = STATUS_FAILED;
    char *text;

    if (!send_all(client->fd, line)) {
        *error = text_of("%s has ended", client->name);
        return STATUS_UNREACHABLE;
    }
    text = receive(client, &status, error);
    if (!text)
        return status;
    *reply = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    status = judge(*reply, id, error);
    if (status) {
        json_decref(*reply);
        *reply = NULL;
    }

    return status;
}

enum status client_try(struct client *client, json_t **reply, char **error,
                       const char *const *words)
{
    struct buffer line = { 0 };
    const char *verb = words[0];
    enum status status;
    char id[16];

    *reply = NULL;
    *error = NULL;
    snprintf(id, sizeof(id), "%u", ++client->counter);
    buffer_add(&line, id, strlen(id));
    for (; *words; words++)
        add_word(&line, *words);
    if (line.length > REQUEST_SIZE && strncmp(verb, "broker.", 7)) {
        *error = text_of("the request is longer than %d bytes", REQUEST_SIZE);
        buffer_free(&line);
        return STATUS_USAGE;
    }
    buffer_add(&line, "\n", 1);
    status = exchange(client, &line, id, reply, error);
    buffer_free(&line);

    return status;
}

enum status client_ask(struct client *client, json_t **reply,
                       const char *const *words)
{
    char *error;
    enum status status = client_try(client, reply, &error, words);

    if (status)
        complain("%s", error);
    free(error);

    return status;
}
