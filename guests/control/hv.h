/*
 * What the control domain asks of the hypervisor: belfry_op's commands, with
 * sizes and versions filled in.  0 or a count, or -Exxx.
 */
#ifndef CONTROL_HV_H
#define CONTROL_HV_H

#include <stddef.h>
#include <stdint.h>

#include "hv/abi/belfry.h"

int hv_version(struct belfry_version *out);
int hv_machine(struct belfry_machine *out);
int hv_audit(struct belfry_audit *out);

/* Fill an array from an id, port, reference or index on: how many. */
int hv_list(uint32_t first, struct belfry_domain *to, uint32_t room);
int hv_channels(uint32_t id, uint64_t generation, uint32_t first,
                struct belfry_channel *to, uint32_t room);
int hv_grants(uint32_t id, uint64_t generation, uint32_t first,
              struct belfry_grant *to, uint32_t room);
int hv_vcpus(uint32_t id, uint64_t generation, struct belfry_vcpu *to,
             uint32_t room);
int hv_refused(uint64_t after, struct belfry_refusal *to, uint32_t room);
int hv_modules(uint32_t first, struct belfry_module *to, uint32_t room);

int hv_peek(uint32_t id, uint64_t generation, uint64_t frame, uint32_t offset,
            void *to, uint32_t length);
/* Bytes of the hypervisor's log; *position moves on. */
size_t hv_log(uint64_t *position, char *to, size_t room);
/* Bytes of COM2: *written and *read say how many went. */
int hv_serial(const char *out, uint32_t *written, char *in, uint32_t *read);

/* text: what failed, in a sentence (96 bytes). */
int hv_create(const char *name, uint32_t *id, uint64_t *generation, char *text);
/* All vCPUs of a domain may run on these CPUs alone: a bit a CPU. */
int hv_pin(uint32_t id, uint64_t generation, uint64_t cpus);
int hv_control(uint32_t action, uint32_t id, uint64_t generation, char *text);

#endif
