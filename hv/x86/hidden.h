/*
 * Included first in every file of the hypervisor (Makefile): what is declared
 * is in this very image, so its address is reached from rip directly and not
 * through a table.
 */
#pragma GCC visibility push(hidden)
