/*
 * The log of lines.
 *
 * Invariant: entry s stands at s modulo LOG_LINES until it is overwritten.
 */
#include "guests/control/log.h"

#include "guests/control/hv.h"
#include "guests/control/screen.h"
#include "guests/control/text.h"
#include "guests/lib/guest.h"

static struct log_entry entries[LOG_LINES];
static uint64_t last;

/* The hypervisor's log. */
static uint64_t position;
static bool grown = true;
static char partial[LOG_TEXT];
static size_t partial_length;

static void keep(const char *source, const char *text, uint64_t time)
{
    struct log_entry *e = &entries[++last % LOG_LINES];

    e->sequence = last;
    e->time = time;
    string_copy(e->source, source, sizeof(e->source));
    string_copy(e->text, text, sizeof(e->text));
}

void log_text(const char *source, const char *text)
{
    keep(source, text, clock_now());
    screen_format("%s: %s\n", source, text);
}

void log_line(const char *source, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    format_string_v(text, sizeof(text), fmt, args);
    va_end(args);
    log_text(source, text);
}

uint64_t log_last(void)
{
    return last;
}

const struct log_entry *log_after(uint64_t after)
{
    uint64_t oldest = last > LOG_LINES ? last - LOG_LINES + 1 : 1;
    uint64_t next = after < oldest ? oldest : after + 1;

    return next > last || next == 0 ? NULL : &entries[next % LOG_LINES];
}

static void on_log(evtchn_port_t port, void *data)
{
    (void)port;
    (void)data;
    grown = true;
}

/* "[   1.234567] text" -> the time in ns, and where the text begins. */
static const char *split_time(const char *line, uint64_t *time)
{
    uint64_t seconds = 0, micros = 0;
    const char *p = line;

    if (*p++ != '[')
        return line;
    while (*p == ' ')
        p++;
    for (; *p >= '0' && *p <= '9'; p++)
        seconds = seconds * 10 + (uint64_t)(*p - '0');
    if (*p++ != '.')
        return line;
    for (; *p >= '0' && *p <= '9'; p++)
        micros = micros * 10 + (uint64_t)(*p - '0');
    if (p[0] != ']' || p[1] != ' ')
        return line;
    *time = seconds * 1000000000 + micros * 1000;
    return p + 2;
}

static void end_line(bool show)
{
    char safe[LOG_TEXT];
    uint64_t time = clock_now();
    const char *text;

    text_escape(safe, sizeof(safe), partial, partial_length);
    partial_length = 0;
    text = split_time(safe, &time);
    keep("hypervisor", text, time);
    if (show)
        screen_format("%s\n", safe);
}

static void follow(bool show)
{
    char bytes[512];
    size_t n = hv_log(&position, bytes, sizeof(bytes));

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n')
            end_line(show);
        else if (partial_length < sizeof(partial))
            partial[partial_length++] = bytes[i];
    }
    grown = n == sizeof(bytes);
}

/* From when somebody listens, the hypervisor leaves COM1 to us; what it has
 * said until then has been shown. */
void log_start(void)
{
    evtchn_port_t port;

    if (event_bind_virq(VIRQ_BELFRY_LOG, &port) == 0)
        event_handle(port, on_log, NULL);
    while (grown)
        follow(false);
}

bool log_work(void)
{
    if (grown)
        follow(true);
    return grown;
}
