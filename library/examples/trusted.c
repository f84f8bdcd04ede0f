#include <belfry/trusted.h>
#include <stdio.h>

struct message {
    char text[56];
};

static _Alignas(4096) char page[4096];

static int answer(struct ring_back *back)
{
    const void *request;
    char first;
    void *response;

    while (trusted_back_peek(back, &request) == 0) {
        first = ((const struct message *)request)->text[0];
        trusted_back_release(back); /* from here on request is not ours */
        if (trusted_back_claim(back, &response) != 0)
            return 1;
        snprintf(response, sizeof(struct message), "it begins with %c", first);
        trusted_back_put(back);
    }
    ring_back_publish(back);
    return back->fault != 0;
}

int main(void)
{
    struct ring_front front;
    struct ring_back back;
    const void *response;
    void *request;

    if (ring_front_create(&front, page, sizeof(page), 56) != 0 ||
        ring_back_attach(&back, page, sizeof(page), 56) != 0 ||
        trusted_front_claim(&front, &request) != 0)
        return 1;
    snprintf(request, sizeof(struct message), "written where it is read");
    trusted_front_put(&front);
    ring_front_publish(&front);
    if (answer(&back) != 0 || trusted_front_peek(&front, &response) != 0)
        return 1;
    puts(((const struct message *)response)->text);
    trusted_front_release(&front);
    return 0;
}
