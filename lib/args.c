/*
 * The parser of grub.cfg's module2 lines (lib/args.h has the grammar).
 *
 * It allocates nothing and writes nothing but *out, *err and its own stack,
 * whatever the line holds: the line comes from outside the machine.
 */
#include "lib/args.h"

#include "lib/errno.h"
#include "lib/format.h"
#include "lib/string.h"

#define WORD_SIZE (ARGS_CMDLINE_SIZE + 16u)
#define KEY_SIZE  16u
#define MEM_MAX   (1ULL << 40)

struct parser {
    struct domain_args *out;
    struct args_error *err;
    const char *value;   /* of the current word, behind its '=' */
    unsigned int column; /* of the current word */
    unsigned int seen;   /* bit i: keys[i] was given */
    unsigned int device_column[ARGS_MAX_DEVICES];
};

/* ---- Words. ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What a backslash before @c in state @quote ('"' or 0) takes the meaning
 * from.  GRUB writes \\ \' \" itself; a person may write \$ too. */
static bool is_escape(char quote, char c)
{
    if (c == '\0')
        return false;
    return quote == 0 || c == '\\' || c == '"' || c == '\'' || c == '$';
}

/* As args_next_word, with the reason of a failure in *why. */
static int next_word(const char *line, size_t *pos, char *word, size_t size,
                     unsigned int *column, const char **why)
{
    const char *p = line + *pos;
    size_t n = 0;
    char quote = 0;

    while (is_space(*p))
        p++;
    *column = (unsigned int)(p - line) + 1;
    *pos = (size_t)(p - line);
    if (*p == '\0')
        return 0;

    for (; *p != '\0' && (quote || !is_space(*p)); p++) {
        if (*p == quote) {
            quote = 0;
            continue;
        }
        if (!quote && (*p == '"' || *p == '\'')) {
            quote = *p;
            continue;
        }
        if (*p == '\\' && quote != '\'' && is_escape(quote, p[1]))
            p++;
        if (n + 1 >= size) {
            *why = "word is too long";
            return -EINVAL;
        }
        word[n++] = *p;
    }
    word[n] = '\0';
    *pos = (size_t)(p - line);
    *why = "quote is never closed";

    return quote ? -EINVAL : 1;
}

int args_next_word(const char *line, size_t *pos, char *word, size_t size,
                   unsigned int *column)
{
    const char *why;

    return next_word(line, pos, word, size, column, &why);
}

/* ---- Errors. ---- */

__attribute__((format(printf, 2, 3))) static int fail(struct parser *p,
                                                      const char *fmt, ...)
{
    va_list args;

    p->err->column = p->column;
    va_start(args, fmt);
    format_string_v(p->err->message, sizeof(p->err->message), fmt, args);
    va_end(args);

    return -EINVAL;
}

static unsigned int least(unsigned int a, unsigned int b)
{
    return a < b ? a : b;
}

/* How many letters must be put in, left out, replaced or swapped with their
 * neighbour to get from @a to @b; both shorter than KEY_SIZE. */
static unsigned int edit_distance(const char *a, const char *b)
{
    unsigned int d[KEY_SIZE][KEY_SIZE];
    size_t rows = strlen(a), columns = strlen(b);

    for (size_t i = 0; i <= rows; i++) {
        for (size_t j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned int)(i + j);
                continue;
            }
            d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                            least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[rows][columns];
}

/* How unlike @key is what was written; 0 is closest, 3 and more no hint. */
static unsigned int unlikeness(const char *written, const char *key)
{
    size_t n = strlen(written), length = strlen(key);

    if (n >= 3 && strncmp(written, key, least(n, length)) == 0)
        return 1; /* "memory" for mem, "prio" for priority */
    if (n >= KEY_SIZE)
        return 3;
    return edit_distance(written, key) + (length <= 3);
}

/* ---- Values. ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '-' || c == '_';
}

/* Decimal digits at *text, saturating; moves behind them.  False if there
 * are none. */
