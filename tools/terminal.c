/*
 * The user's terminal.
 */
#include "tools/terminal.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static bool is_raw;

void terminal_make_raw(bool keep_output)
{
    struct termios raw;

    if (!isatty(0) || tcgetattr(0, &saved))
        return;
    raw = saved;
    cfmakeraw(&raw);
    if (keep_output)
        raw.c_oflag |= OPOST | ONLCR;
    is_raw = tcsetattr(0, TCSADRAIN, &raw) == 0;
    atexit(terminal_restore);
}

void terminal_restore(void)
{
    if (is_raw)
        tcsetattr(0, TCSADRAIN, &saved);
    is_raw = false;
}

bool terminal_has_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(1) && !(no_colour && *no_colour) && term && *term &&
           !(term[0] == 'd' && term[1] == 'u'); /* "dumb" */
}
