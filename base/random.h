/* SPDX-License-Identifier: MIT */
/*
 * random.h - splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
 * 2014): small, good enough for schedules and jitter, never for secrets. One thread a state.
 */
#ifndef WARD_BASE_RANDOM_H
#define WARD_BASE_RANDOM_H

#include <stdint.h>

static inline uint64_t ward__random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 to below - 1. */
static inline uint32_t ward__random_below(uint64_t *state, uint32_t below)
{
    return (uint32_t)(((ward__random(state) >> 32) * below) >> 32);
}

#endif
