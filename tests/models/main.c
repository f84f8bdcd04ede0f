/*
 * explore [PATTERN]: what is explored, one line each; those whose label has
 * PATTERN in it.  Status 1 at the first that is wrong.
 */
#include "tests/models/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char *const memory_name[] = { " sc", " tso", " pso" };

static unsigned int nr_explored;

static void run(const char *pattern)
{
    static const char *const who[] = { ", first dies", ", second dies", "" };
    char label[80];

    snprintf(label, sizeof(label), "%s%s, %u %s%s%s", config.model->name,
             config.model->forge ? "" : memory_name[config.memory],
             config.slots, config.model->unit > 1 ? "slot" : "byte",
             config.slots > 1 ? "s" : "", who[config.dies]);
    if (pattern && !strstr(label, pattern))
        return;
    nr_explored++;
    if (!explore(label))
        exit(1);
}

struct size {
    uint32_t slots, slot_size, messages;
};

/* Under each memory model, with each of the deaths and none. */
static void run_all(const char *pattern, const struct model *model,
                    const struct size *size)
{
    for (enum memory m = MEMORY_SC; m <= MEMORY_PSO; m++)
        for (unsigned int dies = 0; dies <= NOBODY; dies++) {
            config = (struct config){
                .model = model,
                .memory = m,
                .slots = size->slots,
                .slot_size = size->slot_size,
                .messages = size->messages,
                .dies = dies,
            };
            run(pattern);
        }
}

static void run_hostile(const char *pattern, const struct model *model)
{
    for (uint32_t slots = 1; slots <= 4; slots *= 2) {
        config = (struct config){
            .model = model,
            .memory = MEMORY_SC,
            .slots = slots,
            .slot_size = 8,
            .messages = 2 * slots + 2,
            .dies = NOBODY,
        };
        run(pattern);
    }
}

int main(int argc, char **argv)
{
    static const struct size rings[] = { { 1, 8, 6 },
                                         { 2, 8, 7 },
                                         { 4, 8, 7 } };
    static const struct size buffers[] = { { 1, 1, 8 },
                                           { 2, 1, 8 },
                                           { 4, 1, 9 } };
    const char *pattern = argc > 1 ? argv[1] : NULL;

    shared_page =
        mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (shared_page == MAP_FAILED)
        return 2;
    run_hostile(pattern, &hostile_back);
    run_hostile(pattern, &hostile_front);
    run_hostile(pattern, &hostile_consumer);
    run_hostile(pattern, &hostile_producer);
    for (unsigned int i = 0; i < 3; i++)
        run_all(pattern, &honest, &rings[i]);
    for (unsigned int i = 0; i < 3; i++)
        run_all(pattern, &spsc, &rings[i]);
    for (unsigned int i = 0; i < 3; i++)
        run_all(pattern, &vchan_bytes, &buffers[i]);
    return nr_explored == 0;
}
