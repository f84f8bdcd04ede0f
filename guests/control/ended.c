/*
 * Domains that have ended: why, in a sentence, and what they printed last.
 *
 * Invariant: the last ENDED_MAX are kept, the n-th ever at n modulo that.
 */
#include "guests/control/domains.h"
#include "guests/control/text.h"
#include "lib/exception.h"

static struct ended ended[ENDED_MAX];
static unsigned int nr_ended; /* ever */

/* ---- Finding. ---- */

const struct ended *ended_at(unsigned int i)
{
    unsigned int oldest = nr_ended > ENDED_MAX ? nr_ended - ENDED_MAX : 0;

    return oldest + i < nr_ended ? &ended[(oldest + i) % ENDED_MAX] : NULL;
}

const struct ended *ended_by_name(const char *name)
{
    const struct ended *e, *latest = NULL;

    for (unsigned int i = 0; (e = ended_at(i)) != NULL; i++)
        if (strcmp(e->info.name, name) == 0)
            latest = e;
    return latest;
}

const struct ended *ended_by_id(uint32_t id, uint64_t generation)
{
    const struct ended *e, *latest = NULL;

    for (unsigned int i = 0; (e = ended_at(i)) != NULL; i++)
        if (e->info.id == id &&
            (generation == 0 || e->info.generation == generation))
            latest = e;
    return latest;
}

/* ---- What it printed. ---- */

bool ended_line(const struct ended *e, uint32_t *at, char *to, size_t size)
{
    uint32_t end = *at;

    if (*at >= e->tail_length)
        return false;
    while (end < e->tail_length && e->tail[end] != '\n')
        end++;
    text_escape(to, size, e->tail + *at,
                end - *at - (end > *at && e->tail[end - 1] == '\r'));
    *at = end + 1;
    return true;
}

static const char *find_word(const char *text, const char *word)
{
    for (; *text; text++)
        if (strncmp(text, word, strlen(word)) == 0)
            return text;
    return NULL;
}

/* ": Kernel panic - not syncing: ...", as kernels say why they give up, without
 * the time that they put before it; "" if it said nothing like it. */
static void describe_panic(const struct ended *e, char *to, size_t size)
{
    char line[DOMCON_LINE];
    uint32_t at = 0;

    to[0] = '\0';
    while (ended_line(e, &at, line, sizeof(line))) {
        const char *stamp = line[0] == '[' ? find_word(line, "] ") : NULL;

        if (!find_word(line, "panic"))
            continue;
        format_string(to, size, ": %s", stamp ? stamp + 2 : line);
        return;
    }
}

/* ---- Describing. ---- */

/* "crashed: page fault at 0x8 in handle_request+0x1c (reason)" */
static void describe_crash(const struct ended *e, char *to, size_t size)
{
    const struct belfry_domain *i = &e->info;
    const char *what = exception_name(i->crash_vector);
    char at[32] = "", where[80] = "", text[104] = "", panic[144];

    if (i->crash_vector == 14)
        format_string(at, sizeof(at), " at 0x%llx",
                      (unsigned long long)i->crash_cr2);
    if (i->crash_symbol[0])
        format_string(where, sizeof(where), " in %s", i->crash_symbol);
    else if (i->crash_rip)
        format_string(where, sizeof(where), " at rip 0x%llx",
                      (unsigned long long)i->crash_rip);
    /* The hypervisor's sentence, where it says more than the vector does. */
    if (strncmp(i->crash_text, what, strlen(what)) != 0)
        format_string(text, sizeof(text), " (%s)", i->crash_text);
    if (i->crash_vector != ~0u)
        format_string(to, size, "crashed: %s%s%s%s", what, at, where,
                      i->crash_text[0] ? text : "");
    else if (i->crash_text[0])
        format_string(to, size, "crashed: %s%s", i->crash_text, where);
    else {
        describe_panic(e, panic, sizeof(panic));
        format_string(to, size,
                      "failed: it shut itself down with reason crash%s", panic);
    }
}

static void describe_end(const struct ended *e, char *to, size_t size)
{
    switch (e->info.reason) {
    case SHUTDOWN_poweroff:
        string_copy(to, "ended: poweroff", size);
        return;
    case SHUTDOWN_reboot:
        string_copy(to, "ended: reboot", size);
        return;
    case SHUTDOWN_suspend:
        string_copy(to, "ended: suspend", size);
        return;
    case SHUTDOWN_watchdog:
        string_copy(to, "crashed: its watchdog ran out", size);
        return;
    case BELFRY_REASON_DESTROYED:
        string_copy(to, "destroyed", size);
        return;
    case SHUTDOWN_crash:
        describe_crash(e, to, size);
        return;
    }
    format_string(to, size, "ended: reason %u", e->info.reason);
}

const struct ended *ended_remember(const struct dom *d)
{
    struct ended *e = &ended[nr_ended++ % ENDED_MAX];
    uint64_t from =
        d->console.position > ENDED_TAIL ? d->console.position - ENDED_TAIL : 0;

    e->info = d->info;
    string_copy(e->last_line, d->console.last_line, sizeof(e->last_line));
    e->tail_length =
        (uint32_t)domcon_read(&d->console, &from, e->tail, ENDED_TAIL);
    describe_end(e, e->why, sizeof(e->why));
    return e;
}
