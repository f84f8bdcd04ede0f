/*
 * The verbs that ask a running system one thing.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/belfry.h"
#include "tools/client.h"
#include "tools/table.h"
#include "tools/terminal.h"
#include "tools/text.h"

/* Connect, ask one thing, leave.  *reply is to be released. */
static enum status ask_once(const struct options *options, json_t **reply,
                            const char *const *words)
{
    struct client client;
    enum status status = client_open(&client, options->name);

    *reply = NULL;
    if (status)
        return status;
    status = client_ask(&client, reply, words);
    client_close(&client);

    return status;
}

/* Guests' text on a line of its own. */
static void print_clean(const char *prefix, const char *text)
{
    char *copy = text_of("%s", text);

    text_clean(copy);
    printf("%s%s\n", prefix, copy);
    free(copy);
}

/* ---- why. ---------------------------------------------------------------- */

static void print_verdict(const json_t *data)
{
    bool bad = row_true(data, "bad"), colour = terminal_has_colour();
    const json_t *evidence = json_object_get(data, "evidence");
    char *verdict = text_of("%s", row_text(data, "verdict"));

    text_clean(verdict);
    printf("%s%s%s: ", colour ? bad ? "\033[31m" : "\033[32m" : "", verdict,
           colour ? "\033[0m" : "");
    print_clean("", row_text(data, "sentence"));
    for (size_t i = 0; i < json_array_size(evidence); i++) {
        const char *line = json_string_value(json_array_get(evidence, i));

        print_clean("  ", line ? line : "?");
    }
    if (*row_text(data, "next"))
        print_clean("next: ", row_text(data, "next"));
    free(verdict);
}

enum status verb_why(const struct options *options)
{
    json_t *reply;
    const json_t *data;
    enum status status = ask_once(options, &reply,
                                  (const char *[]){ "why", options->args[0],
                                                    NULL });

    if (status)
        return status;
    data = json_object_get(reply, "data");
    if (options->json)
        print_reply(reply);
    else if (!options->quiet)
        print_verdict(data);
    status = row_true(data, "bad") ? STATUS_WRONG : STATUS_FINE;
    json_decref(reply);

    return status;
}

/* ---- audit and machine. -------------------------------------------------- */

enum status verb_audit(const struct options *options)
{
    json_t *reply;
    const json_t *data;
    enum status status = ask_once(options, &reply,
                                  (const char *[]){ "audit", NULL });

    if (status)
        return status;
    data = json_object_get(reply, "data");
    if (!json_is_integer(json_object_get(data, "differences"))) {
        complain("the reply is broken: no 'differences'");
        json_decref(reply);
        return STATUS_FAILED;
    }
    if (options->json) {
        print_reply(reply);
    } else if (!options->quiet) {
        printf("%" PRId64 " frames, %" PRId64 " page tables, %" PRId64
               " grants, %" PRId64 " ports recounted: %" PRId64
               " differences\n",
               row_number(data, "frames"), row_number(data, "page_tables"),
               row_number(data, "grants"), row_number(data, "ports"),
               row_number(data, "differences"));
        if (*row_text(data, "first"))
            print_clean("first: ", row_text(data, "first"));
    }
    status = row_number(data, "differences") ? STATUS_FAILED : STATUS_FINE;
    json_decref(reply);

    return status;
}

struct total {
    const char *key, *title;
    enum { TOTAL_NUMBER, TOTAL_PAGES, TOTAL_KHZ, TOTAL_TIME } kind;
};

static const struct total totals[] = {
    { "cpus", "CPUs", TOTAL_NUMBER },
    { "cpu_khz", "clock", TOTAL_KHZ },
    { "domains", "domains", TOTAL_NUMBER },
    { "total_pages", "memory", TOTAL_PAGES },
    { "free_pages", "free", TOTAL_PAGES },
    { "idle_time", "idle time", TOTAL_TIME },
    { "context_switches", "context switches", TOTAL_NUMBER },
    { "interrupts", "interrupts", TOTAL_NUMBER },
    { "hypercalls", "hypercalls", TOTAL_NUMBER },
};

static void print_total(const struct total *total, const json_t *data)
{
    int64_t value = row_number(data, total->key);
    uint64_t positive = value > 0 ? (uint64_t)value : 0;
    char text[32];

    if (total->kind == TOTAL_KHZ)
        snprintf(text, sizeof(text), "%" PRId64 " MHz", value / 1000);
    else if (total->kind == TOTAL_TIME)
        text_duration(text, sizeof(text), positive);
    else if (total->kind == TOTAL_PAGES)
        text_bytes(text, sizeof(text), positive << 12);
    else
        snprintf(text, sizeof(text), "%" PRId64, value);
    printf("%-16s  %s", total->title, text);
    if (total->kind == TOTAL_PAGES)
        printf(" (%" PRId64 " pages)", value);
    putchar('\n');
}

