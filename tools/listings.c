/*
 * The listings of a running system: which columns, and what they show of a
 * row.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/belfry.h"
#include "tools/client.h"
#include "tools/table.h"
#include "tools/text.h"

#define STUCK_TIME   100000000ll /* ns that a bit must have been pending */
#define MOST_VERDICTS 16

struct spec {
    const char *verb;
    const struct column *columns;
    const char *name_key;
    /* Changes the rows after they came, or NULL. */
    void (*prepare)(struct listing *listing, struct client *client);
    void (*summary)(const struct listing *listing);
};

/* ---- list. --------------------------------------------------------------- */

static json_t *same_row(const json_t *rows, const json_t *row, const char *key)
{
    json_t *other;
    size_t i;

    json_array_foreach(rows, i, other) {
        if (json_equal(json_object_get(other, key), json_object_get(row, key)))
            return other;
    }

    return NULL;
}

/* Percent of the time since the last listing, or since birth. */
static double cpu_share(const struct listing *listing, const json_t *row,
                        const json_t *last, int64_t born)
{
    int64_t used = row_number(row, "cpu_time");
    int64_t elapsed = listing->time - born;

    if (last) {
        used -= row_number(last, "cpu_time");
        elapsed = listing->time - listing->last_time;
    }
    if (elapsed <= 0 || used < 0)
        return 0;

    return 100.0 * (double)used / (double)elapsed;
}

static double cell_cpu(const struct listing *listing, const json_t *row,
                       char *buf, size_t size)
{
    const json_t *last = same_row(listing->last_data, row, "generation");
    double share = cpu_share(listing, row, last, row_number(row, "created"));

    snprintf(buf, size, "%.1f", share);

    return share;
}

static double cell_uptime(const struct listing *listing, const json_t *row,
                          char *buf, size_t size)
{
    int64_t end = row_number(row, "ended");
    int64_t time = (end ? end : listing->time) - row_number(row, "created");

    text_duration(buf, size, time > 0 ? (uint64_t)time : 0);

    return (double)time;
}

/* A domain that ended says how. */
static double cell_state(const struct listing *listing, const json_t *row,
                         char *buf, size_t size)
{
    const char *state = row_text(row, "state");
    const char *reason = row_text(row, "reason");

    (void)listing;
    if (!strcmp(state, "shutdown") && *reason && strcmp(reason, "none"))
        snprintf(buf, size, "%s", reason);
    else
        snprintf(buf, size, "%s", state);

    return 0;
}

/* Below the table, what those that crashed said last. */
static void list_summary(const struct listing *listing)
{
    json_t *row, *line;
    size_t i, j;

    json_array_foreach(listing->data, i, row) {
        json_t *lines = json_object_get(row, "last_lines");

        if (json_array_size(lines))
            printf("\n%s said last (belfry console %s):\n",
                   row_text(row, "name"), row_text(row, "name"));
        json_array_foreach(lines, j, line) {
            const char *said = json_string_value(line);
            char *text = text_of("  %s", said ? said : "");

            text_clean(text);
            puts(text);
            free(text);
        }
    }
}

static const struct column list_columns[] = {
    { "ID", "id", CELL_NUMBER, NULL },
    { "NAME", "name", CELL_TEXT, NULL },
    { "STATE", "state", CELL_TEXT, cell_state },
    { "VCPUS", "vcpus", CELL_NUMBER, NULL },
    { "MEM", "pages", CELL_PAGES, NULL },
    { "CPU%", "cpu_time", CELL_NUMBER, cell_cpu },
    { "HYPERCALLS", "hypercalls", CELL_NUMBER, NULL },
    { "REFUSED", "refused", CELL_NUMBER, NULL },
    { "GENERATION", "generation", CELL_NUMBER, NULL },
    { "UPTIME", "created", CELL_TIME, cell_uptime },
    { "WHY", "why", CELL_TEXT, NULL },
    { 0 },
};

/* ---- vcpus. -------------------------------------------------------------- */

static const char *flags_text(bool first, char first_sign, bool second,
                              char second_sign)
{
    static char text[3];

    text[0] = first ? first_sign : '.';
    text[1] = second ? second_sign : '.';

    return text;
}

static double cell_upcall(const struct listing *listing, const json_t *row,
                          char *buf, size_t size)
{
    (void)listing;
    snprintf(buf, size, "%s", flags_text(row_true(row, "upcall_masked"), 'M',
                                         row_true(row, "upcall_pending"), 'P'));

    return 0;
}

