/*
 * Calls: each ending, late and unwanted answers, and a peer that writes what
 * it likes.  The server runs inside the caller's way, where it would be
 * handed the CPU.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hv/abi/belfry.h"
#include "lib/errno.h"
#include "rings/call.h"

static struct call_page *page;
static struct call_caller caller;
static struct call_server server;
static struct call_peer peer;
static uint64_t now;
static int woken; /* what the way returns */
static void (*on_call)(void);

static int way_call(void *bell, uint64_t deadline)
{
    ck_assert_ptr_eq(bell, &caller);
    (void)deadline;
    now += 10;
    if (on_call != NULL)
        on_call();
    return woken;
}

static void way_look(void *bell, struct call_peer *out)
{
    (void)bell;
    *out = peer;
}

static uint64_t way_now(void)
{
    return now;
}

static const struct call_way way = { way_call, way_look, way_now };

static void begin(void)
{
    page = aligned_alloc(4096, 4096);
    memset(page, 0, 4096);
    call_open(&caller, page, &way, &caller);
    call_attach(&server, page);
    peer = (struct call_peer){ .state = BELFRY_PEER_ALIVE };
    now = 1000;
    woken = 0;
    on_call = NULL;
}

static void end(void)
{
    free(page);
}

static struct call_ending ending;

static int make(uint64_t deadline, uint32_t *answer)
{
    uint32_t request = 7;
    size_t size = sizeof(*answer);

    return call_make(&caller, &request, sizeof(request), answer, &size,
                     deadline, &ending);
}

/* Answers the number after the request's. */
static void serve(void)
{
    uint32_t n;
    size_t size = sizeof(n);

    if (call_take(&server, &n, &size) != 0)
        return;
    ck_assert_uint_eq(size, sizeof(n));
    n++;
    ck_assert_int_eq(call_answer(&server, &n, sizeof(n)), 0);
}

START_TEST(a_call_is_answered)
{
    uint32_t answer = 0;

    on_call = serve;
    for (unsigned int i = 0; i < 1000; i++) {
        ck_assert_int_eq(make(0, &answer), 0);
        ck_assert_uint_eq(answer, 8);
    }
    ck_assert_uint_eq(caller.generation, 1000);
}
END_TEST

static int wakings;

static void serve_at_the_third(void)
{
    if (++wakings == 3)
        serve();
}

START_TEST(a_waking_without_an_answer_waits_on)
{
    uint32_t answer;

    wakings = 0;
    on_call = serve_at_the_third;
    ck_assert_int_eq(make(0, &answer), 0);
    ck_assert_int_eq(wakings, 3);
}
END_TEST

START_TEST(a_dead_peer_is_said_to_be_dead)
{
    uint32_t answer;

    woken = -EPIPE;
    peer.state = BELFRY_PEER_CRASHED;
    peer.generation = 42;
    peer.vector = 14;
    ck_assert_int_eq(make(0, &answer), -EPIPE);
    ck_assert_uint_eq(ending.peer.state, BELFRY_PEER_CRASHED);
    ck_assert_uint_eq(ending.peer.generation, 42);
    ck_assert_uint_eq(ending.peer.vector, 14);
}
END_TEST

START_TEST(an_answer_given_before_death_counts)
{
    uint32_t answer;

    on_call = serve;
    woken = -EPIPE;
    ck_assert_int_eq(make(0, &answer), 0);
}
END_TEST

START_TEST(a_deadlock_ends_the_call)
{
    uint32_t answer;

    woken = -EDEADLK;
    ck_assert_int_eq(make(0, &answer), -EDEADLK);
}
END_TEST

static enum call_evidence evidence_of(uint32_t state, uint64_t since)
{
    uint32_t answer;

    peer.vcpu_state = state;
    peer.vcpu_since = since;
    ck_assert_int_eq(make(now + 5, &answer), -ETIMEDOUT);
    return ending.evidence;
}

