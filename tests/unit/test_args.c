/*
 * The parser of module2 lines: what each key means, the exact column and
 * words of each refusal, and both spellings of quotes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "lib/errno.h"

static struct domain_args args;
static struct args_error err;

static void accepts(const char *line)
{
    int rc = domain_args_parse(line, &args, &err);

    if (rc != 0)
        ck_abort_msg("%s: column %u: %s", line, err.column, err.message);
}

static void refuses(const char *line, unsigned int column, const char *message)
{
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(domain_args_parse(line, &args, &err), -EINVAL);
    ck_assert_str_eq(err.message, message);
    ck_assert_uint_eq(err.column, column);
}

START_TEST(defaults_are_as_documented)
{
    accepts("name=ping");
    ck_assert_str_eq(args.name, "ping");
    ck_assert_str_eq(args.ramdisk_of, "");
    ck_assert_str_eq(args.cmdline, "");
    ck_assert_uint_eq(args.mem, 0);
    ck_assert_uint_eq(args.vcpus, 1);
    ck_assert_uint_eq(args.cpus, ~0ULL);
    ck_assert_uint_eq(args.priority, 8);
    ck_assert_uint_eq(args.budget, 0);
    ck_assert_uint_eq(args.period, 0);
    ck_assert_uint_eq(args.restart, RESTART_NEVER);
    ck_assert_uint_eq(args.nr_devices, 0);
    ck_assert(!args.paused && args.autostart);
}
END_TEST

START_TEST(every_key_is_understood)
{
    accepts("  name=d-1_x mem=64 vcpus=4\tcpus=0,2-3 priority=31 "
            "period=10000 budget=2000 restart=on-crash paused=yes autostart=no cmdline=hello ");
    ck_assert_str_eq(args.name, "d-1_x");
    ck_assert_uint_eq(args.mem, 64ULL << 20);
    ck_assert_uint_eq(args.vcpus, 4);
    ck_assert_uint_eq(args.cpus, 0xd);
    ck_assert_uint_eq(args.priority, 31);
    ck_assert_uint_eq(args.budget, 2000);
    ck_assert_uint_eq(args.period, 10000);
    ck_assert_uint_eq(args.restart, RESTART_ON_CRASH);
    ck_assert(args.paused && !args.autostart);
    ck_assert_str_eq(args.cmdline, "hello");

    accepts("ramdisk=disk");
    ck_assert_str_eq(args.ramdisk_of, "disk");
    ck_assert_str_eq(args.name, "");
}
END_TEST

START_TEST(memory_has_units)
{
    static const struct {
        const char *line;
        uint64_t bytes;
    } t[] = {
        { "name=a mem=1", 1ULL << 20 },     { "name=a mem=4K", 4096 },
        { "name=a mem=64M", 64ULL << 20 },  { "name=a mem=2G", 2ULL << 30 },
        { "name=a mem=1024G", 1ULL << 40 },
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        accepts(t[i].line);
        ck_assert_uint_eq(args.mem, t[i].bytes);
    }
}
END_TEST

START_TEST(devices_repeat_in_order)
{
    accepts("name=r vbd=disk:xvda vif=net vbd=disk:xvdb vif=net chan=c:ping");
    ck_assert_uint_eq(args.nr_devices, 5);
    ck_assert_int_eq(args.device[0].kind, DEVICE_VBD);
    ck_assert_str_eq(args.device[0].peer, "disk");
    ck_assert_str_eq(args.device[0].name, "xvda");
    ck_assert_int_eq(args.device[1].kind, DEVICE_VIF);
    ck_assert_str_eq(args.device[1].peer, "net");
    ck_assert_str_eq(args.device[1].name, "");
    ck_assert_int_eq(args.device[4].kind, DEVICE_CHAN);
    ck_assert_str_eq(args.device[4].name, "c");
    ck_assert_str_eq(args.device[4].peer, "ping");
}
END_TEST

/* As a person writes it in grub.cfg, and as GRUB hands it over. */
START_TEST(both_spellings_of_quotes_mean_the_same)
{
    static const struct {
        const char *written, *arrived, *cmdline;
    } t[] = {
        { "name=a cmdline=\"x y\"", "name=a \"cmdline=x y\"", "x y" },
        { "name=a cmdline='x \"y\"'", "name=a \"cmdline=x \\\"y\\\"\"",
          "x \"y\"" },
        { "name=a cmdline=\"say \\\"hi\\\" now\"",
          "name=a \"cmdline=say \\\"hi\\\" now\"", "say \"hi\" now" },
        { "name=a cmdline=\"don't\"", "name=a cmdline=don\\'t", "don't" },
        { "name=a cmdline=a\\ b", "name=a \"cmdline=a b\"", "a b" },
        { "name=a cmdline='a\\b'", "name=a cmdline=a\\\\b", "a\\b" },
        { "name=a cmdline=\"cost \\$5\"", "name=a \"cmdline=cost $5\"",
          "cost $5" },
        { "name=a cmdline=", "name=a cmdline=", "" },
        { "name=a cmdline=k=v", "name=a cmdline=k=v", "k=v" },
        { "name=\"a\" cmdline=x'y z'\"w\"", "name=a \"cmdline=xy zw\"",
          "xy zw" },
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        accepts(t[i].written);
        ck_assert_str_eq(args.cmdline, t[i].cmdline);
        accepts(t[i].arrived);
        ck_assert_str_eq(args.cmdline, t[i].cmdline);
        ck_assert_str_eq(args.name, "a");
    }
}
END_TEST

