/* SPDX-License-Identifier: MIT */
/*
 * errno.c - errno of the thread this runs on now. It is an exported function without a const
 * attribute, so compilers must call it at each use: they fold the C library's own accessor, and
 * after a wait a body may be on another thread. Any thread.
 */
#define WARD_PLAIN_ERRNO
#include <errno.h>
#include <ward/ward.h>

int *ward_errno(void)
{
    return &errno;
}
