/*
 * Defends: a module whose line or image is wrong is left out, with a line
 * that says why, and all others run: those before it and those behind it.
 */
#include "tests/guest/parent.h"

/* Modules of grub.cfg, counted from 1. */
#define FIRST_BAD 3u
#define LAST_BAD  16u

static char log_text[32768];

static void read_log(void)
{
    struct belfry_log op = BELFRY_ARG(belfry_log, .buffer = log_text,
                                      .length = sizeof(log_text) - 1);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_log, &op), 0);
    log_text[op.length] = 0;
}

/* Is there one line with both words? */
static bool log_has(const char *first, const char *second)
{
    const size_t n = strlen(first), m = strlen(second);

    for (const char *line = log_text; *line;) {
        const char *end = strchr(line, '\n');
        bool a = false, b = false;

        if (!end)
            end = line + strlen(line);
        for (const char *p = line; p < end; p++) {
            a |= strncmp(p, first, n) == 0;
            b |= strncmp(p, second, m) == 0;
        }
        if (a && b)
            return true;
        line = *end ? end + 1 : end;
    }
    return false;
}

static void good_one_runs(const char *name)
{
    struct belfry_domain info;
    struct child c;

    if (!CHECK(domain_find(name, &info)))
        return;
    child_attach(&c, name, info.id, info.generation);
    CHECK_EQ(domain_control(info.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
    CHECK(child_wait(&c, 5000000000, &info));
    CHECK_EQ(info.reason, SHUTDOWN_poweroff);
    child_destroy(&c);
}

/* It does not live, it cannot be created later either, and the attempt costs
 * nothing. */
static void bad_one_is_left_out(const char *name)
{
    struct belfry_create op = BELFRY_ARG(belfry_create);
    uint64_t before = machine_free_pages();
    struct belfry_domain info;

    CHECK(!domain_find(name, &info));
    string_copy(op.name, name, sizeof(op.name));
    if (!CHECK(hypercall_belfry_op(BELFRYOP_create, &op) < 0))
        printf("    (%s)\n", name);
    CHECK(op.text[0] != 0);
    CHECK_EQ(machine_free_pages(), before);
    printf("%s: %s\n", name, op.text);
}

static const char *const bad[] = { "badkey",  "greedy",     "toomany",
                                   "ba/d",    "truncated",  "header",
                                   "nonotes", "bigsegment", "farsegment",
                                   "text",    "elf32",      "zeros" };

int guest_main(void)
{
    test_needs_belfry("badimages");
    read_log();
    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        bad_one_is_left_out(bad[i]);
    CHECK(log_has("module 3 ('name=badkey nmae=x'): column 13:", "nmae"));
    CHECK(log_has("module 4 ('name=good mem=32M'):", "a second domain"));
    CHECK(log_has("module 6 ('name=toomany vcpus=99'):", "want a number"));
    CHECK(log_has("module 5 ('name=greedy mem=900G'):", "are free"));
    for (unsigned int n = FIRST_BAD; n <= LAST_BAD; n++) {
        char module[16];

        format_string(module, sizeof(module), "module %u (", n);
        if (!CHECK(log_has(module, " ")))
            printf("    (%s)\n", module);
    }
    good_one_runs("good");
    good_one_runs("last");
    test_end("badimages");
}