START_TEST(refusals_name_column_and_cause)
{
    static const struct {
        const char *line;
        unsigned int column;
        const char *message;
    } t[] = {
        { "", 1, "name= is missing" },
        { "mem=3", 1, "name= is missing" },
        { "name=", 1, "name is empty" },
        { "name", 1, "'name' wants a value: name=..." },
        { "name=a name=b", 8, "'name' is given twice" },
        { "name=a mem=1 mem=1", 14, "'mem' is given twice" },
        { "nmae=x", 1, "unknown key 'nmae' (did you mean 'name'?)" },
        { "name=a   vcpu=2", 10, "unknown key 'vcpu' (did you mean 'vcpus'?)" },
        { "name=a memory=2", 8, "unknown key 'memory' (did you mean 'mem'?)" },
        { "name=a prio=2", 8, "unknown key 'prio' (did you mean 'priority'?)" },
        { "name=a Vbd=x:y", 8, "unknown key 'Vbd' (did you mean 'vbd'?)" },
        { "name=a quiet", 8, "unknown key 'quiet'" },
        { "name=a =1", 8, "unknown key ''" },
        { "name=a/b", 1,
          "name 'a/b' may only have letters, digits, '-' and '_'" },
        { "name=abcdefghijabcdefghijabcdefghijab", 1,
          "name 'abcdefghijabcdef...' is longer than 31 characters" },
        { "name=a mem=x", 8, "mem=x: want a number, as in mem=64M" },
        { "name=a mem=64m", 8, "mem=64m: 'm' is no unit; K, M and G are" },
        { "name=a mem=64MB", 8, "mem=64MB: 'B' is no unit; K, M and G are" },
        { "name=a mem=0", 8, "mem=0: want 4K to 1024G" },
        { "name=a mem=1025G", 8, "mem=1025G: want 4K to 1024G" },
        { "name=a mem=99999999999999999999G", 8,
          "mem=99999999999999999999G: want 4K to 1024G" },
        { "name=a mem=6K", 8, "mem=6K: want a multiple of 4K" },
        { "name=a vcpus=0", 8, "vcpus=0: want a number from 1 to 32" },
        { "name=a vcpus=33", 8, "vcpus=33: want a number from 1 to 32" },
        { "name=a vcpus=-1", 8, "vcpus=-1: want a number from 1 to 32" },
        { "name=a priority=32", 8, "priority=32: want a number from 0 to 31" },
        { "name=a budget=99 period=1000", 8,
          "budget=99: want a number from 100 to 10000000" },
        { "name=a period=10000001", 8,
          "period=10000001: want a number from 100 to 10000000" },
        { "name=a budget=5ms", 8,
          "budget=5ms: want a number from 100 to 10000000" },
        { "name=a budget=2000", 1,
          "budget= and period= go together: period= is missing" },
        { "name=a period=2000", 1,
          "budget= and period= go together: budget= is missing" },
        { "name=a budget=2001 period=2000", 1,
          "budget=2001 is more than period=2000" },
        { "name=a budget=200 budget=200", 19, "'budget' is given twice" },
        { "name=a cpus=", 8,
          "cpus=: want CPUs from 0 to 63, as in cpus=0,2-3" },
        { "name=a cpus=3-1", 8,
          "cpus=3-1: want CPUs from 0 to 63, as in cpus=0,2-3" },
        { "name=a cpus=64", 8,
          "cpus=64: want CPUs from 0 to 63, as in cpus=0,2-3" },
        { "name=a cpus=1,", 8,
          "cpus=1,: want CPUs from 0 to 63, as in cpus=0,2-3" },
        { "name=a restart=maybe", 8,
          "restart=maybe: want never, on-crash or always" },
        { "name=a paused=true", 8, "paused=true: want yes or no" },
        { "name=a vbd=disk", 8, "'disk': want BACKEND:DEVICE" },
        { "name=a vbd=:xvda", 8, "BACKEND is empty" },
        { "name=a vbd=disk:", 8, "DEVICE is empty" },
        { "name=a vif=", 8, "BACKEND is empty" },
        { "name=a chan=x", 8, "'x': want NAME:PEER" },
        { "name=a vbd=d:x vbd=e:x", 16, "vbd 'x' is given twice" },
        { "name=a chan=c:b chan=c:d", 17, "chan 'c' is given twice" },
        { "chan=c:a name=a", 1, "'a' names itself as the other side" },
        { "name=a vif=b vif=a", 14, "'a' names itself as the other side" },
        { "ramdisk=a name=b", 1, "ramdisk= allows no other key on its line" },
        { "ramdisk=", 1, "ramdisk's domain is empty" },
        { "name=a cmdline=\"x", 8, "quote is never closed" },
        { "name=a cmdline='x", 8, "quote is never closed" },
        { "name=a cmdline=\"a\tb\"", 8, "control character in the word" },
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        refuses(t[i].line, t[i].column, t[i].message);
}
END_TEST

START_TEST(limits_hold_exactly)
{
    char line[2048] = "name=a";

    for (unsigned int i = 0; i < ARGS_MAX_DEVICES; i++)
        strcat(line, " vif=b");
    accepts(line);
    strcat(line, " vif=b");
    refuses(line, 104, "more than 16 of vbd=, vif= and chan=");

    memset(line, 0, sizeof(line));
    strcpy(line, "name=a cmdline=");
    memset(line + 15, 'x', 511);
    accepts(line);
    ck_assert_uint_eq(strlen(args.cmdline), 511);
    strcat(line, "x");
    refuses(line, 8, "cmdline is longer than 511 characters");
    memset(line + 15, 'x', 1000);
    refuses(line, 8, "word is too long");

    accepts("name=abcdefghijabcdefghijabcdefghija");
    accepts("name=a cpus=0-63");
    ck_assert_uint_eq(args.cpus, ~0ULL);
}
END_TEST

START_TEST(words_are_split_with_columns)
{
    const char *line = "  one \"two three\"  fo\\\"ur ";
    unsigned int column;
    char word[10];
    size_t pos = 0;

    ck_assert_int_eq(args_next_word(line, &pos, word, 10, &column), 1);
    ck_assert_str_eq(word, "one");
    ck_assert_uint_eq(column, 3);
    ck_assert_int_eq(args_next_word(line, &pos, word, 10, &column), 1);
    ck_assert_str_eq(word, "two three");
    ck_assert_uint_eq(column, 7);
    ck_assert_int_eq(args_next_word(line, &pos, word, 10, &column), 1);
    ck_assert_str_eq(word, "fo\"ur");
    ck_assert_uint_eq(column, 20);
    ck_assert_int_eq(args_next_word(line, &pos, word, 10, &column), 0);

    pos = 0;
    ck_assert_int_eq(args_next_word("0123456789", &pos, word, 10, &column),
                     -EINVAL);
}
END_TEST

/* Pieces of lines in random order, with bytes flipped: nothing is written
 * outside, refusals have a message and a column inside the line. */
START_TEST(random_lines_do_no_harm)
{
    static const char *const pieces[] = {
        "name=a", " ", "mem=", "9999999999999999999", "vbd=", ":", "x", "\"",
        "'", "\\", "cpus=", "0-63", ",", "chan=c:d", "cmdline=", "=", "vif=",
        "restart=always", "priority=8", "budget=500", "period=", "ramdisk=", "abcdefghijklmnopqrstuvw",
    };
    char line[512];
    unsigned int good = 0;

    srand(1);
    for (unsigned int i = 0; i < 200000; i++) {
        size_t n = 0, length;

        for (int k = rand() % 12; k >= 0; k--) {
            const char *p = pieces[(size_t)rand() %
                                   (sizeof(pieces) / sizeof(pieces[0]))];

            n += (size_t)snprintf(line + n, sizeof(line) - n, "%s", p);
        }
        length = strlen(line);
        if (rand() % 4 == 0)
            line[(size_t)rand() % length] = (char)(rand() % 255 + 1);
        memset(&err, 0, sizeof(err));
        if (domain_args_parse(line, &args, &err) == 0) {
            good++;
            continue;
        }
        ck_assert(err.message[0] != '\0');
        ck_assert(err.column >= 1 && err.column <= length + 1);
    }
    ck_assert_uint_gt(good, 100); /* or the pieces are wrong */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("args");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, defaults_are_as_documented);
    tcase_add_test(tests, every_key_is_understood);
    tcase_add_test(tests, memory_has_units);
    tcase_add_test(tests, devices_repeat_in_order);
    tcase_add_test(tests, both_spellings_of_quotes_mean_the_same);
    tcase_add_test(tests, refusals_name_column_and_cause);
    tcase_add_test(tests, limits_hold_exactly);
    tcase_add_test(tests, words_are_split_with_columns);
    tcase_add_test(tests, random_lines_do_no_harm);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
