#include <belfry/shared_copy.h>
#include <stdio.h>

struct request {
    uint32_t length;
    char text[28];
};

static struct request shared = { 5, "hello" }; /* a peer may write to it */

int main(void)
{
    struct request own;
    char line[sizeof(own.text) + 1] = "";

    shared_copy(&own, &shared, sizeof(own));
    if (own.length > sizeof(own.text))
        return 1;
    /* Checked: no read of the peer's memory comes after that. */
    shared_copy_any(line, own.text, own.length);
    return puts(line) < 0;
}
