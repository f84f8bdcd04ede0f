/*
 * Why a ring or a stream is broken: what its peer did that no honest peer
 * does.  A fault stays: from then on every call returns -EPROTO and touches
 * the shared pages no more.
 */
#ifndef RINGS_FAULT_H
#define RINGS_FAULT_H

#ifdef __cplusplus
extern "C" {
#endif

enum ring_fault {
    RING_SOUND,
    RING_FORGED_REQUESTS,  /* more requests than slots that are free */
    RING_FORGED_RESPONSES, /* more responses than requests published */
    RING_FORGED_PROD,      /* more bytes or messages than there is room for */
    RING_FORGED_CONS,      /* more taken, or given back, than was written */
    RING_NOT_ATTACHED,     /* the caller's: create or attach has failed */
};

/* In words that end a sentence, for any value: "its peer ..." */
const char *ring_fault_name(enum ring_fault fault);

#ifdef __cplusplus
}
#endif

#endif