START_TEST(a_time_out_brings_evidence)
{
    ck_assert_uint_eq(evidence_of(BELFRY_VCPU_BLOCKED, 0), CALL_NEVER_RAN);
    ck_assert_uint_eq(evidence_of(BELFRY_VCPU_BLOCKED, now + 5),
                      CALL_NOT_TAKEN);
    ck_assert_uint_eq(evidence_of(BELFRY_VCPU_RUNNING, now), CALL_NOT_TAKEN);
    ck_assert_uint_eq(evidence_of(BELFRY_VCPU_PAUSED, now), CALL_PAUSED);
    ck_assert_uint_eq(ending.starved_by, 0xffffffffu);
    peer.cpu_runs = 5;
    ck_assert_uint_eq(evidence_of(BELFRY_VCPU_RUNNABLE, now), CALL_STARVED);
    ck_assert_uint_eq(ending.starved_by, 5);
    peer.pending = peer.masked = true;
    ck_assert_uint_eq(evidence_of(BELFRY_VCPU_BLOCKED, 0), CALL_MASKED);
    peer.masked = false;
    peer.upcall_masked = true;
    ck_assert_uint_eq(evidence_of(BELFRY_VCPU_BLOCKED, 0), CALL_EVENTS_OFF);
}
END_TEST

static void take_only(void)
{
    uint32_t n;
    size_t size = sizeof(n);

    (void)call_take(&server, &n, &size);
}

START_TEST(a_late_answer_is_nobodys)
{
    uint32_t answer, late = 99;

    on_call = take_only;
    ck_assert_int_eq(make(now + 5, &answer), -ETIMEDOUT);
    ck_assert_uint_eq(ending.evidence, CALL_WORKING);
    ck_assert(!call_is_wanted(&server));
    ck_assert_int_eq(call_answer(&server, &late, sizeof(late)), -ECANCELED);
    on_call = serve;
    ck_assert_int_eq(make(0, &answer), 0);
    ck_assert_uint_eq(answer, 8);
}
END_TEST

START_TEST(a_request_that_was_withdrawn_is_not_taken)
{
    uint32_t answer, n;
    size_t size = sizeof(n);

    ck_assert_int_eq(make(now + 5, &answer), -ETIMEDOUT);
    ck_assert_int_eq(call_take(&server, &n, &size), -EAGAIN);
    ck_assert_int_eq(call_answer(&server, &n, sizeof(n)), -EINVAL);
}
END_TEST

/* The server answers an old request while a new one stands there. */
static void answer_the_old(void)
{
    page->answered = caller.generation - 1;
    page->answer_size = 4;
}

START_TEST(an_answer_to_an_earlier_request_is_not_taken)
{
    uint32_t answer;

    caller.generation = 10;
    on_call = answer_the_old;
    ck_assert_int_eq(make(now + 25, &answer), -ETIMEDOUT);
    ck_assert(!caller.faulty);
}
END_TEST

static void cancel_it(void)
{
    call_cancel(&caller);
}

static void refuse_it(void)
{
    take_only();
    ck_assert_int_eq(call_refuse(&server, "", 0), 0);
}

START_TEST(a_call_can_be_cancelled_from_both_sides)
{
    uint32_t answer;

    on_call = cancel_it;
    ck_assert_int_eq(make(0, &answer), -ECANCELED);
    on_call = refuse_it;
    ck_assert_int_eq(make(0, &answer), -ECANCELED);
    on_call = serve;
    ck_assert_int_eq(make(0, &answer), 0);
}
END_TEST

static void refuse_and_say_why(void)
{
    const uint32_t why = 4711;

    take_only();
    ck_assert_int_eq(call_refuse(&server, &why, sizeof(why)), 0);
}

/* It may be all that a caller learns of who died behind its server. */
START_TEST(a_refusal_can_say_why)
{
    uint32_t request = 1, why = 0;
    size_t size = sizeof(why);

    on_call = refuse_and_say_why;
    ck_assert_int_eq(call_make(&caller, &request, sizeof(request), &why, &size,
                               0, NULL),
                     -ECANCELED);
    ck_assert_uint_eq(size, sizeof(why));
    ck_assert_uint_eq(why, 4711);
    size = 2; /* no room: the refusal stands, the reason is lost */
    ck_assert_int_eq(call_make(&caller, &request, sizeof(request), &why, &size,
                               0, NULL),
                     -ECANCELED);
    ck_assert_uint_eq(size, 0);
}
END_TEST

START_TEST(sizes_are_checked)
{
    static uint8_t large[CALL_BYTES + 1];
    size_t size = sizeof(large);
    uint32_t n;

    ck_assert_int_eq(
        call_make(&caller, large, sizeof(large), large, &size, 0, NULL),
        -EINVAL);
    ck_assert_int_eq(call_answer(&server, large, 1), -EINVAL);
    page->asked = 1;
    page->size = 8;
    size = sizeof(n);
    ck_assert_int_eq(call_take(&server, &n, &size), -ENOSPC);
    ck_assert_int_eq(call_answer(&server, large, sizeof(large)), -EINVAL);
    ck_assert_int_eq(call_refuse(&server, "", 0), 0);
}
END_TEST

