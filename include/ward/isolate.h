/* SPDX-License-Identifier: MIT */
/*
 * isolate.h - what a program with isolates says first. An isolate is an actor with
 * ward_spec.isolate: same code, same calls, in a process of its own; see docs/isolates.md.
 */
#ifndef WARD_ISOLATE_H
#define WARD_ISOLATE_H

#include <ward/ward.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first thing in main: `table` is the very one that its nodes have, with the types that go to
 * isolates and come from them, and a spec with the functions of each. The processes of isolates are
 * made by this program, begun anew: in that case it stays in this call. Before it no threads, and
 * nothing that should not happen twice. Without it a spec with .isolate is refused, WARD_ESTATE. */
WARD_API void ward_isolate_main(int argc, char **argv, const ward_table *table);

#ifdef __cplusplus
}
#endif

#endif
