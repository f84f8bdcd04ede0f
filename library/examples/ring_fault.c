#include <belfry/fault.h>
#include <belfry/reqrsp.h>
#include <errno.h>
#include <stdio.h>

static _Alignas(4096) char page[4096];

int main(void)
{
    struct ring_back back;
    uint64_t request;

    if (ring_back_attach(&back, page, sizeof(page), sizeof(request)) != 0)
        return 1;
    ((struct ring_shared *)page)->req_prod = 1000; /* a frontend that lies */
    if (ring_back_take(&back, &request, sizeof(request)) != -EPROTO)
        return 1;
    printf("the frontend %s\n", ring_fault_name(back.fault));
    return back.fault != RING_FORGED_REQUESTS;
}
