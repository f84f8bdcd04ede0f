/* The page of hypercall stubs that a PV64 guest calls into. */
#ifndef X86_HYPERCALL_PAGE_H
#define X86_HYPERCALL_PAGE_H

/* Fill a whole page: the stub of hypercall N stands at offset 32 N. */
void hypercall_page_fill(void *page);

#endif
