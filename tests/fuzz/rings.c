/*
 * libFuzzer against one end of a ring or a stream (tests/unit/victim.h): the
 * input is what its peer does.
 *
 * The first byte says which end; then each byte is a call of the victim, or,
 * with its upper bit set, a change of the page: the place, and a byte or a
 * word from the input.
 */
#include "tests/unit/victim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    enum victim_kind kind;
    size_t slots, slot_size;
} victims[] = {
    { FRONT, 1, 8 }, { FRONT, 4, 12 },   { BACK, 1, 1 },
    { BACK, 4, 16 }, { CONSOLE, 0, 1 },  { FLEX, 0, 1 },
    { VCHAN, 0, 1 }, { PRODUCER, 2, 8 }, { CONSUMER, 2, 8 },
};

struct input {
    const uint8_t *at, *end;
};

static uint32_t take(struct input *in, size_t bytes)
{
    uint32_t value = 0;

    if ((size_t)(in->end - in->at) < bytes) {
        in->at = in->end;
        return 0;
    }
    memcpy(&value, in->at, bytes);
    in->at += bytes;
    return value;
}

/* Three in four changes are of the header, where the indices are. */
static void change(struct victim *v, uint8_t how, struct input *in)
{
    size_t width = how & 0x40 ? sizeof(uint32_t) : 1;
    size_t header = v->kind == PRODUCER || v->kind == CONSUMER ? 256 : 136;
    size_t within = (how & 3) && v->bytes > header ? header : v->bytes;
    size_t place = take(in, 2) % within;
    uint32_t value = take(in, width);

    if (place + width <= v->bytes)
        memcpy(v->page + place, &value, width);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, data + size };
    unsigned int i = take(&in, 1) % (sizeof(victims) / sizeof(victims[0]));
    struct victim v;

    victim_start(&v, victims[i].kind, victims[i].slots, victims[i].slot_size);
    while (in.at < in.end) {
        uint8_t how = (uint8_t)take(&in, 1);

        if (how & 0x80)
            change(&v, how, &in);
        else if (how == 0x7f)
            victim_attach(&v);
        else
            victim_call(&v, how % VICTIM_CALLS, how / VICTIM_CALLS * 50u);
    }
    victim_end(&v);
    return 0;
}
