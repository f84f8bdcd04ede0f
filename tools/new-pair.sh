#!/bin/sh
# Write a frontend and a backend over a ring, their protocol, a system of both
# and a test on the host: docs/drivers.md.
#
#   sh tools/new-pair.sh NAME
set -eu

name=${1:-}
case $name in
'') echo "usage: make new-pair NAME=x" >&2; exit 2 ;;
*[!a-z0-9]* | [!a-z]*)
    echo "new-pair: '$name': use a-z and 0-9, a letter first" >&2
    exit 2 ;;
esac
if [ ${#name} -gt 15 ]; then
    echo "new-pair: '$name' is longer than 15 characters" >&2
    exit 2
fi
for path in guests/$name-front guests/$name-back tests/unit/test_$name.c; do
    if [ -e "$path" ]; then
        echo "new-pair: there is $path already" >&2
        exit 1
    fi
done

NAME=$(echo "$name" | tr a-z A-Z)
mkdir "guests/$name-front" "guests/$name-back"

cat > "guests/$name-back/$name.h" <<END
/*
 * The protocol of $name: what the frontend asks and the backend answers.
 *
 * Both sides and the test on the host include it.  ${name}_answer is all that
 * the device does; it sees a private copy of a request that may hold anything.
 */
#ifndef ${NAME}_H
#define ${NAME}_H

#include <stddef.h>
#include <stdint.h>

#include "guests/drivers/protocol.h"

#define ${NAME}_LARGEST 0xffffffffu /* whose square is a 64-bit number */

struct ${name}_request {
    uint64_t id; /* the framework's */
    uint64_t number;
};

struct ${name}_response {
    uint64_t id;
    uint64_t square;
    int64_t status; /* 0, or -1: the number is too large */
};

static const struct protocol ${name}_protocol = {
    .name = "$name",
    .request_size = sizeof(struct ${name}_request),
    .response_size = sizeof(struct ${name}_response),
    .request_id = offsetof(struct ${name}_request, id),
    .response_id = offsetof(struct ${name}_response, id),
};

static inline void ${name}_answer(const struct ${name}_request *request,
                                  struct ${name}_response *response)
{
    response->id = request->id;
    response->status = request->number > ${NAME}_LARGEST ? -1 : 0;
    response->square = 0;
    if (response->status == 0)
        response->square = request->number * request->number;
}

#endif
END

cat > "guests/$name-back/main.c" <<END
/* The backend of $name: answers what ${name}-front asks. */
#include "guests/drivers/back.h"
#include "guests/$name-back/$name.h"

static int serve(struct back *b, const void *message)
{
    struct ${name}_response response;

    ${name}_answer(message, &response);
    return back_reply(b, &response);
}

int guest_main(void)
{
    static const struct back_driver driver = {
        .protocol = &${name}_protocol,
        .serve = serve,
    };

    if (back_add_channel(&driver, "$name"))
        return 1;
    back_run();
}
END

cat > "guests/$name-front/main.c" <<END
/* The frontend of $name: asks, and checks the answers. */
#include "guests/drivers/front.h"
#include "guests/$name-back/$name.h"

#define REQUESTS 1000u

/* As many requests as fit; the cookie is the number itself. */
static void ask(struct front *f, uint64_t *asked)
{
    while (*asked < REQUESTS && front_free(f) > 0) {
        struct ${name}_request request = { .number = *asked };

        front_put(f, &request, (void *)*asked);
        ++*asked;
    }
    front_submit(f);
}

/* All answers that have come.  0 or an error. */
static int check(struct front *f, uint64_t *answered)
{
    struct ${name}_response response;
    void *cookie;
    int error;

    while ((error = front_take(f, &response, &cookie)) == 0) {
        uint64_t number = (uint64_t)cookie;

        if (response.status || response.square != number * number)
            return front_break(f, "a wrong answer");
        ++*answered;
    }
    return error == -EAGAIN ? 0 : error;
}

int guest_main(void)
{
    static struct front f;
    uint64_t asked = 0, answered = 0, start;
    int error;

    error = front_open_channel(&f, &${name}_protocol, "$name");
    start = clock_now();
    while (!error && answered < REQUESTS) {
        ask(&f, &asked);
        error = front_wait(&f);
        if (!error)
            error = check(&f, &answered);
    }
    if (error)
        return 1;
    printf("%u right answers, %lu ns each\\n", REQUESTS,
           (clock_now() - start) / REQUESTS);
    front_close(&f);
    return 0;
}
END

cat > "guests/$name-front/grub.cfg" <<END
# A system of three domains: the control domain, $name-back and $name-front.
set timeout=0
menuentry "$name" {
    multiboot2 /belfry.elf
    module2 /guests/control.elf name=control mem=32M priority=24
    module2 /guests/$name-back.elf name=$name-back mem=8M priority=16
    module2 /guests/$name-front.elf name=$name-front mem=8M chan=$name:$name-back
}
END

cat > "tests/unit/test_$name.c" <<END
/* $name on the host: its answers, and its messages over a real ring. */
#include <check.h>
#include <string.h>

#include "guests/$name-back/$name.h"
#include "rings/reqrsp.h"

START_TEST(numbers_are_squared)
{
    struct ${name}_request request = { .id = 7, .number = 12 };
    struct ${name}_response response;

    ${name}_answer(&request, &response);
    ck_assert_uint_eq(response.id, 7);
    ck_assert_int_eq(response.status, 0);
    ck_assert_uint_eq(response.square, 144);
}
END_TEST

START_TEST(a_square_that_does_not_fit_is_refused)
{
    struct ${name}_request request = { .number = ${NAME}_LARGEST };
    struct ${name}_response response;

    ${name}_answer(&request, &response);
    ck_assert_int_eq(response.status, 0);
    request.number++;
    ${name}_answer(&request, &response);
    ck_assert_int_eq(response.status, -1);
    request.number = UINT64_MAX;
    ${name}_answer(&request, &response);
    ck_assert_int_eq(response.status, -1);
}
END_TEST

START_TEST(answers_come_back_over_a_ring)
{
    static _Alignas(4096) uint8_t page[4096];
    size_t slot = protocol_slot_size(&${name}_protocol);
    struct ${name}_response response;
    struct ${name}_request request;
    struct ring_front front;
    struct ring_back back;

    ck_assert_int_eq(ring_front_create(&front, page, sizeof(page), slot), 0);
    ck_assert_int_eq(ring_back_attach(&back, page, sizeof(page), slot), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        request = (struct ${name}_request){ .id = i, .number = i };
        ck_assert_int_eq(ring_front_put(&front, &request, sizeof(request)), 0);
        ring_front_publish(&front);
        ck_assert_int_eq(ring_back_take(&back, &request, sizeof(request)), 0);
        ${name}_answer(&request, &response);
        ck_assert_int_eq(ring_back_put(&back, &response, sizeof(response)), 0);
        ring_back_publish(&back);
        ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)),
                         0);
        ck_assert_uint_eq(response.square, i * i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("$name");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, numbers_are_squared);
    tcase_add_test(tests, a_square_that_does_not_fit_is_refused);
    tcase_add_test(tests, answers_come_back_over_a_ring);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
END

cat <<END
guests/$name-back/$name.h        the protocol
guests/$name-back/main.c     the backend
guests/$name-front/main.c    the frontend
guests/$name-front/grub.cfg  a system of both
tests/unit/test_$name.c      a test on the host

next:  make run CFG=guests/$name-front/grub.cfg    and read docs/drivers.md
END