static double cell_priority(const struct listing *listing, const json_t *row,
                            char *buf, size_t size)
{
    int64_t own = row_number(row, "priority");
    int64_t lent = row_number(row, "lent_priority");

    (void)listing;
    if (lent > 0 && lent != own)
        snprintf(buf, size, "%lld/%lld", (long long)own, (long long)lent);
    else
        snprintf(buf, size, "%lld", (long long)own);

    return (double)(lent > own ? lent : own);
}

static double cell_since(const struct listing *listing, const json_t *row,
                         char *buf, size_t size)
{
    int64_t since = row_number(row, "since");

    if (since == 0) {
        snprintf(buf, size, "-");
        return 0;
    }
    text_duration(buf, size, listing->time > since
                                 ? (uint64_t)(listing->time - since) : 0);

    return (double)(listing->time - since);
}

static double cell_budget(const struct listing *listing, const json_t *row,
                          char *buf, size_t size)
{
    int64_t budget = row_number(row, "budget");
    int64_t left = row_number(row, "budget_left");

    (void)listing;
    if (budget > 0)
        snprintf(buf, size, "%lld/%lldus", (long long)left / 1000,
                 (long long)budget / 1000);
    else
        snprintf(buf, size, "-");

    return (double)left;
}

static double cell_vcpu_share(const struct listing *listing, const json_t *row,
                              char *buf, size_t size)
{
    const json_t *last = NULL, *other;
    double share;
    size_t i;

    json_array_foreach(listing->last_data, i, other) {
        if (!strcmp(row_text(other, "domain"), row_text(row, "domain")) &&
            row_number(other, "vcpu") == row_number(row, "vcpu"))
            last = other;
    }
    share = cpu_share(listing, row, last, 0);
    snprintf(buf, size, "%.1f", share);

    return share;
}

static const struct column vcpu_columns[] = {
    { "DOM", "domain", CELL_TEXT, NULL },
    { "VCPU", "vcpu", CELL_NUMBER, NULL },
    { "PCPU", "cpu", CELL_NUMBER, NULL },
    { "CPUS", "cpus", CELL_TEXT, NULL },
    { "STATE", "state", CELL_TEXT, NULL },
    { "SINCE", "since", CELL_TIME, cell_since },
    { "UPCALL(mask/pending)", "upcall_pending", CELL_TEXT, cell_upcall },
    { "PRIORITY(own/lent)", "priority", CELL_TEXT, cell_priority },
    { "BUDGET(left/all)", "budget", CELL_TEXT, cell_budget },
    { "RIP", "rip", CELL_TEXT, NULL },
    { "SYMBOL", "symbol", CELL_TEXT, NULL },
    { "CPU%", "cpu_time", CELL_NUMBER, cell_vcpu_share },
    { 0 },
};

/* ---- channels. ----------------------------------------------------------- */

static const json_t *end_of(const json_t *row, size_t index)
{
    return json_array_get(json_object_get(row, "ends"), index);
}

static void end_text(char *buf, size_t size, const json_t *end)
{
    if (end)
        snprintf(buf, size, "%s:%lld", row_text(end, "domain"),
                 (long long)row_number(end, "port"));
    else
        snprintf(buf, size, "-");
}

static double cell_end_a(const struct listing *listing, const json_t *row,
                         char *buf, size_t size)
{
    (void)listing;
    end_text(buf, size, end_of(row, 0));

    return 0;
}

static double cell_end_b(const struct listing *listing, const json_t *row,
                         char *buf, size_t size)
{
    (void)listing;
    end_text(buf, size, end_of(row, 1));

    return 0;
}

static double cell_channel_state(const struct listing *listing,
                                 const json_t *row, char *buf, size_t size)
{
    const char *state = row_text(row, "state");

    (void)listing;
    if (!strcmp(state, "virq"))
        snprintf(buf, size, "virq %lld", (long long)row_number(row, "virq"));
    else
        snprintf(buf, size, "%s", state);

    return 0;
}

/* "P./.M": pending at A, masked at B. */
static double cell_bits(const struct listing *listing, const json_t *row,
                        char *buf, size_t size)
{
    size_t at = 0;

    (void)listing;
    for (size_t i = 0; i < 2 && end_of(row, i); i++) {
        const json_t *end = end_of(row, i);

        at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? "/" : "",
                               flags_text(row_true(end, "pending"), 'P',
                                          row_true(end, "masked"), 'M'));
    }

    return 0;
}

