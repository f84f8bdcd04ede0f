/* The names of hypercalls, as they stand in lists of refusals. */
#include <check.h>
#include <stdlib.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include <xen/xen.h>

#include "lib/hypercall_name.h"

START_TEST(calls_have_names)
{
    ck_assert_str_eq(hypercall_name(__HYPERVISOR_set_trap_table),
                     "set_trap_table");
    ck_assert_str_eq(hypercall_name(__HYPERVISOR_hypfs_op), "hypfs_op");
    ck_assert_str_eq(hypercall_name(__HYPERVISOR_arch_7), "belfry_op");
}
END_TEST

START_TEST(numbers_that_are_no_call_have_one_too)
{
    ck_assert_str_eq(hypercall_name(11), "hypercall"); /* was never used */
    ck_assert_str_eq(hypercall_name(__HYPERVISOR_arch_0), "hypercall");
    ck_assert_str_eq(hypercall_name(__HYPERVISOR_arch_7 + 1), "hypercall");
    ck_assert_str_eq(hypercall_name(UINT64_MAX), "hypercall");
}
END_TEST

START_TEST(operations_have_names)
{
    ck_assert_str_eq(
        hypercall_operation_name(__HYPERVISOR_event_channel_op, EVTCHNOP_send),
        "event_channel_op/send");
    ck_assert_str_eq(
        hypercall_operation_name(__HYPERVISOR_vcpu_op, VCPUOP_is_up),
        "vcpu_op/is_up");
    ck_assert_str_eq(hypercall_operation_name(__HYPERVISOR_grant_table_op,
                                              GNTTABOP_map_grant_ref),
                     "grant_table_op/map");
}
END_TEST

START_TEST(what_is_no_operation_has_no_name)
{
    ck_assert_ptr_null(
        hypercall_operation_name(__HYPERVISOR_memory_op, UINT32_MAX));
    ck_assert_ptr_null(/* a hole in the numbers */
                       hypercall_operation_name(__HYPERVISOR_memory_op, 8));
    ck_assert_ptr_null(hypercall_operation_name(
        __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_time_memory_area + 1));
    ck_assert_ptr_null(hypercall_operation_name(__HYPERVISOR_mmu_update, 0));
    ck_assert_ptr_null(hypercall_operation_name(UINT64_MAX, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hypercall_name");
    TCase *tests = tcase_create("names");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, calls_have_names);
    tcase_add_test(tests, numbers_that_are_no_call_have_one_too);
    tcase_add_test(tests, operations_have_names);
    tcase_add_test(tests, what_is_no_operation_has_no_name);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);

    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
