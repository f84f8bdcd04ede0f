/*
 * The layout of a domain at its start: the order and the promises of Xen's
 * ABI, for images of all sizes and places.
 */
#include <check.h>
#include <stdlib.h>

#include "lib/start_of_day.h"
#include "lib/errno.h"

#define PAGE  4096ULL
#define MIB   (1ULL << 20)
#define LINUX 0xffffffff80000000ULL

static struct start_of_day s;
static const char *why;

static struct elf_image image_at(uint64_t base, uint64_t low, uint64_t high)
{
    return (struct elf_image){ .virt_base = base,
                               .low = base + low,
                               .high = base + high };
}

/* Entries of a table at each level that [start, end) needs, counted one page
 * at a time. */
static uint64_t count_tables(uint64_t start, uint64_t end)
{
    uint64_t n = 1, last[4] = { ~0ULL, ~0ULL, ~0ULL, ~0ULL };

    for (uint64_t va = start; va != end; va += PAGE)
        for (unsigned int level = 1; level <= 3; level++)
            if (va >> (12 + 9 * level) != last[level]) {
                last[level] = va >> (12 + 9 * level);
                n++;
            }
    return n;
}

static void check_promises(const struct elf_image *elf, uint64_t ramdisk)
{
    ck_assert_uint_eq(s.base, elf->virt_base);
    ck_assert_uint_eq(s.end % (4 * MIB), 0);
    ck_assert_uint_ge(s.end - (s.stack + PAGE), 512 * 1024);
    ck_assert_uint_lt(s.end - (s.stack + PAGE), 4 * MIB + 512 * 1024);
    ck_assert_uint_eq(s.stack, s.tables + s.nr_tables * PAGE);
    ck_assert_uint_eq(s.nr_tables, count_tables(s.base, s.end));
    ck_assert_uint_gt(s.tables, s.start_info);
    ck_assert_uint_eq((s.tables | s.stack | s.start_info | s.p2m) % PAGE, 0);
    if (s.ramdisk) {
        ck_assert_uint_ge(s.ramdisk, elf->high);
        ck_assert_uint_ge(s.start_info, s.ramdisk + ramdisk);
        ck_assert_uint_eq(s.ramdisk_pfn, (s.ramdisk - s.base) / PAGE);
    }
    ck_assert_uint_ge(s.p2m_pages * 512, s.nr_pages);
}

START_TEST(the_order_is_that_of_the_abi)
{
    struct elf_image elf = image_at(LINUX, 16 * MIB, 17 * MIB + 5);

    ck_assert_int_eq(start_of_day_plan(&s, &elf, 16384, 10000, true, &why), 0);
    check_promises(&elf, 10000);
    ck_assert_uint_eq(s.ramdisk, LINUX + 17 * MIB + PAGE);
    ck_assert_uint_eq(s.p2m, s.ramdisk + 3 * PAGE);
    ck_assert_uint_eq(s.start_info, s.p2m + 32 * PAGE);
    ck_assert_uint_eq(s.store, s.start_info + PAGE);
    ck_assert_uint_eq(s.console, s.store + PAGE);
    ck_assert_uint_eq(s.tables, s.console + PAGE);
    ck_assert_uint_eq(s.used, (s.end - s.base) / PAGE);
}
END_TEST

START_TEST(the_initial_domain_has_no_rings)
{
    struct elf_image elf = image_at(0, 0, MIB);

    ck_assert_int_eq(start_of_day_plan(&s, &elf, 4096, 0, false, &why), 0);
    check_promises(&elf, 0);
    ck_assert_uint_eq(s.store | s.console | s.ramdisk, 0);
    ck_assert_uint_eq(s.tables, s.start_info + PAGE);
}
END_TEST

START_TEST(unmapped_parts_have_frames_of_their_own)
{
    struct elf_image elf = image_at(LINUX, 16 * MIB, 20 * MIB);

    elf.init_p2m = 0x8000000000;
    elf.mod_start_pfn = true;
    ck_assert_int_eq(start_of_day_plan(&s, &elf, 65536, 9 * MIB, true, &why),
                     0);
    check_promises(&elf, 9 * MIB);
    ck_assert_uint_eq(s.ramdisk, 0);
    ck_assert_uint_eq(s.ramdisk_pfn, (s.end - s.base) / PAGE);
    ck_assert_uint_eq(s.p2m, 0x8000000000);
    ck_assert_uint_eq(s.p2m_table_pfn, s.ramdisk_pfn + 9 * MIB / PAGE);
    ck_assert_uint_eq(s.p2m_tables, 3);
    ck_assert_uint_eq(s.p2m_pfn, s.p2m_table_pfn + 3);
    ck_assert_uint_eq(s.used, s.p2m_pfn + 128);
}
END_TEST

START_TEST(too_little_memory_says_how_much_is_needed)
{
    struct elf_image elf = image_at(0, 0, 3 * MIB);
    uint64_t used;

    ck_assert_int_eq(start_of_day_plan(&s, &elf, 100, 0, true, &why), -ENOMEM);
    used = s.used;
    ck_assert_int_eq(start_of_day_plan(&s, &elf, used - 1, 0, true, &why),
                     -ENOMEM);
    ck_assert_int_eq(start_of_day_plan(&s, &elf, used, 0, true, &why), 0);
}
END_TEST

START_TEST(wrong_places_are_refused)
{
    struct elf_image low = image_at(0x7fffff800000, 0, MIB);
    struct elf_image top = image_at(0xffffffffff800000, 0, 0x7fffff);
    struct elf_image p2m = image_at(LINUX, 0, MIB);

    ck_assert_int_eq(start_of_day_plan(&s, &low, 1 << 20, 8 * MIB, true, &why),
                     -EINVAL);
    ck_assert_int_eq(start_of_day_plan(&s, &top, 1 << 20, 0, true, &why),
                     -EINVAL);
    p2m.init_p2m = LINUX + 2 * MIB; /* where the tables go */
    ck_assert_int_eq(start_of_day_plan(&s, &p2m, 1 << 20, 0, true, &why),
                     -EINVAL);
    p2m.init_p2m = 0xffff87fffffff000;
    ck_assert_int_eq(start_of_day_plan(&s, &p2m, 1 << 20, 0, true, &why),
                     -EINVAL);
    p2m.init_p2m = 0x7ffffffff000; /* runs into the hole */
    ck_assert_int_eq(start_of_day_plan(&s, &p2m, 1 << 20, 0, true, &why),
                     -EINVAL);
}
END_TEST

/* Around each size at which one more table is needed. */
START_TEST(promises_hold_for_all_sizes)
{
    for (uint64_t high = PAGE; high < 9 * MIB; high += 5 * PAGE + 1) {
        struct elf_image elf = image_at(0x100000 * (high % 7), 0, high);

        ck_assert_int_eq(
            start_of_day_plan(&s, &elf, 1 << 16, high / 3, true, &why), 0);
        check_promises(&elf, high / 3);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("start_of_day");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_order_is_that_of_the_abi);
    tcase_add_test(tests, the_initial_domain_has_no_rings);
    tcase_add_test(tests, unmapped_parts_have_frames_of_their_own);
    tcase_add_test(tests, too_little_memory_says_how_much_is_needed);
    tcase_add_test(tests, wrong_places_are_refused);
    tcase_add_test(tests, promises_hold_for_all_sizes);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