static bool read_number(const char **text, uint64_t *value)
{
    const char *start = *text;

    *value = 0;
    for (; is_digit(**text); (*text)++) {
        if (*value > MEM_MAX)
            continue;
        *value = *value * 10 + (uint64_t)(**text - '0');
    }
    return *text != start;
}

static int parse_number(struct parser *p, const char *key, unsigned int min,
                        unsigned int max, unsigned int *out)
{
    const char *text = p->value;
    uint64_t value;

    if (!read_number(&text, &value) || *text != '\0' || value < min ||
        value > max)
        return fail(p, "%s=%.32s: want a number from %u to %u", key, p->value,
                    min, max);
    *out = (unsigned int)value;
    return 0;
}

/* Copy @length bytes that must make a name; @what says of what. */
static int parse_name(struct parser *p, const char *what, const char *text,
                      size_t length, char *out)
{
    if (length == 0)
        return fail(p, "%s is empty", what);
    if (length >= ARGS_NAME_SIZE)
        return fail(p, "%s '%.*s...' is longer than %u characters", what, 16,
                    text, ARGS_NAME_SIZE - 1);
    for (size_t i = 0; i < length; i++) {
        if (!is_name_char(text[i]))
            return fail(p,
                        "%s '%.*s' may only have letters, digits, '-' and '_'",
                        what, (int)length, text);
        out[i] = text[i];
    }
    out[length] = '\0';
    return 0;
}

static int parse_domain_name(struct parser *p)
{
    return parse_name(p, "name", p->value, strlen(p->value), p->out->name);
}

static int parse_ramdisk(struct parser *p)
{
    return parse_name(p, "ramdisk's domain", p->value, strlen(p->value),
                      p->out->ramdisk_of);
}

static int parse_mem(struct parser *p)
{
    const char *text = p->value;
    unsigned int shift = 20;
    uint64_t value;

    if (!read_number(&text, &value))
        return fail(p, "mem=%.32s: want a number, as in mem=64M", p->value);
    if (*text == 'K' || *text == 'M' || *text == 'G') {
        shift = *text == 'K' ? 10 : *text == 'M' ? 20 : 30;
        text++;
    }
    if (*text != '\0')
        return fail(p, "mem=%.32s: '%.8s' is no unit; K, M and G are",
                    p->value, text);
    if (value == 0 || value > MEM_MAX >> shift)
        return fail(p, "mem=%.32s: want 4K to 1024G", p->value);
    if (value << shift & 4095)
        return fail(p, "mem=%.32s: want a multiple of 4K", p->value);
    p->out->mem = value << shift;
    return 0;
}

static int parse_vcpus(struct parser *p)
{
    return parse_number(p, "vcpus", 1, 32, &p->out->vcpus);
}

static int parse_priority(struct parser *p)
{
    return parse_number(p, "priority", 0, 31, &p->out->priority);
}

static int parse_budget(struct parser *p)
{
    return parse_number(p, "budget", ARGS_MIN_BUDGET, ARGS_MAX_PERIOD,
                        &p->out->budget);
}

static int parse_period(struct parser *p)
{
    return parse_number(p, "period", ARGS_MIN_BUDGET, ARGS_MAX_PERIOD,
                        &p->out->period);
}

/* One of "3" and "1-4"; moves behind it. */
static bool read_range(const char **text, uint64_t *mask)
{
    uint64_t first, last;

    if (!read_number(text, &first))
        return false;
    last = first;
    if (**text == '-') {
        (*text)++;
        if (!read_number(text, &last))
            return false;
    }
    if (first > last || last > 63)
        return false;
    *mask |= (~0ULL << first) & (~0ULL >> (63 - last));
    return true;
}

bool args_parse_cpus(const char *text, uint64_t *cpus)
{
    bool good;

    *cpus = 0;
    good = read_range(&text, cpus);
    while (good && *text == ',') {
        text++;
        good = read_range(&text, cpus);
    }
    return good && *text == '\0';
}

