/*
 * The domain builder: from a module's line and ELF image to a domain that
 * could run, in the state that Xen's toolstack would leave it in.
 */
#ifndef HV_BUILDER_H
#define HV_BUILDER_H

#include "hv/domain.h"
#include "hv/modules.h"

/*
 * Build a domain from a module.  It is published, with one pause.
 *
 * 0 and *out with a reference; or -ENOEXEC the image is not a Xen PV64 ELF
 * that fits; -EINVAL its line is wrong; -EEXIST a live domain has the name;
 * -ENOMEM not enough memory.  text says in a sentence what was wrong.
 */
int builder_create(const struct module *m, bool privileged,
                   struct domain **out, char *text, size_t text_size);

/* At boot: all modules with autostart, the first one privileged.  What
 * cannot be built says why and is left out.  Returns how many run. */
unsigned int builder_boot(void);

#endif
