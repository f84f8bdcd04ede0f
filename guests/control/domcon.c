/*
 * Consoles: from a domain's ring to lines on COM1.
 *
 * Invariant: kept[position % DOMCON_KEPT] is where the next byte goes, and
 * line[] has no line end in it.
 */
#include "guests/control/domcon.h"

#include <xen/io/console.h>

#include "guests/control/log.h"
#include "guests/control/text.h"
#include "lib/tail.h"

#define PARTIAL_NS 200000000ull /* a line without end is shown after this */

static void rang(evtchn_port_t port, void *data)
{
    struct domcon *c = data;

    (void)port;
    c->dirty = true;
}

static void attach(struct domcon *c)
{
    struct xencons_interface *page = c->page.address;

    stream_attach_consumer(&c->out, (uint8_t *)page->out, sizeof(page->out),
                           &page->out_prod, &page->out_cons);
    stream_attach_producer(&c->in, (uint8_t *)page->in, sizeof(page->in),
                           &page->in_prod, &page->in_cons);
}

int domcon_open(struct domcon *c, domid_t id, const char *name,
                evtchn_port_t remote)
{
    grant_ref_t ref = 0; /* by convention, see <xen/grant_table.h> */
    int err;

    memset(c, 0, sizeof(*c));
    c->id = id;
    c->name = name;
    err = grant_map(id, &ref, 1, false, &c->page);
    if (err)
        return err;
    attach(c);
    err = event_bind_interdomain(id, remote, &c->port);
    if (err)
        goto err_map;
    err = event_handle(c->port, rang, c);
    if (err)
        goto err_port;
    c->open = c->dirty = true;
    return 0;

err_port:
    event_close(c->port);
err_map:
    grant_unmap(&c->page);
    return err;
}

static void disconnect(struct domcon *c)
{
    c->open = false;
    event_close(c->port);
    grant_unmap(&c->page);
}

/* ---- Lines. ---- */

static bool is_bad_verdict(const char *line)
{
    return strncmp(line, "verdict: fail", 13) == 0 ||
           strncmp(line, "verdict: broken", 15) == 0;
}

static void end_line(struct domcon *c)
{
    text_escape(c->last_line, sizeof(c->last_line), c->line, c->line_length);
    c->line_length = 0;
    if (!c->first_line)
        c->first_line = clock_now();
    if (is_bad_verdict(c->last_line))
        c->bad_verdict = true;
    log_text(c->name, c->last_line);
}

static void take_byte(struct domcon *c, char byte)
{
    c->kept[c->position++ % DOMCON_KEPT] = byte;
    if (byte == '\n') {
        end_line(c);
        return;
    }
    if (byte == '\r')
        return;
    if (c->line_length == 0)
        c->line_since = clock_now();
    c->line[c->line_length++] = byte;
    if (c->line_length == sizeof(c->line))
        end_line(c);
}

bool domcon_is_empty(const struct domcon *c)
{
    return c->open && stream_readable(&c->out) == 0 &&
           stream_writable(&c->in) == (int)c->in.size;
}

uint64_t domcon_deadline(const struct domcon *c)
{
    return c->line_length ? c->line_since + PARTIAL_NS : 0;
}

/* ---- The ring. ---- */

static bool fault(struct domcon *c)
{
    c->closed_why = "impossible ring index";
    disconnect(c);
    log_line("control", "console of %s disconnected: %s", c->name,
             c->closed_why);
    return false;
}

/* Bytes taken, or -EPROTO. */
static int take(struct domcon *c)
{
    char bytes[512];
    int n = stream_read(&c->out, bytes, sizeof(bytes));

    for (int i = 0; i < n; i++)
        take_byte(c, bytes[i]);
    return n;
}

/* Bytes given, or -EPROTO. */
static int give(struct domcon *c)
{
    int n = c->nr_typed ? stream_write(&c->in, c->typed, c->nr_typed) : 0;

    if (n > 0) {
        c->nr_typed -= (uint32_t)n;
        memmove(c->typed, c->typed + n, c->nr_typed);
    }
    return n;
}

bool domcon_work(struct domcon *c)
{
    uint64_t deadline = domcon_deadline(c);
    int taken, given;

    if (deadline && clock_now() >= deadline)
        end_line(c);
    if (!c->open || !c->dirty)
        return false;
    c->dirty = false;
    taken = take(c);
    given = taken < 0 ? taken : give(c);
    if (given < 0)
        return fault(c);
    if (taken + given > 0)
        event_send(c->port);
    c->dirty = taken > 0;
    return c->dirty;
}

void domcon_close(struct domcon *c)
{
    /* A ring is 2 KiB: a domain that is still writing is not waited for. */
    for (int turn = 0; c->open && turn < 8 && take(c) > 0; turn++)
        continue;
    if (c->line_length)
        end_line(c);
    if (c->open)
        disconnect(c);
}

size_t domcon_type(struct domcon *c, const char *text, size_t n)
{
    size_t room = sizeof(c->typed) - c->nr_typed;

    if (!c->open)
        return 0;
    n = n < room ? n : room;
    memcpy(c->typed + c->nr_typed, text, n);
    c->nr_typed += (uint32_t)n;
    c->dirty = true;
    return n;
}

size_t domcon_read(const struct domcon *c, uint64_t *position, char *to,
                   size_t room)
{
    return tail_read(c->kept, DOMCON_KEPT, c->position, position, to, room);
}