static double sum_of_ends(const json_t *row, const char *key, char *buf,
                          size_t size)
{
    int64_t sum = 0;

    for (size_t i = 0; i < 2; i++)
        sum += row_number(end_of(row, i), key);
    snprintf(buf, size, "%lld", (long long)sum);

    return (double)sum;
}

static double cell_sent(const struct listing *listing, const json_t *row,
                        char *buf, size_t size)
{
    (void)listing;

    return sum_of_ends(row, "sent", buf, size);
}

static double cell_delivered(const struct listing *listing, const json_t *row,
                             char *buf, size_t size)
{
    (void)listing;

    return sum_of_ends(row, "delivered", buf, size);
}

static double cell_coalesced(const struct listing *listing, const json_t *row,
                             char *buf, size_t size)
{
    (void)listing;

    return sum_of_ends(row, "coalesced", buf, size);
}

static double cell_throttled(const struct listing *listing, const json_t *row,
                             char *buf, size_t size)
{
    (void)listing;

    return sum_of_ends(row, "throttled", buf, size);
}

static const struct column channel_columns[] = {
    { "CHANNEL", "channel", CELL_TEXT, NULL },
    { "A(dom:port)", "ends", CELL_TEXT, cell_end_a },
    { "B(dom:port)", "ends", CELL_TEXT, cell_end_b },
    { "STATE", "state", CELL_TEXT, cell_channel_state },
    { "P/M", "ends", CELL_TEXT, cell_bits },
    { "SENT", "ends", CELL_NUMBER, cell_sent },
    { "DELIVERED", "ends", CELL_NUMBER, cell_delivered },
    { "COALESCED", "ends", CELL_NUMBER, cell_coalesced },
    { "THROTTLED", "ends", CELL_NUMBER, cell_throttled },
    { "IDLE", "idle", CELL_TIME, NULL },
    { "VERDICT", "verdict", CELL_TEXT, NULL },
    { 0 },
};

/* What may be stuck and is worth a question: a bit that stays pending, or a
 * handshake that has not ended. */
static bool looks_stuck(const struct listing *listing, const json_t *row)
{
    if (!strcmp(row_text(row, "state"), "unbound"))
        return true;
    for (size_t i = 0; i < 2; i++) {
        const json_t *end = end_of(row, i);
        int64_t since = row_number(end, "pending_since");

        if (row_true(end, "pending") && since &&
            listing->time - since >= STUCK_TIME)
            return true;
    }

    return false;
}

static void ask_verdict(struct client *client, json_t *row)
{
    const char *words[] = { "why", row_text(row, "channel"), NULL };
    json_t *reply;
    char *error;

    if (client_try(client, &reply, &error, words) == STATUS_FINE)
        json_object_set(row, "verdict",
                        json_object_get(json_object_get(reply, "data"),
                                        "verdict"));
    json_decref(reply);
    free(error);
}

static void add_verdicts(struct listing *listing, struct client *client)
{
    unsigned int asked = 0;
    json_t *row;
    size_t i;

    json_array_foreach(listing->data, i, row) {
        if (!json_is_object(row) || json_object_get(row, "verdict"))
            continue;
        if (looks_stuck(listing, row) && asked++ < MOST_VERDICTS)
            ask_verdict(client, row);
        else
            json_object_set_new(row, "verdict", json_string("ok"));
    }
}

/* ---- channels -v: a line an end. ----------------------------------------- */

static double cell_this_end(const struct listing *listing, const json_t *row,
                            char *buf, size_t size)
{
    (void)listing;
    end_text(buf, size, row);

    return 0;
}

static double cell_end_bits(const struct listing *listing, const json_t *row,
                            char *buf, size_t size)
{
    (void)listing;
    snprintf(buf, size, "%s%c",
             flags_text(row_true(row, "pending"), 'P', row_true(row, "masked"),
                        'M'),
             row_true(row, "selector") ? 'S' : '.');

    return 0;
}

static double ago(const struct listing *listing, const json_t *row,
                  const char *key, char *buf, size_t size)
{
    int64_t time = row_number(row, key);

    if (time == 0) {
        snprintf(buf, size, "never");
        return 0;
    }
    text_duration(buf, size, listing->time > time
                                 ? (uint64_t)(listing->time - time) : 0);

    return (double)time;
}

static double cell_last_sent(const struct listing *listing, const json_t *row,
                             char *buf, size_t size)
{
    return ago(listing, row, "last_sent", buf, size);
}

static double cell_last_delivered(const struct listing *listing,
                                  const json_t *row, char *buf, size_t size)
{
    return ago(listing, row, "last_delivered", buf, size);
}

