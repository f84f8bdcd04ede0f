/*
 * What stands between COM2 and the verbs: words of a request, safe text, and
 * the JSON writer.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guests/control/json.h"
#include "guests/control/text.h"
#include "guests/control/words.h"
#include "lib/errno.h"

static const char *words[4];

static int split(const char *line)
{
    static char *copy;

    free(copy);
    copy = strdup(line); /* exactly, so that ASan sees overruns */
    return words_split(copy, words, 4);
}

START_TEST(words_are_split_and_unquoted)
{
    ck_assert_int_eq(split(""), 0);
    ck_assert_int_eq(split("  7   list "), 2);
    ck_assert_str_eq(words[0], "7");
    ck_assert_str_eq(words[1], "list");
    ck_assert_int_eq(split("1 store \"a b\" \"\""), 4);
    ck_assert_str_eq(words[2], "a b");
    ck_assert_str_eq(words[3], "");
    ck_assert_int_eq(split("\"q\\\"q\\\\q\\x0a\" \"gr\xc3\xbc\xc3\x9f\""), 2);
    ck_assert_str_eq(words[0], "q\"q\\q\n");
    ck_assert_str_eq(words[1], "gr\xc3\xbc\xc3\x9f");
    ck_assert_int_eq(split("a b c d e"), -E2BIG);
}
END_TEST

START_TEST(what_is_no_request_is_refused)
{
    static const char *const bad[] = { "\"open",       "a\"b",
                                       "\"a\"b",       "\x01",
                                       "\x7f",         "gr\xc3\xbc\xc3\x9f",
                                       "\"\xff\"",     "\"\xc3\"",
                                       "\"\xc0\xaf\"", "\"\xed\xa0\x80\"",
                                       "\"\\n\"",      "\"\\x0\"",
                                       "\"\\x00\"",    "\"\\\"",
                                       "\"a\tb\"",     "a\tb",
                                       "\"\xc2\x80\"", "\"\\" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (split(bad[i]) != -EINVAL)
            ck_abort_msg("number %zu is taken", i);
}
END_TEST

START_TEST(no_line_of_any_bytes_breaks_the_splitter)
{
    char line[64];

    srand(20240101);
    for (int i = 0; i < 300000; i++) {
        static const char dense[] = " \"\\xa0";
        int n = rand() % 63;

        for (int k = 0; k < n; k++)
            line[k] = rand() % 2 ? dense[rand() % 6] : (char)(1 + rand() % 255);
        line[n] = 0;
        split(line);
    }
}
END_TEST

START_TEST(escaped_text_cannot_move_a_cursor)
{
    char out[32];

    text_escape(out, sizeof(out), "a\033[2Jb\tc\r", 9);
    ck_assert_str_eq(out, "a\\x1b[2Jb c\\x0d");
    text_escape(out, sizeof(out), "\xc3\xbc\xc2\x9b\xff", 5);
    ck_assert_str_eq(out, "\xc3\xbc\\xc2\\x9b\\xff");
    ck_assert_uint_lt(text_escape(out, 8, "\1\1\1\1\1\1", 6), 8);
    ck_assert_uint_lt(text_escape(out, 8, "abcdefghijkl", 12), 8);
}
END_TEST

START_TEST(durations_read_well)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = { { 0, "0 ns" },
                 { 999, "999 ns" },
                 { 12345, "12.3 us" },
                 { 99999999, "99.9 ms" },
                 { 1234567890, "1.23 s" },
                 { 600000000000ull, "10 min" } };
    char out[32];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        text_duration(out, sizeof(out), rows[i].ns);
        ck_assert_str_eq(out, rows[i].text);
    }
}
END_TEST

static void document(struct json *j)
{
    emit_object(&j->emit, NULL);
    emit_string(&j->emit, "s", "q\"\\\n\xff\xc3\xbc");
    emit_number(&j->emit, "n", 18446744073709551615ull);
    emit_bool(&j->emit, "b", true);
    emit_known(&j->emit, "u", false, 3);
    emit_array(&j->emit, "a");
    emit_object(&j->emit, NULL);
    emit_object_end(&j->emit);
    emit_string(&j->emit, NULL, "");
    emit_array_end(&j->emit);
    emit_format(&j->emit, "f", "%d", -1);
    emit_object_end(&j->emit);
}

START_TEST(json_is_one_line_and_never_overruns)
{
    static const char expected[] =
        "{\"s\":\"q\\\"\\\\\\u000a\\u00ff\xc3\xbc\",\"n\":18446744073709551615,"
        "\"b\":true,\"u\":null,\"a\":[{},\"\"],\"f\":\"-1\"}";
    struct json j;

    for (size_t size = 0; size < sizeof(expected) + 8; size++) {
        char *buf = malloc(size + 1);

        json_init(&j, buf, size);
        document(&j);
        ck_assert_int_eq(j.full, size < sizeof(expected) - 1);
        if (!j.full) {
            ck_assert_uint_eq(j.used, sizeof(expected) - 1);
            ck_assert_int_eq(memcmp(buf, expected, j.used), 0);
        }
        free(buf);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, words_are_split_and_unquoted);
    tcase_add_test(tests, what_is_no_request_is_refused);
    tcase_add_test(tests, no_line_of_any_bytes_breaks_the_splitter);
    tcase_add_test(tests, escaped_text_cannot_move_a_cursor);
    tcase_add_test(tests, durations_read_well);
    tcase_add_test(tests, json_is_one_line_and_never_overruns);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
