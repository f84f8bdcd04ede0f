/*
 * Single-key dumps on COM1, for a system whose control domain hangs: three
 * Ctrl-] switch to them, q switches back.
 */
#ifndef HV_KEYS_H
#define HV_KEYS_H

#include <stdbool.h>
#include <stdint.h>

/* A byte from COM1.  True: it was ours. */
bool keys_input(uint8_t byte);

#endif