static int parse_cpus(struct parser *p)
{
    if (!args_parse_cpus(p->value, &p->out->cpus))
        return fail(p, "cpus=%.32s: want CPUs from 0 to 63, as in cpus=0,2-3",
                    p->value);
    return 0;
}

static int parse_restart(struct parser *p)
{
    static const char *const names[] = { "never", "on-crash", "always" };

    for (unsigned int i = 0; i < 3; i++) {
        if (strcmp(p->value, names[i]) == 0) {
            p->out->restart = (enum args_restart)i;
            return 0;
        }
    }
    return fail(p, "restart=%.32s: want never, on-crash or always", p->value);
}

static int parse_bool(struct parser *p, const char *key, bool *out)
{
    *out = strcmp(p->value, "yes") == 0;
    if (!*out && strcmp(p->value, "no") != 0)
        return fail(p, "%s=%.32s: want yes or no", key, p->value);
    return 0;
}

static int parse_paused(struct parser *p)
{
    return parse_bool(p, "paused", &p->out->paused);
}

static int parse_autostart(struct parser *p)
{
    return parse_bool(p, "autostart", &p->out->autostart);
}

static int parse_cmdline(struct parser *p)
{
    if (string_copy(p->out->cmdline, p->value, ARGS_CMDLINE_SIZE) >=
        ARGS_CMDLINE_SIZE)
        return fail(p, "cmdline is longer than %u characters",
                    ARGS_CMDLINE_SIZE - 1);
    return 0;
}

/* ---- Devices. ---- */

static struct args_device *add_device(struct parser *p,
                                      enum args_device_kind kind)
{
    struct domain_args *out = p->out;
    struct args_device *device;

    if (out->nr_devices == ARGS_MAX_DEVICES) {
        fail(p, "more than %u of vbd=, vif= and chan=", ARGS_MAX_DEVICES);
        return NULL;
    }
    p->device_column[out->nr_devices] = p->column;
    device = &out->device[out->nr_devices++];
    device->kind = kind;

    return device;
}

/* The device just added has a name that none of its kind before it has. */
static int check_device_name(struct parser *p, const char *what)
{
    const struct domain_args *out = p->out;
    const struct args_device *last = &out->device[out->nr_devices - 1];

    for (const struct args_device *d = out->device; d < last; d++)
        if (d->kind == last->kind && strcmp(d->name, last->name) == 0)
            return fail(p, "%s '%s' is given twice", what, last->name);
    return 0;
}

/* @value is FIRST:SECOND. */
static int parse_pair(struct parser *p, const char *what_first, char *first,
                      const char *what_second, char *second)
{
    const char *colon = strchr(p->value, ':');
    int rc;

    if (!colon)
        return fail(p, "'%.32s': want %s:%s", p->value, what_first,
                    what_second);
    rc = parse_name(p, what_first, p->value, (size_t)(colon - p->value), first);
    if (rc)
        return rc;
    return parse_name(p, what_second, colon + 1, strlen(colon + 1), second);
}

static int parse_vbd(struct parser *p)
{
    struct args_device *d = add_device(p, DEVICE_VBD);

    if (!d || parse_pair(p, "BACKEND", d->peer, "DEVICE", d->name))
        return -EINVAL;
    return check_device_name(p, "vbd");
}

static int parse_vif(struct parser *p)
{
    struct args_device *d = add_device(p, DEVICE_VIF);

    if (!d)
        return -EINVAL;
    return parse_name(p, "BACKEND", p->value, strlen(p->value), d->peer);
}

static int parse_chan(struct parser *p)
{
    struct args_device *d = add_device(p, DEVICE_CHAN);

    if (!d || parse_pair(p, "NAME", d->name, "PEER", d->peer))
        return -EINVAL;
    return check_device_name(p, "chan");
}

/* ---- Lines. ---- */

struct key {
    const char *name; /* shorter than KEY_SIZE */
    int (*parse)(struct parser *p);
    bool repeats;
};