static void answer_too_much(void)
{
    static uint8_t large[CALL_BYTES];

    take_only();
    ck_assert_int_eq(call_answer(&server, large, sizeof(large)), 0);
}

START_TEST(an_answer_without_room_is_dropped)
{
    uint32_t answer;

    on_call = answer_too_much;
    ck_assert_int_eq(make(0, &answer), -ENOSPC);
    on_call = serve;
    ck_assert_int_eq(make(0, &answer), 0);
}
END_TEST

static void forge_answered(void)
{
    page->answered = caller.generation + 1;
}

static void forge_size(void)
{
    page->answered = caller.generation;
    page->answer_size = CALL_BYTES + 1;
}

static void forge_status(void)
{
    page->answered = caller.generation;
    page->answer_size = 0;
    page->status = 5;
}

START_TEST(a_forging_server_is_a_fault_that_stays)
{
    void (*const forge[])(void) = { forge_answered, forge_size, forge_status };

    uint32_t answer;

    on_call = forge[_i];
    ck_assert_int_eq(make(0, &answer), -EPROTO);
    on_call = serve;
    ck_assert_int_eq(make(0, &answer), -EPROTO);
}
END_TEST

START_TEST(a_forging_caller_is_a_fault_that_stays)
{
    uint8_t room[CALL_BYTES];
    size_t size = sizeof(room);

    page->asked = 5;
    page->size = 1;
    ck_assert_int_eq(call_take(&server, room, &size), 0);
    ck_assert_int_eq(call_answer(&server, room, 1), 0);
    if (_i == 0)
        page->asked = 4; /* backwards */
    else
        page->asked = 6;
    if (_i == 1)
        page->size = CALL_BYTES + 1;
    size = sizeof(room);
    ck_assert_int_eq(call_take(&server, room, &size), -EPROTO);
    page->asked = 7;
    page->size = 1;
    ck_assert_int_eq(call_take(&server, room, &size), -EPROTO);
}
END_TEST

START_TEST(a_new_caller_goes_on_with_the_generations)
{
    uint32_t answer;

    on_call = serve;
    ck_assert_int_eq(make(0, &answer), 0);
    ck_assert_int_eq(make(0, &answer), 0);
    call_open(&caller, page, &way, &caller);
    ck_assert_int_eq(make(0, &answer), 0);
    ck_assert_uint_eq(caller.generation, 3);
    call_attach(&server, page);
    ck_assert_int_eq(make(0, &answer), 0);
}
END_TEST

START_TEST(each_evidence_has_a_name)
{
    for (unsigned int e = CALL_UNKNOWN; e <= CALL_PAUSED; e++)
        ck_assert_uint_gt(strlen(call_evidence_name((enum call_evidence)e)), 4);
    ck_assert_str_eq(call_evidence_name((enum call_evidence)99), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("call");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_call_is_answered);
    tcase_add_test(tests, a_waking_without_an_answer_waits_on);
    tcase_add_test(tests, a_dead_peer_is_said_to_be_dead);
    tcase_add_test(tests, an_answer_given_before_death_counts);
    tcase_add_test(tests, a_deadlock_ends_the_call);
    tcase_add_test(tests, a_time_out_brings_evidence);
    tcase_add_test(tests, a_late_answer_is_nobodys);
    tcase_add_test(tests, a_request_that_was_withdrawn_is_not_taken);
    tcase_add_test(tests, an_answer_to_an_earlier_request_is_not_taken);
    tcase_add_test(tests, a_call_can_be_cancelled_from_both_sides);
    tcase_add_test(tests, a_refusal_can_say_why);
    tcase_add_test(tests, sizes_are_checked);
    tcase_add_test(tests, an_answer_without_room_is_dropped);
    tcase_add_loop_test(tests, a_forging_server_is_a_fault_that_stays, 0, 3);
    tcase_add_loop_test(tests, a_forging_caller_is_a_fault_that_stays, 0, 2);
    tcase_add_test(tests, a_new_caller_goes_on_with_the_generations);
    tcase_add_test(tests, each_evidence_has_a_name);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
