/*
 * The shell on COM1: a line editor, the verbs, and `console DOM`.
 *
 * Invariant: what is typed is kept in line[] and shown by the screen; while
 * a console is attached the screen is the domain's alone.
 */
#include "guests/control/shell.h"

#include "guests/control/log.h"
#include "guests/control/screen.h"
#include "guests/control/verbs.h"
#include "guests/control/words.h"
#include "lib/errno.h"

#define PROMPT    "belfry> "
#define LINE_SIZE 200u
#define HISTORY   16u
#define LEAVE_KEY 0x1d /* Ctrl-] */

static char line[LINE_SIZE];
static size_t length;
static char history[HISTORY][LINE_SIZE];
static unsigned int nr_history, looking_at; /* how far back, 0: not */
static unsigned int escape;                 /* bytes of ESC [ x seen */
static bool dirty, active;

static char attached[BELFRY_NAME_SIZE]; /* "": to none */
static uint64_t attached_position;

static void show(void)
{
    char text[sizeof(PROMPT) + LINE_SIZE];

    format_string(text, sizeof(text), PROMPT "%.*s", (int)length, line);
    screen_set_line(text, strlen(text));
}

/* ---- Commands. ---- */

static void print_help(void)
{
    const struct verb *v;

    for (unsigned int i = 0; (v = verb_at(i)) != NULL; i++)
        screen_format("  %-8s %-30s %s\n", v->name, v->usage, v->help);
    screen_format("  %-8s %-30s %s\n", "help", "", "this");
    screen_format("console DOM shows and types; Ctrl-] leaves it\n");
}

static void print_name(struct emit *e, const char *key, enum emit_kind kind,
                       const char *text, size_t n)
{
    (void)e, (void)key, (void)kind;
    screen_format(" %.*s", (int)n, text);
}

static void print_failure(const struct verb *v, struct call *c)
{
    static const struct emit_ops names = { .value = print_name };
    struct emit e = { &names };

    screen_format("%s: %s", v->name, c->what);
    if (c->have) {
        screen_format(" (have:");
        c->have(&e);
        screen_format(")");
    }
    screen_format("\n");
}

static void attach(const char *name)
{
    screen_format("%s's console; Ctrl-] leaves\n", name);
    string_copy(attached, name, sizeof(attached));
    attached_position = 0;
    screen_set_line(NULL, 0);
    screen_mute(true);
}

static void detach(void)
{
    attached[0] = 0;
    screen_mute(false);
    screen_write("\n", 1);
}

static void run(const struct verb *v, struct call *c)
{
    static struct table table;

    table_init(&table, v->columns);
    c->emit = &table.emit;
    if (verb_run(v, c)) {
        print_failure(v, c);
        return;
    }
    table_finish(&table);
    if (c->stop)
        guest_exit(0);
}

static void command(void)
{
    const char *words[CALL_ARGS + 1];
    struct call c = { .argc = 0 };
    const struct verb *v;
    int n = words_split(line, words, CALL_ARGS + 1);

    if (n == 0)
        return;
    if (n < 0) {
        screen_format("cannot read this line\n");
        return;
    }
    if (strcmp(words[0], "help") == 0) {
        print_help();
        return;
    }
    v = verb_find(words[0]);
    if (!v) {
        screen_format("unknown command %s; try help\n", words[0]);
        return;
    }
    if (strcmp(words[0], "console") == 0 && n == 2 && dom_by_name(words[1])) {
        attach(words[1]);
        return;
    }
    for (int i = 1; i < n; i++)
        c.argv[c.argc++] = words[i];
    run(v, &c);
}

/* ---- The line editor. ---- */

static void remember_line(void)
{
    if (line[0])
        string_copy(history[nr_history++ % HISTORY], line, LINE_SIZE);
    looking_at = 0;
}

static void enter(void)
{
    line[length] = 0;
    screen_set_line(NULL, 0);
    screen_format(PROMPT "%s\n", line);
    remember_line();
    command();
    length = 0;
}

static void recall(int step)
{
    unsigned int most = nr_history < HISTORY ? nr_history : HISTORY;

    if (step > 0 && looking_at < most)
        looking_at++;
    if (step < 0 && looking_at > 0)
        looking_at--;
    length = 0;
    if (looking_at) {
        string_copy(line, history[(nr_history - looking_at) % HISTORY],
                    LINE_SIZE);
        length = strlen(line);
    }
}

static void edit(char key)
{
    if (escape == 2) { /* ESC [ */
        escape = 0;
        if (key == 'A')
            recall(1);
        else if (key == 'B')
            recall(-1);
        return;
    }
    escape = key == 0x1b ? 1 : escape == 1 && key == '[' ? 2 : 0;
    if (escape)
        return;
    if ((key == 0x7f || key == '\b') && length > 0)
        length--;
    else if (key == 0x03 || key == 0x15) /* Ctrl-C, Ctrl-U */
        length = 0;
    else if (key >= 0x20 && key < 0x7f && length < LINE_SIZE - 1)
        line[length++] = key;
}

static void key_for_shell(char key)
{
    if (key == '\r' || key == '\n') {
        enter();
        return;
    }
    edit(key);
}

/* ---- An attached console. ---- */

static void key_for_domain(char key)
{
    struct dom *d = dom_by_name(attached);

    if (key == LEAVE_KEY || !d) {
        detach();
        return;
    }
    if (key == '\r')
        key = '\n';
    domcon_type(&d->console, &key, 1);
}

static bool show_attached(void)
{
    struct dom *d = dom_by_name(attached);
    char text[512];
    size_t n;

    if (!d) {
        detach();
        screen_format("the domain has ended\n");
        show();
        return false;
    }
    n = domcon_read(&d->console, &attached_position, text, sizeof(text));
    console_write(text, n);
    return n == sizeof(text);
}

bool shell_work(void)
{
    char keys[64];
    size_t n;

    if (!active)
        return false;
    n = dirty ? console_read(keys, sizeof(keys)) : 0;
    dirty = n == sizeof(keys);
    for (size_t i = 0; i < n; i++) {
        if (attached[0])
            key_for_domain(keys[i]);
        else
            key_for_shell(keys[i]);
    }
    if (n > 0 && !attached[0])
        show();
    return (attached[0] && show_attached()) || dirty;
}

static void rang(evtchn_port_t port, void *data)
{
    (void)port;
    (void)data;
    dirty = true;
}

void shell_start(void)
{
    evtchn_port_t port;

    if (event_bind_virq(VIRQ_CONSOLE, &port) == 0)
        event_handle(port, rang, NULL);
    active = dirty = true;
    screen_format("control: type help for what can be done\n");
    show();
}
