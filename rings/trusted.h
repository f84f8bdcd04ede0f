/*
 * Slots in place, without a copy, for two sides that trust each other.
 *
 * The pointers lead into the shared page: the peer can change what they show
 * between any two looks, also after it was checked.  So they are for peers
 * that are believed anyhow, such as two threads of one program, and these
 * functions have names and a header of their own.  Indices are checked as
 * always, and the two ways can be mixed: the layout is the same.
 *
 *     claim, fill the slot, put        for what this side writes
 *     peek, use the slot, release      for what it reads
 *
 * claim and peek give the same slot until put and release.  A slot that the
 * back has released may be overwritten by its own next response.
 */
#ifndef RINGS_TRUSTED_H
#define RINGS_TRUSTED_H

#include "rings/reqrsp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0, -ENOSPC, -EPROTO: as ring_front_put; with an error, NULL. */
static inline int trusted_front_claim(struct ring_front *r, void **request)
{
    *request = NULL;
    if (r->req_prod == r->req_limit)
        return ring_front_put_refused(r, 0);
    *request = ring_slot(r->shared, r->req_prod, r->mask, r->slot_size);
    return 0;
}

/* The claimed slot is a request now (not yet visible: ring_front_publish). */
static inline void trusted_front_put(struct ring_front *r)
{
    r->req_prod++;
}

/* 0, -EAGAIN, -EPROTO: as ring_front_take; with an error, NULL. */
static inline int trusted_front_peek(struct ring_front *r,
                                     const void **response)
{
    int error = r->rsp_cons == r->rsp_limit ? ring_front_look(r, 0) : 0;

    *response = NULL;
    if (error)
        return error;
    *response = ring_slot(r->shared, r->rsp_cons, r->mask, r->slot_size);
    return 0;
}

/* Done with the slot that was peeked at: it may hold a request again. */
static inline void trusted_front_release(struct ring_front *r)
{
    r->rsp_cons++;
    r->req_limit++;
}

static inline int trusted_back_peek(struct ring_back *r, const void **request)
{
    int error = r->req_cons == r->req_limit ? ring_back_look(r, 0) : 0;

    *request = NULL;
    if (error)
        return error;
    *request = ring_slot(r->shared, r->req_cons, r->mask, r->slot_size);
    return 0;
}

static inline void trusted_back_release(struct ring_back *r)
{
    r->req_cons++;
    r->rsp_limit++;
}

static inline int trusted_back_claim(struct ring_back *r, void **response)
{
    *response = NULL;
    if (r->rsp_prod == r->rsp_limit)
        return ring_back_put_refused(r, 0);
    *response = ring_slot(r->shared, r->rsp_prod, r->mask, r->slot_size);
    return 0;
}

static inline void trusted_back_put(struct ring_back *r)
{
    r->rsp_prod++;
}

#ifdef __cplusplus
}
#endif

#endif
