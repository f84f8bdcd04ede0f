#include <belfry/reqrsp.h>
#include <errno.h>
#include <stdio.h>

static _Alignas(4096) char page[4096]; /* of a link, say */

static void ring_the_bell(void)
{
    puts("the backend is woken");
}

int main(void)
{
    struct ring_front first, front;
    uint64_t question = 6, answer;
    int error = ring_front_create(&first, page, sizeof(page), 8);

    /* All is answered up to here: another frontend may go on. */
    if (!error)
        error =
            ring_front_attach(&front, page, sizeof(page), 8, first.rsp_cons);
    while (!error && ring_front_free(&front) > 0)
        error = ring_front_put(&front, &question, sizeof(question));
    if (!error && ring_front_publish(&front))
        ring_the_bell();
    error = ring_front_take(&front, &answer, sizeof(answer));
    if (error == -EAGAIN && !ring_front_arm(&front))
        puts("now we may sleep until our bell rings");
    return error != -EAGAIN;
}
