/*
 * The models that main.c has explored.
 */
#ifndef TESTS_MODELS_MODELS_H
#define TESTS_MODELS_MODELS_H

#include "tests/models/explore.h"

extern const struct model honest;                      /* front and back */
extern const struct model hostile_back, hostile_front; /* one, and a forger */
extern const struct model vchan_bytes;                 /* client and server */
extern const struct model spsc;                        /* producer, consumer */
extern const struct model hostile_consumer, hostile_producer;

#endif
