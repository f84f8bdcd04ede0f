/* QEMU's fw_cfg: options of a single run. */
#ifndef X86_FW_CFG_H
#define X86_FW_CFG_H

#include <stddef.h>

/* The file's text, terminated and cut to fit; "" if there is none. */
void fw_cfg_read(const char *name, char *buf, size_t size);

#endif
