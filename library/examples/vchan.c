#include <belfry/vchan.h>
#include <stdio.h>

/* Buffers of 1 KiB and 2 KiB lie in the page itself. */
static _Alignas(4096) char page[4096];

static int client(void)
{
    struct vchan_area area = { .page = page };
    struct vchan v;
    bool bell;

    if (vchan_orders(page, &area.left_order, &area.right_order) != 0 ||
        area.left_order > 11 || area.right_order > 11 ||
        vchan_attach(&v, &area) != 0)
        return 1; /* larger buffers would have to be mapped first */
    vchan_write(&v, "hello", 6, &bell);
    if (bell)
        puts("the server is woken");
    vchan_close(&v);
    return !vchan_arm_write(&v); /* there is room: no need to sleep */
}

int main(void)
{
    struct vchan_area area = { .page = page,
                               .left_order = 10,
                               .right_order = 11 };
    struct vchan v;
    char text[16];
    bool bell;

    if (vchan_create(&v, &area) != 0 || vchan_arm_read(&v))
        return 1; /* false: now we may sleep until our bell rings */
    if (vchan_peer(&v) != VCHAN_PEER_NOT_YET || client() != 0)
        return 1;
    if (vchan_read(&v, text, sizeof(text), &bell) != 6)
        return 1;
    puts(text);
    return vchan_peer(&v) != VCHAN_PEER_GONE;
}
