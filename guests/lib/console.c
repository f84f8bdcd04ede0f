/*
 * The console: the hypervisor's for the initial domain, a ring for others.
 *
 * The ring's reader may be slow; a writer then sleeps until it rings.  No
 * handler runs meanwhile, so printf may be called anywhere.  One vCPU at a
 * time has the ring, and what it prints at once stays together.
 */
#include "guests/lib/internal.h"

#include <xen/io/console.h>

#include "rings/stream.h"

static char ring_page[PAGE_SIZE] OWN_PAGE;
static struct stream out, in;
static evtchn_port_t port; /* 0: no ring */
static char line[256];     /* text since the last line end, for the ring */
static size_t line_length;
static uint32_t ring_busy;

static void ring_lock(void)
{
    while (atomic_xchg(&ring_busy, 1))
        hypercall_sched_op(SCHEDOP_yield, NULL);
}

static void ring_unlock(void)
{
    store_release(&ring_busy, 0);
}

void console_break_lock(void)
{
    ring_unlock();
}

void console_init(void)
{
    struct xencons_interface *ring = (struct xencons_interface *)ring_page;
    uint64_t frame = guest.start->console.domU.mfn;

    if (guest.initial || !frame || map_frame_at(ring_page, frame, true))
        return;
    stream_attach_producer(&out, (uint8_t *)ring->out, sizeof(ring->out),
                           &ring->out_prod, &ring->out_cons);
    stream_attach_consumer(&in, (uint8_t *)ring->in, sizeof(ring->in),
                           &ring->in_prod, &ring->in_cons);
    port = guest.start->console.domU.evtchn;
}

/* Not part of console_init: a handler needs memory, and lines that report
 * a failure before that do not fill the ring.  The port is vCPU 0's. */
static void wait_for_reader(uint64_t deadline)
{
    static bool watching;

    if (vcpu_id() != 0) {
        hypercall_sched_op(SCHEDOP_yield, NULL);
        return;
    }
    if (!watching && event_handle(port, event_ignore, NULL))
        return;
    watching = true;
    event_quiet_wait(port, deadline);
}

/* A ring whose reader has broken it is given up, and its text with it. */
static void ring_write(const char *text, size_t n)
{
    while (n > 0) {
        int done = stream_write(&out, text, (uint32_t)n);

        if (done < 0)
            return;
        event_send(port);
        text += done;
        n -= (size_t)done;
        if (n > 0)
            wait_for_reader(0);
    }
}

static void flush_line(void)
{
    size_t n = line_length;

    line_length = 0;
    ring_write(line, n);
}

static void flush(void)
{
    ring_lock();
    flush_line();
    ring_unlock();
}

/* Whole lines go to the ring together, with one bell. */
static void ring_put(const char *text, size_t n)
{
    ring_lock();
    for (size_t i = 0; i < n; i++) {
        line[line_length++] = text[i];
        if (text[i] == '\n' || line_length == sizeof(line))
            flush_line();
    }
    ring_unlock();
}

/* The hypervisor does not write to what it is given. */
static void *unconst(const char *text)
{
    return (void *)(uintptr_t)text;
}

void console_write(const char *text, size_t n)
{
    if (guest.initial)
        hypercall_console_io(CONSOLEIO_write, (unsigned int)n, unconst(text));
    else if (port)
        ring_put(text, n);
}

/* Text without a line end is shown before its answer is waited for. */
size_t console_read(char *buf, size_t n)
{
    long got = 0;

    if (line_length > 0)
        flush();
    if (guest.initial) {
        got = hypercall_console_io(CONSOLEIO_read, (unsigned int)n, buf);
    } else if (port) {
        got = stream_read(&in, buf, (uint32_t)n);
        if (got > 0)
            event_send(port); /* there is room again */
    }
    return got > 0 ? (size_t)got : 0;
}

void console_drain(void)
{
    uint64_t deadline = clock_now() + 1000000000;

    if (!port)
        return;
    flush();
    while (stream_writable(&out) != (int)out.size && stream_writable(&out) >= 0)
        if (clock_now() >= deadline)
            return;
        else
            wait_for_reader(deadline);
}

int printf(const char *fmt, ...)
{
    char text[256], *big;
    va_list args, again;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = format_string_v(text, sizeof(text), fmt, args);
    if (n < (int)sizeof(text)) {
        console_write(text, (size_t)n);
    } else if (vcpu_id() == 0 && (big = mem_alloc((size_t)n + 1)) != NULL) {
        format_string_v(big, (size_t)n + 1, fmt, again);
        console_write(big, (size_t)n);
        mem_free(big);
    } else {
        console_write(text, sizeof(text) - 1);
    }
    va_end(again);
    va_end(args);
    return n;
}