static const struct column end_columns[] = {
    { "CHANNEL", "channel", CELL_TEXT, NULL },
    { "END(dom:port)", "port", CELL_TEXT, cell_this_end },
    { "PMS", "pending", CELL_TEXT, cell_end_bits },
    { "UPCALL(mask/pending)", "upcall_pending", CELL_TEXT, cell_upcall },
    { "VCPU", "vcpu", CELL_NUMBER, NULL },
    { "STATE", "vcpu_state", CELL_TEXT, NULL },
    { "SENT", "sent", CELL_NUMBER, NULL },
    { "DELIVERED", "delivered", CELL_NUMBER, NULL },
    { "COALESCED", "coalesced", CELL_NUMBER, NULL },
    { "DROPPED", "dropped", CELL_NUMBER, NULL },
    { "THROTTLED", "throttled", CELL_NUMBER, NULL },
    { "LAST-SENT", "last_sent", CELL_NUMBER, cell_last_sent },
    { "LAST-DELIVERED", "last_delivered", CELL_NUMBER, cell_last_delivered },
    { "RIP", "rip", CELL_TEXT, NULL },
    { "SYMBOL", "symbol", CELL_TEXT, NULL },
    { 0 },
};

static void split_ends(struct listing *listing, struct client *client)
{
    json_t *ends = json_array(), *row;
    size_t i;

    (void)client;
    json_array_foreach(listing->data, i, row) {
        for (size_t e = 0; e < 2 && end_of(row, e); e++) {
            json_t *end = json_copy(
                json_array_get(json_object_get(row, "ends"), e));

            json_object_set(end, "channel", json_object_get(row, "channel"));
            json_array_append_new(ends, end);
        }
    }
    json_decref(listing->reply);
    listing->reply = NULL;
    listing->data = ends;
}

/* ---- rings. -------------------------------------------------------------- */

/* "PROD/CONS/EVENT"; what nobody registered is "-". */
static double indices(const json_t *row, const char *const keys[3], char *buf,
                      size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < 3; i++) {
        const json_t *value = json_object_get(row, keys[i]);

        if (json_is_integer(value))
            at += (size_t)snprintf(buf + at, size - at, "%s%lld",
                                   i ? "/" : "",
                                   (long long)json_integer_value(value));
        else
            at += (size_t)snprintf(buf + at, size - at, "%s-", i ? "/" : "");
    }

    return (double)row_number(row, keys[0]);
}

static double cell_requests(const struct listing *listing, const json_t *row,
                            char *buf, size_t size)
{
    (void)listing;

    return indices(row,
                   (const char *const[]){ "req_prod", "req_cons", "req_event" },
                   buf, size);
}

static double cell_responses(const struct listing *listing, const json_t *row,
                             char *buf, size_t size)
{
    (void)listing;

    return indices(row,
                   (const char *const[]){ "rsp_prod", "rsp_cons", "rsp_event" },
                   buf, size);
}

/* How long the oldest request in flight has waited. */
static double cell_oldest(const struct listing *listing, const json_t *row,
                          char *buf, size_t size)
{
    if (row_number(row, "oldest") == 0) {
        snprintf(buf, size, "-");
        return 0;
    }

    (void)listing;
    text_duration(buf, size, (uint64_t)row_number(row, "oldest"));
    return (double)row_number(row, "oldest");
}

static double cell_fault(const struct listing *listing, const json_t *row,
                         char *buf, size_t size)
{
    (void)listing;
    if (row_true(row, "fault"))
        snprintf(buf, size, "fault");

    return row_true(row, "fault");
}

static const struct column ring_columns[] = {
    { "CHANNEL", "channel", CELL_TEXT, NULL },
    { "PROTOCOL", "protocol", CELL_TEXT, NULL },
    { "FRONT", "front", CELL_TEXT, NULL },
    { "BACK", "back", CELL_TEXT, NULL },
    { "SIZE", "slots", CELL_NUMBER, NULL },
    { "REQ(prod/cons/event)", "req_prod", CELL_TEXT, cell_requests },
    { "RSP(prod/cons/event)", "rsp_prod", CELL_TEXT, cell_responses },
    { "IN-FLIGHT", "in_flight", CELL_NUMBER, NULL },
    { "OLDEST", "oldest", CELL_TIME, cell_oldest },
    { "NOTIFIED", "notified", CELL_NUMBER, NULL },
    { "SUPPRESSED", "suppressed", CELL_NUMBER, NULL },
    { "FULL", "full", CELL_NUMBER, NULL },
    { "FAULT", "fault", CELL_TEXT, cell_fault },
    { 0 },
};

