/*
 * QEMU's command line, and nothing about processes.
 */
#ifndef TOOLS_QEMU_H
#define TOOLS_QEMU_H

#include "tools/belfry.h"

/* What becomes of the options that are not simply passed on. */
struct qemu_setup {
    const char *image;
    uint64_t memory;  /* bytes */
    bool kvm;
    const char *mode; /* batch, interactive or detached: for the guests */
    const char *uefi; /* the UEFI firmware's file, NULL: a BIOS */
    const char *com2; /* the chardev's parameters, e.g. "fd=3" */
};

/* A NULL-terminated argument vector. */
char **qemu_arguments(const struct options *options,
                      const struct qemu_setup *setup);
void qemu_free_arguments(char **argv);

/* The UEFI firmware that is installed.  NULL, after a complaint: none is. */
const char *qemu_find_uefi(void);

/* Decide between TCG and KVM.  *why says it in a clause; *tell is set when
 * the user should hear it without asking. */
bool qemu_choose_kvm(const struct options *options, const char **why,
                     bool *tell);

/* QEMU's end as a status of ours; -1: it ended without a verdict. */
int qemu_verdict(int wstatus);

#endif