static const struct key keys[] = {
    { "name", parse_domain_name, false },
    { "ramdisk", parse_ramdisk, false },
    { "mem", parse_mem, false },
    { "vcpus", parse_vcpus, false },
    { "cpus", parse_cpus, false },
    { "priority", parse_priority, false },
    { "budget", parse_budget, false },
    { "period", parse_period, false },
    { "restart", parse_restart, false },
    { "cmdline", parse_cmdline, false },
    { "paused", parse_paused, false },
    { "autostart", parse_autostart, false },
    { "vbd", parse_vbd, true },
    { "vif", parse_vif, true },
    { "chan", parse_chan, true },
};
#define NR_KEYS (sizeof(keys) / sizeof(keys[0]))
#define KEY_NAME_BIT    (1u << 0)
#define KEY_RAMDISK_BIT (1u << 1)

static int fail_unknown_key(struct parser *p, const char *written)
{
    const struct key *best = NULL;
    unsigned int least_unlike = 3;

    for (size_t i = 0; i < NR_KEYS; i++) {
        unsigned int unlike = unlikeness(written, keys[i].name);

        if (unlike < least_unlike) {
            least_unlike = unlike;
            best = &keys[i];
        }
    }
    if (!best)
        return fail(p, "unknown key '%.32s'", written);
    return fail(p, "unknown key '%.32s' (did you mean '%s'?)", written,
                best->name);
}

static int parse_word(struct parser *p, char *word)
{
    char *equals = strchr(word, '=');
    size_t i = 0;

    for (const char *c = word; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return fail(p, "control character in the word");
    if (equals)
        *equals = '\0';
    while (i < NR_KEYS && strcmp(word, keys[i].name) != 0)
        i++;
    if (i == NR_KEYS)
        return fail_unknown_key(p, word);
    if (!equals)
        return fail(p, "'%s' wants a value: %s=...", word, word);
    if (p->seen & 1u << i && !keys[i].repeats)
        return fail(p, "'%s' is given twice", word);

    p->seen |= 1u << i;
    p->value = equals + 1;
    return keys[i].parse(p);
}

static int check_budget(struct parser *p)
{
    const struct domain_args *out = p->out;

    if (!out->budget != !out->period)
        return fail(p, "budget= and period= go together: %s= is missing",
                    out->budget ? "period" : "budget");
    if (out->budget > out->period)
        return fail(p, "budget=%u is more than period=%u", out->budget,
                    out->period);
    return 0;
}

/* What can only be told when the whole line is known. */
static int check_line(struct parser *p)
{
    const struct domain_args *out = p->out;

    p->column = 1;
    if (p->seen & KEY_RAMDISK_BIT) {
        if (p->seen != KEY_RAMDISK_BIT)
            return fail(p, "ramdisk= allows no other key on its line");
        return 0;
    }
    if (!(p->seen & KEY_NAME_BIT))
        return fail(p, "name= is missing");
    for (unsigned int i = 0; i < out->nr_devices; i++) {
        if (strcmp(out->device[i].peer, out->name) == 0) {
            p->column = p->device_column[i];
            return fail(p, "'%s' names itself as the other side", out->name);
        }
    }
    p->column = 1;
    return check_budget(p);
}

int domain_args_parse(const char *line, struct domain_args *out,
                      struct args_error *err)
{
    struct parser p = { .out = out, .err = err };
    char word[WORD_SIZE];
    const char *why;
    size_t pos = 0;
    int rc;

    memset(out, 0, sizeof(*out));
    out->vcpus = 1;
    out->cpus = ~0ULL;
    out->priority = 8;
    out->autostart = true;

    while ((rc = next_word(line, &pos, word, sizeof(word), &p.column, &why))) {
        if (rc < 0)
            return fail(&p, "%s", why);
        rc = parse_word(&p, word);
        if (rc)
            return rc;
    }
    return check_line(&p);
}
