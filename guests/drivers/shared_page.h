/*
 * Taking back a page that a peer was granted.
 *
 * A peer may keep a page mapped after it should have let go.  Such a page
 * must not be used for anything else: it is put aside and revoked, which gives
 * the peer a second, and tried again whenever another page is taken back.
 * (On Xen, where nothing can be revoked, it stays aside until the peer is so
 * kind.)
 */
#ifndef DRIVERS_SHARED_PAGE_H
#define DRIVERS_SHARED_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/grant_table.h>

/* End the grant and free the page, now or later.  True: now. */
bool shared_page_free(void *page, grant_ref_t ref);

#endif
