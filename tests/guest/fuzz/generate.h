/*
 * Random hypercalls: some right, most nearly right, some wild.
 *
 * All that a call refers to comes from a pool that the fuzzing domain sets
 * up: scratch pages, a window of addresses to map at, pages that become page
 * tables, grants of its parent.  Now and then a value comes from outside the
 * pool.  What would end the domain (shutdown, its own watchdog, a block that
 * nothing ends) is left out, or made rare where it is worth a life.
 *
 * All vCPUs of the domain use one pool: what one makes a page table of, another
 * maps, unmaps and writes to at the same time.
 */
#ifndef FUZZ_GENERATE_H
#define FUZZ_GENERATE_H

#include "tests/guest/test.h"

#define FUZZ_VCPUS 4u /* at most */

struct call {
    uint64_t nr;
    uint64_t arg[5];
};

/* The peers that a call may name. */
struct fuzz_peers {
    domid_t witness;
    grant_ref_t refs[2]; /* of domain 0, for us */
};

/* Build the pool. */
void fuzz_set_up(const struct fuzz_peers *peers);

/* On each vCPU, before its first call. */
void fuzz_begin_vcpu(void);

/* The next call.  Structures it points to are in pages of the pool. */
void fuzz_generate(struct call *call);

/* Change what the hypervisor reads by itself, our grant entries, and write
 * through what the calls have mapped. */
void fuzz_stir(void);

#endif
