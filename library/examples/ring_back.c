#include <belfry/reqrsp.h>
#include <stdio.h>

static _Alignas(4096) char page[4096];

/* Answer all that was asked.  True: sleep until the bell rings. */
static int serve(struct ring_back *back)
{
    uint64_t n;

    while (ring_back_take(back, &n, sizeof(n)) == 0) {
        n = n * n;
        ring_back_put(back, &n, sizeof(n));
    }
    if (ring_back_publish(back))
        puts("the frontend is woken");
    return back->fault == 0 && !ring_back_arm(back);
}

int main(void)
{
    struct ring_front front; /* the peer, here in the same program */
    struct ring_back back;
    uint64_t n = 12;

    ring_front_create(&front, page, sizeof(page), sizeof(n));
    if (ring_back_attach(&back, page, sizeof(page), sizeof(n)) != 0)
        return 1;
    ring_front_put(&front, &n, sizeof(n));
    ring_front_publish(&front);
    while (!serve(&back))
        ;
    if (ring_front_take(&front, &n, sizeof(n)) != 0 || n != 144)
        return 1;
    /* One request was answered: another backend may go on behind it. */
    return ring_back_attach_at(&back, page, sizeof(page), sizeof(n), 1);
}
