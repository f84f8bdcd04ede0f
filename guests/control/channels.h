/*
 * The channels of the whole machine, each once, with a name.
 */
#ifndef CONTROL_CHANNELS_H
#define CONTROL_CHANNELS_H

#include "guests/control/domains.h"

struct channel_info {
    char name[72];
    unsigned int nr_ends;
    uint32_t id[2]; /* the first end is the one that names the channel */
    struct belfry_channel end[2];
};

/* Call for each channel until it returns false. */
typedef bool channel_fn(const struct channel_info *c, void *data);
void channels_each(channel_fn *fn, void *data);

#endif
