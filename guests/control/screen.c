/*
 * COM1, with a line at the bottom that stays.
 *
 * Invariant: `shown` says whether the line is on the screen now, at the start
 * of a row of its own.
 */
#include "guests/control/screen.h"

#include "guests/lib/guest.h"

static char line[320];
static size_t line_cursor;
static bool shown, muted;
static bool at_line_start = true;

static void hide(void)
{
    if (shown)
        console_write("\r\033[K", 4);
    shown = false;
}

static void show(void)
{
    char back[16];
    size_t length = strlen(line);
    int n;

    if (!line[0] || !at_line_start)
        return;
    console_write(line, length);
    if (line_cursor < length) {
        n = format_string(back, sizeof(back), "\033[%uD",
                          (unsigned int)(length - line_cursor));
        console_write(back, (size_t)n);
    }
    shown = true;
}

void screen_write(const char *text, size_t n)
{
    if (n == 0 || muted)
        return;
    hide();
    console_write(text, n);
    at_line_start = text[n - 1] == '\n';
    show();
}

void screen_format(const char *fmt, ...)
{
    static char text[1400];
    va_list args;
    int n;

    va_start(args, fmt);
    n = format_string_v(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof(text)) {
        n = (int)sizeof(text) - 1;
        text[n - 1] = '\n';
    }
    screen_write(text, (size_t)n);
}

void screen_set_line(const char *text, size_t cursor)
{
    hide();
    string_copy(line, text ? text : "", sizeof(line));
    line_cursor = cursor;
    show();
}

void screen_mute(bool mute)
{
    hide();
    muted = mute;
}
