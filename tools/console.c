/*
 * The verbs log and console: what goes on, by asking again and again.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/belfry.h"
#include "tools/client.h"
#include "tools/table.h"
#include "tools/terminal.h"
#include "tools/text.h"

#define LOG_PERIOD_MS     200
#define CONSOLE_PERIOD_MS 50
#define QUIET_ROUNDS      10  /* of the console, then it is thought idle */
#define MOST_INPUT        200 /* each may become 4 bytes of a request */
#define LEAVE_KEY         0x1d /* Ctrl-] */

/* ---- log. ---------------------------------------------------------------- */

static void print_log_line(const json_t *line)
{
    int64_t time = row_number(line, "time");
    char *text = text_of("[%5" PRId64 ".%06" PRId64 "] %s: %s",
                         time / 1000000000, time / 1000 % 1000000,
                         row_text(line, "source"), row_text(line, "text"));

    text_clean(text);
    puts(text);
    free(text);
}

/* One request.  Returns the number of lines that came; they are appended to
 * all, or printed if that is NULL. */
static enum status read_log(struct client *client, const char *source,
                            int64_t *after, json_t *all, size_t *nr)
{
    char position[24];
    const char *words[] = { "log", position, NULL };
    json_t *reply, *line;
    const json_t *data, *lines;
    enum status status;
    size_t i;

    snprintf(position, sizeof(position), "%" PRId64, *after);
    status = client_ask(client, &reply, words);
    if (status)
        return status;
    data = json_object_get(reply, "data");
    lines = json_object_get(data, "lines");
    *nr = json_array_size(lines);
    json_array_foreach(lines, i, line) {
        if (source && strcmp(source, row_text(line, "source")))
            continue;
        if (all)
            json_array_append(all, line);
        else
            print_log_line(line);
    }
    if (row_number(data, "next") <= *after)
        *nr = 0; /* no progress: do not ask for the same for ever */
    else
        *after = row_number(data, "next");
    json_decref(reply);

    return STATUS_FINE;
}

static enum status read_whole_log(struct client *client,
                                  const struct options *options,
                                  int64_t *after, json_t *all)
{
    const char *source = options->nr_args ? options->args[0] : NULL;
    enum status status;
    size_t nr;

    do {
        status = read_log(client, source, after, all, &nr);
    } while (status == STATUS_FINE && nr > 0);

    return status;
}

static void print_log_json(json_t *lines)
{
    json_t *document = json_pack("{s:s, s:i, s:O}", "schema", "belfry.log",
                                 "version", 1, "data", lines);

    print_reply(document);
    json_decref(document);
}

enum status verb_log(const struct options *options)
{
    const struct timespec pause = { .tv_nsec = LOG_PERIOD_MS * 1000000l };
    struct client client;
    int64_t after = 0;
    enum status status = client_open(&client, options->name);

    if (status)
        return status;
    do {
        json_t *all = options->json ? json_array() : NULL;

        status = read_whole_log(&client, options, &after, all);
        if (all && (json_array_size(all) || !options->follow))
            print_log_json(all);
        json_decref(all);
        fflush(stdout);
        if (options->follow && status == STATUS_FINE)
            nanosleep(&pause, NULL);
    } while (options->follow && status == STATUS_FINE && !ferror(stdout));
    client_close(&client);

    return status;
}

/* ---- console. ------------------------------------------------------------ */

struct session {
    struct client client;
    const char *domain;
    char position[24];
    bool tty;
    bool input_ended, leave;
    unsigned int quiet;
};

static void print_console_text(const json_t *data)
{
    const char *text = row_text(data, "text");

    /* A console's control characters are meant for the terminal. */
    fwrite(text, 1, strlen(text), stdout);
    fflush(stdout);
}

static enum status ask_console(struct session *session, const char *input)
{
    const char *words[] = { "console", session->domain, session->position,
                            *input ? input : NULL, NULL };
    json_t *reply;
    const json_t *data;
    enum status status = client_ask(&session->client, &reply, words);

    if (status)
        return status;
    data = json_object_get(reply, "data");
    if (*row_text(data, "text") || *input)
        session->quiet = 0;
    else
        session->quiet++;
    print_console_text(data);
    snprintf(session->position, sizeof(session->position), "%" PRId64,
             row_number(data, "position"));
    json_decref(reply);

    return STATUS_FINE;
}

/* What was typed in the meantime, as a string.  NUL bytes are left out. */
static void read_keys(struct session *session, char *input, size_t size)
{
    struct pollfd set = { session->input_ended ? -1 : 0, POLLIN, 0 };
    char keys[MOST_INPUT];
    ssize_t n = 0;
    size_t length = 0;

    input[0] = '\0';
    if (poll(&set, 1, CONSOLE_PERIOD_MS) > 0) {
        n = read(0, keys, sizeof(keys));
        session->input_ended = n == 0 || (n < 0 && errno != EINTR);
    }
    for (ssize_t i = 0; i < n && length < size - 1; i++) {
        if (session->tty && keys[i] == LEAVE_KEY) {
            session->leave = true;
            break;
        }
        if (keys[i])
            input[length++] = keys[i];
    }
    input[length] = '\0';
}

static enum status converse(struct session *session)
{
    char input[MOST_INPUT + 1] = "";
    enum status status;

    while ((status = ask_console(session, input)) == STATUS_FINE) {
        if (session->leave ||
            (session->input_ended && session->quiet >= QUIET_ROUNDS))
            break;
        read_keys(session, input, sizeof(input));
    }

    return status;
}

enum status verb_console(const struct options *options)
{
    struct session session = {
        .domain = options->args[0],
        .position = "0",
        .tty = isatty(0),
    };
    enum status status = client_open(&session.client, options->name);

    if (status)
        return status;
    if (session.tty) {
        fprintf(stderr, "belfry: %s's console; Ctrl-] leaves\n",
                session.domain);
        terminal_make_raw(true);
    }
    status = converse(&session);
    terminal_restore();
    if (session.tty)
        putchar('\n');
    client_close(&session.client);

    return status;
}
