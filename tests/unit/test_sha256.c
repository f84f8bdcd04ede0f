/* SHA-256 on the host: the standard's examples, and every way to cut a text. */
#include <check.h>
#include <string.h>

#include "guests/lib/sha256.h"

static void hash_in_pieces(const void *bytes, size_t n, size_t piece,
                           char hex[SHA256_HEX])
{
    const char *p = bytes;
    struct sha256 s;

    sha256_begin(&s);
    for (size_t done = 0; done < n; done += piece)
        sha256_add(&s, p + done, n - done < piece ? n - done : piece);
    sha256_end(&s, hex);
}

START_TEST(the_standards_examples)
{
    static char million[1000000];
    char hex[SHA256_HEX];

    hash_in_pieces("", 0, 1, hex);
    ck_assert_str_eq(
        hex,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_in_pieces("abc", 3, 3, hex);
    ck_assert_str_eq(
        hex,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_in_pieces("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                   56, 56, hex);
    ck_assert_str_eq(
        hex,
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', sizeof(million));
    hash_in_pieces(million, sizeof(million), 4096, hex);
    ck_assert_str_eq(
        hex,
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

START_TEST(a_text_hashes_alike_however_it_is_cut)
{
    char text[300], whole[SHA256_HEX], pieces[SHA256_HEX];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 31);
    for (size_t n = 0; n <= sizeof(text); n++) {
        hash_in_pieces(text, n, n + 1, whole);
        for (size_t piece = 1; piece <= 130; piece += 7) {
            hash_in_pieces(text, n, piece, pieces);
            if (strcmp(whole, pieces))
                ck_abort_msg("%zu bytes in pieces of %zu", n, piece);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sha256");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, the_standards_examples);
    tcase_add_test(tests, a_text_hashes_alike_however_it_is_cut);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
