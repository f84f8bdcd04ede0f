#include <belfry/spsc.h>
#include <errno.h>
#include <stdio.h>

struct reading {
    uint64_t time;
    double value;
};

static _Alignas(4096) char page[4096]; /* zeroed: an empty queue */

/* Take all there is.  True: sleep until the bell rings. */
static int drain(struct spsc_consumer *in)
{
    struct reading r;

    while (spsc_take(in, &r, sizeof(r)) == 0)
        printf("at %d: %.1f\n", (int)r.time, r.value);
    if (spsc_release(in))
        puts("the producer is woken");
    return in->fault == 0 && !spsc_arm_take(in);
}

int main(void)
{
    struct spsc_producer out; /* the peer, here in the same program */
    struct spsc_consumer in;
    struct reading r = { 0, 20.5 }, first;

    if (spsc_attach_producer(&out, page, sizeof(page), sizeof(r)) != 0 ||
        spsc_attach_consumer(&in, page, sizeof(page), sizeof(r)) != 0)
        return 1;
    while (r.time < 3 && spsc_put(&out, &r, sizeof(r)) == 0)
        r.time++;
    spsc_publish_quiet(&out); /* enough for a consumer that polls */
    if (spsc_take(&in, &first, sizeof(first)) == 0)
        spsc_release_quiet(&in);
    if (spsc_publish(&out)) /* this one sleeps: the bell is for both */
        puts("the consumer is woken");
    while (!drain(&in))
        ;
    while (spsc_put(&out, &r, sizeof(r)) != -ENOSPC)
        r.time++;
    spsc_publish(&out);
    if (!spsc_arm_put(&out))
        puts("full: now the producer may sleep");
    return out.fault != 0 || r.time - 3 != spsc_slots(sizeof(page), sizeof(r));
}