enum status verb_machine(const struct options *options)
{
    json_t *reply;
    enum status status = ask_once(options, &reply,
                                  (const char *[]){ "machine", NULL });

    if (status)
        return status;
    if (options->json) {
        print_reply(reply);
    } else if (!options->quiet) {
        char uptime[32];

        text_duration(uptime, sizeof(uptime),
                      (uint64_t)row_number(reply, "time"));
        printf("%-16s  %s\n", "up", uptime);
        for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
            print_total(&totals[i], json_object_get(reply, "data"));
    }
    json_decref(reply);

    return STATUS_FINE;
}

/* ---- store. -------------------------------------------------------------- */

struct store_verb {
    const char *name;
    int nr_args; /* with the verb itself */
};

static const struct store_verb store_verbs[] = {
    { "ls", 2 }, { "read", 2 }, { "write", 3 }, { "rm", 2 },
};

static bool store_usage_right(const struct options *options)
{
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(options->args[0], store_verbs[i].name))
            continue;
        if (options->nr_args == store_verbs[i].nr_args)
            return true;
        complain("store %s takes PATH%s", options->args[0],
                 store_verbs[i].nr_args == 3 ? " and VALUE" : "");
        return false;
    }
    complain("store has no verb '%s' (have: ls, read, write, rm)",
             options->args[0]);

    return false;
}

static void print_store_reply(const char *verb, const json_t *data)
{
    if (!strcmp(verb, "read"))
        print_clean("", row_text(data, "value"));
    for (size_t i = 0; !strcmp(verb, "ls") && i < json_array_size(data); i++) {
        const char *name = json_string_value(json_array_get(data, i));

        print_clean("", name ? name : "?");
    }
}

enum status verb_store(const struct options *options)
{
    json_t *reply;
    enum status status;

    if (!store_usage_right(options))
        return STATUS_USAGE;
    status = ask_once(options, &reply,
                      (const char *[]){ "store", options->args[0],
                                        options->args[1],
                                        options->nr_args > 2
                                            ? options->args[2] : NULL, NULL });
    if (status)
        return status;
    if (options->json)
        print_reply(reply);
    else if (!options->quiet)
        print_store_reply(options->args[0], json_object_get(reply, "data"));
    json_decref(reply);

    return STATUS_FINE;
}

/* ---- create, destroy, restart, pause, unpause, pin. ---------------------- */

static const char *past_of(const char *verb)
{
    static const char *const pasts[][2] = {
        { "create", "created" }, { "destroy", "destroyed" },
        { "restart", "restarted" }, { "pause", "paused" },
        { "unpause", "unpaused" }, { "pin", "pinned" },
    };

    for (size_t i = 0; i < 6; i++) {
        if (!strcmp(verb, pasts[i][0]))
            return pasts[i][1];
    }

    return verb;
}

enum status verb_domain(const struct options *options)
{
    json_t *reply;
    const json_t *data;
    enum status status = ask_once(options, &reply,
                                  (const char *[]){ options->verb,
                                                    options->args[0],
                                                    options->args[1], NULL });

    if (status)
        return status;
    data = json_object_get(reply, "data");
    if (options->json) {
        print_reply(reply);
    } else if (!options->quiet) {
        char *text = text_of("%s: %s (id %" PRId64 ")", row_text(data, "name"),
                             past_of(options->verb), row_number(data, "id"));

        print_clean("", text);
        free(text);
    }
    json_decref(reply);

    return STATUS_FINE;
}

/* ---- raw. ---------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower(c);

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of LINE in hexadecimal, as the broker wants them. */
static char *hex_of(const char *line)
{
    char *hex = allocate(2 * strlen(line) + 4), *out = hex;
    bool ended = true;

    while (*line) {
        unsigned char byte = (unsigned char)*line++;

        if (byte == '\\' && !strcmp(line, "c")) {
            ended = false;
            break;
        }
        if (byte == '\\' && line[0] == 'x' && hex_value(line[1]) >= 0 &&
            hex_value(line[2]) >= 0) {
            byte = (unsigned char)(hex_value(line[1]) << 4 |
                                   hex_value(line[2]));
            line += 3;
        }
        out += sprintf(out, "%02x", byte);
    }
    if (ended)
        sprintf(out, "0a");

    return hex;
}

enum status verb_raw(const struct options *options)
{
    char *hex = hex_of(options->args[0]);
    json_t *reply;
    enum status status;

    status = ask_once(options, &reply,
                      (const char *[]){ "broker.raw", hex, NULL });
    free(hex);
    if (status)
        return status;
    print_clean("", row_text(json_object_get(reply, "data"), "line"));
    json_decref(reply);

    return STATUS_FINE;
}