/* ---- grants, refused, modules. ------------------------------------------- */

static double cell_mode(const struct listing *listing, const json_t *row,
                        char *buf, size_t size)
{
    (void)listing;
    snprintf(buf, size, "%s", row_true(row, "readonly") ? "ro" : "rw");

    return 0;
}

/* The mappings, and that they are to go. */
static double cell_maps(const struct listing *listing, const json_t *row,
                        char *buf, size_t size)
{
    (void)listing;
    snprintf(buf, size, "%lld%s", (long long)row_number(row, "maps"),
             row_true(row, "revoking") ? " (revoking)" : "");

    return 0;
}

static const struct column grant_columns[] = {
    { "OWNER", "owner", CELL_TEXT, NULL },
    { "REF", "ref", CELL_NUMBER, NULL },
    { "FRAME", "frame", CELL_HEX, NULL },
    { "MODE", "readonly", CELL_TEXT, cell_mode },
    { "TO", "peer", CELL_TEXT, NULL },
    { "MAPS", "maps", CELL_TEXT, cell_maps },
    { "SINCE", "since", CELL_TIME, cell_since },
    { "CHANNEL", "channel", CELL_TEXT, NULL },
    { 0 },
};

/* Grants that are mapped now, of all that are given. */
static void grant_summary(const struct listing *listing)
{
    size_t mapped = 0, i;
    json_t *row;

    json_array_foreach(listing->data, i, row) {
        mapped += row_number(row, "maps") > 0;
    }
    printf("%zu grants, %zu mapped\n", json_array_size(listing->data), mapped);
}

static const struct column refused_columns[] = {
    { "TIME", "time", CELL_TIME, NULL },
    { "DOM", "domain", CELL_TEXT, NULL },
    { "CALL", "call", CELL_TEXT, NULL },
    { "ARGUMENT", "argument", CELL_TEXT, NULL },
    { "ERROR", "error", CELL_TEXT, NULL },
    { "RIP", "rip", CELL_TEXT, NULL },
    { "SYMBOL", "symbol", CELL_TEXT, NULL },
    { "REASON", "reason", CELL_TEXT, NULL },
    { 0 },
};

static const struct column module_columns[] = {
    { "NAME", "name", CELL_TEXT, NULL },
    { "IMAGE", "image_size", CELL_BYTES, NULL },
    { "RAMDISK", "ramdisk_size", CELL_BYTES, NULL },
    { "LINE", "line", CELL_TEXT, NULL },
    { 0 },
};

/* ---- The verb. ----------------------------------------------------------- */

static const struct spec specs[] = {
    { "list", list_columns, "name", NULL, list_summary },
    { "vcpus", vcpu_columns, NULL, NULL, NULL },
    { "channels", channel_columns, "channel", add_verdicts, NULL },
    { "rings", ring_columns, "channel", NULL, NULL },
    { "grants", grant_columns, NULL, NULL, grant_summary },
    { "refused", refused_columns, NULL, NULL, NULL },
    { "modules", module_columns, "name", NULL, NULL },
    { "channels -v", end_columns, "channel", split_ends, NULL },
};

static const struct spec *spec_of(const char *verb)
{
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        if (!strcmp(specs[i].verb, verb))
            return &specs[i];
    }

    return NULL;
}

struct request {
    const struct spec *spec;
    struct client client;
    const char *words[3];
};

static enum status gather(void *context, struct listing *listing)
{
    struct request *request = context;
    enum status status = client_ask(&request->client, &listing->reply,
                                    request->words);

    if (status)
        return status;
    listing->data = json_object_get(listing->reply, "data");
    listing->time = row_number(listing->reply, "time");
    if (request->spec->prepare && json_is_array(listing->data))
        request->spec->prepare(listing, &request->client);

    return STATUS_FINE;
}

enum status verb_listing(const struct options *options)
{
    bool ends = options->verbose && !options->json && !options->quiet;
    struct request request = {
        .spec = spec_of(ends ? "channels -v" : options->verb),
        .words = { options->verb, options->nr_args ? options->args[0] : NULL },
    };
    struct listing listing = {
        .columns = request.spec->columns,
        .name_key = request.spec->name_key,
        .gather = gather,
        .summary = request.spec->summary,
        .context = &request,
    };
    enum status status = client_open(&request.client, options->name);

    if (status)
        return status;
    status = listing_show(&listing, options);
    client_close(&request.client);

    return status;
}
