/*
 * belfry_op, called.
 *
 * Invariant: every argument is zero but for what is set here, as its reserved
 * fields must be.
 */
#include "guests/control/hv.h"

#include "guests/lib/guest.h"

#define ARGUMENT(type, name)                                                   \
    struct type name = { .size = sizeof(struct type),                          \
                         .version = BELFRY_ABI_VERSION }

static int call(unsigned int cmd, void *arg)
{
    return (int)hypercall_belfry_op(cmd, arg);
}

int hv_version(struct belfry_version *out)
{
    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    out->version = BELFRY_ABI_VERSION;
    return call(BELFRYOP_version, out);
}

int hv_machine(struct belfry_machine *out)
{
    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    out->version = BELFRY_ABI_VERSION;
    return call(BELFRYOP_machine, out);
}

int hv_audit(struct belfry_audit *out)
{
    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    out->version = BELFRY_ABI_VERSION;
    return call(BELFRYOP_audit, out);
}

int hv_list(uint32_t first, struct belfry_domain *to, uint32_t room)
{
    ARGUMENT(belfry_list, a);
    int err;

    a.first = first;
    a.count = room;
    a.domains = to;
    a.item_size = sizeof(*to);
    err = call(BELFRYOP_list, &a);
    return err ? err : (int)a.count;
}

int hv_channels(uint32_t id, uint64_t generation, uint32_t first,
                struct belfry_channel *to, uint32_t room)
{
    ARGUMENT(belfry_channels, a);
    int err;

    a.id = id;
    a.generation = generation;
    a.first = first;
    a.count = room;
    a.channels = to;
    a.item_size = sizeof(*to);
    err = call(BELFRYOP_channels, &a);
    return err ? err : (int)a.count;
}

int hv_grants(uint32_t id, uint64_t generation, uint32_t first,
              struct belfry_grant *to, uint32_t room)
{
    ARGUMENT(belfry_grants, a);
    int err;

    a.id = id;
    a.generation = generation;
    a.first = first;
    a.count = room;
    a.grants = to;
    a.item_size = sizeof(*to);
    err = call(BELFRYOP_grants, &a);
    return err ? err : (int)a.count;
}

int hv_vcpus(uint32_t id, uint64_t generation, struct belfry_vcpu *to,
             uint32_t room)
{
    ARGUMENT(belfry_vcpus, a);
    int err;

    a.id = id;
    a.generation = generation;
    a.count = room;
    a.vcpus = to;
    a.item_size = sizeof(*to);
    err = call(BELFRYOP_vcpus, &a);
    return err ? err : (int)a.count;
}

int hv_refused(uint64_t after, struct belfry_refusal *to, uint32_t room)
{
    ARGUMENT(belfry_refused, a);
    int err;

    a.after = after;
    a.count = room;
    a.refusals = to;
    a.item_size = sizeof(*to);
    err = call(BELFRYOP_refused, &a);
    return err ? err : (int)a.count;
}

int hv_modules(uint32_t first, struct belfry_module *to, uint32_t room)
{
    ARGUMENT(belfry_modules, a);
    int err;

    a.first = first;
    a.count = room;
    a.modules = to;
    a.item_size = sizeof(*to);
    err = call(BELFRYOP_modules, &a);
    return err ? err : (int)a.count;
}

int hv_peek(uint32_t id, uint64_t generation, uint64_t frame, uint32_t offset,
            void *to, uint32_t length)
{
    ARGUMENT(belfry_peek, a);

    a.id = id;
    a.generation = generation;
    a.frame = frame;
    a.offset = offset;
    a.length = length;
    a.buffer = to;
    return call(BELFRYOP_peek, &a);
}

size_t hv_log(uint64_t *position, char *to, size_t room)
{
    ARGUMENT(belfry_log, a);

    a.position = *position;
    a.length = (uint32_t)room;
    a.buffer = to;
    if (call(BELFRYOP_log, &a))
        return 0;
    *position = a.position;
    return a.length;
}

int hv_serial(const char *out, uint32_t *written, char *in, uint32_t *read)
{
    ARGUMENT(belfry_serial, a);
    int err;

    a.write_buffer = out;
    a.write_length = *written;
    a.read_buffer = in;
    a.read_length = *read;
    err = call(BELFRYOP_serial, &a);
    *written = err ? 0 : a.write_length;
    *read = err ? 0 : a.read_length;
    return err;
}

int hv_create(const char *name, uint32_t *id, uint64_t *generation, char *text)
{
    ARGUMENT(belfry_create, a);
    int err;

    string_copy(a.name, name, sizeof(a.name));
    err = call(BELFRYOP_create, &a);
    *id = a.id;
    *generation = a.generation;
    string_copy(text, a.text, sizeof(a.text));
    return err;
}

int hv_pin(uint32_t id, uint64_t generation, uint64_t cpus)
{
    ARGUMENT(belfry_control, a);

    a.action = BELFRY_CONTROL_PIN;
    a.id = id;
    a.generation = generation;
    a.cpus = cpus;
    return call(BELFRYOP_control, &a);
}

int hv_control(uint32_t action, uint32_t id, uint64_t generation, char *text)
{
    ARGUMENT(belfry_control, a);
    int err;

    a.action = action;
    a.id = id;
    a.generation = generation;
    do
        err = call(BELFRYOP_control, &a);
    while (err == -EBUSY && action == BELFRY_CONTROL_DESTROY);
    string_copy(text, a.text, sizeof(a.text));
    return err;
}
