/* SPDX-License-Identifier: MIT */
/*
 * timer.pml - actors/wheel.c: an actor arms deadlines of waits by a store, a lazy wheel visits its
 * entry. The wheel runs on another thread than the actor: a handler with .idle_ms, or a body that
 * was taken off its worker. Memory is x86: the actor's plain stores (the deadline) come out in
 * their order, at the latest with the next locked one (the cell).
 *
 * The actor waits WAITS times, for one or two ticks, once ended at once by itself as an ask of a
 * dead actor is (undo), and somebody may answer. Time passes while an actor waits,
 * and a little while it does not.
 *
 * Held: no wait is ended before its deadline; an actor that waits has an entry in the wheel that
 * comes no later than its deadline or the next tick, or is about to make one; nobody waits for
 * ever; a wait is ended once.
 *
 * run: quick holds
 * run: quick holds  -DANSWERS=0 -DWAITS=3
 * run: long  holds  -DWAITS=3
 * run: long  holds  -DWAITS=4 -DFAR=4
 * run: quick caught -DMOVE_WITHOUT_SECOND_LOOK -DANSWERS=0 -DWAITS=3
 * run: quick caught -DDROP_WITHOUT_SECOND_LOOK
 * run: quick caught -DARM_IS_PLAIN
 * run: quick caught -DCELL_READ_LAST
 * run: quick caught -DCLAIM_WHATEVER_IS_THERE
 * run: quick caught -DNO_SECOND_DEADLINE
 * run: quick caught -DUNLINKED_AFTER_RESUME
 * run: quick caught -DARM_TRUSTS_LATER
 * run: quick caught -DTICK_ONE_LATE
 * run: quick caught -DFIRES_EARLY
 */
#ifndef WAITS
#define WAITS 2
#endif
#ifndef ANSWERS
#define ANSWERS 1
#endif
#ifndef FAR
#define FAR 3 /* the longest wait, in half ticks */
#endif

/* Time in halves of a tick, so that a deadline may lie between two. */
byte now;
#define TICK_UP(t) (((t) + 1) / 2)
#ifdef TICK_ONE_LATE
#define TICK(t) (((t) + 2) / 2)
#else
#define TICK(t) TICK_UP(t)
#endif
#define NOW_TICK (now / 2)
#ifdef FIRES_EARLY
#define LIMIT (now + 1)
#else
#define LIMIT now
#endif

byte deadline, deadline_own; /* what others see; what the actor has stored */
byte cell;
byte entry;                  /* wheel_tick: the tick of the entry, 0: it is in no wheel */
bool linked, locked;
byte resumed;

/* What is checked. */
byte real;                   /* the deadline of the wait under way; 0: none */
bool armed, over;
byte spare = 3;              /* ticks that may pass while nobody waits */

#define DRAIN deadline = deadline_own
#define LOCK atomic { !locked -> locked = true }
#define UNLOCK locked = false

active proctype store_buffer()
{
end:
    do
    :: atomic { deadline != deadline_own -> DRAIN }
    od
}

/* ward__wheel_arm and link_for. */
inline wheel_arm(at)
{
#ifndef ARM_IS_PLAIN
    atomic { DRAIN }
#endif
    seen = entry;
#ifdef ARM_TRUSTS_LATER
    if
    :: seen -> skip
#else
    if
    :: seen && seen <= TICK(at) -> skip
#endif
    :: else ->
        atomic { !locked -> locked = true; DRAIN }
        atomic {
            linked = true;
            entry = (TICK(at) <= NOW_TICK -> NOW_TICK + 1 : TICK(at));
            UNLOCK
        }
    fi;
    seen = 0
}

active proctype actor()
{
    byte n, until, c, seen;
    bool undone;

    do
    :: n == WAITS -> break
    :: else -> n++;
        /* ward__wait_begin: ward__wait_arm, then the wheel */
        atomic {
            if
            :: until = now + 1
            :: until = now + 2
            :: until = now + FAR
            fi
        }
        deadline_own = until;
        atomic {
            cell++; c = cell; real = until;
#ifndef ARM_IS_PLAIN
            DRAIN
#endif
        }
        wheel_arm(until);
        armed = true;
        if
        :: n < WAITS -> /* refused: nobody has heard of it but the wheel */
            atomic {
                if
                :: cell == c -> cell++; real = 0; armed = false; undone = true; DRAIN
                :: else
                fi
            }
            if :: undone -> undone = false; goto ended :: else fi
        :: skip
        fi;
        atomic { resumed -> resumed--; armed = false; real = 0 }
ended:  deadline_own = 0;
        atomic { until = 0; c = 0 }
    od;
    over = true
}

#if ANSWERS
proctype answerer()
{
    byte c;

    if
    :: c = cell
    :: skip
    fi;
    if
    :: c & 1 -> atomic { if :: cell == c -> cell++; real = 0; c = 0 :: else fi }
        if :: c == 0 -> resumed++ :: else fi
    :: else
    fi
}
#endif

/* visit(): again: a tick to look again, or 0: dropped. */
inline visit()
{
    again = 0;
    d = deadline;
    if
    :: d == 0 ->
        entry = 0;
#ifndef DROP_WITHOUT_SECOND_LOOK
        d = deadline
#endif
    :: else
    fi;
    if
    :: d == 0 -> skip
    :: d > LIMIT -> again = TICK(d)
    :: else ->
#ifdef CELL_READ_LAST
        d = deadline;
        c = cell;
#else
        c = cell;
#ifndef NO_SECOND_DEADLINE
        d = deadline;
#endif
#endif
        if
        :: d == 0 || d > LIMIT -> again = NOW_TICK + 1
        :: else ->
            if
            :: c & 1 ->
#ifdef CLAIM_WHATEVER_IS_THERE
                c = cell;
#endif
                atomic {
                    if
                    :: cell == c && (c & 1) -> assert(real <= now); cell++; real = 0; claimed = true
                    :: else
                    fi
                }
                if
                :: claimed ->
#ifdef UNLINKED_AFTER_RESUME
                    resumed++;
                    entry = 0
#else
                    entry = 0;
                    resumed++
#endif
                :: else -> again = NOW_TICK + 1
                fi
            :: else -> again = NOW_TICK + 1
            fi
        fi
    fi
}

active proctype wheel()
{
    byte d, c, again;
    bool claimed;

end:
    do
    :: atomic { !over && !locked && ((armed && real) || spare) ->
            if :: armed && real -> skip :: else -> spare-- fi;
            now++;
            if
            :: now % 2 == 0 && linked && entry <= NOW_TICK -> locked = true
            :: else
            fi
        }
        if
        :: locked && linked && entry <= NOW_TICK ->
            linked = false;
            visit();
            if
            :: again ->
                atomic {
                    linked = true;
                    entry = (again <= NOW_TICK -> NOW_TICK + 1 : again)
                }
#ifndef MOVE_WITHOUT_SECOND_LOOK
                d = deadline;
                atomic {
                    if
                    :: d && TICK(d) < entry ->
                        entry = (TICK(d) <= NOW_TICK -> NOW_TICK + 1 : TICK(d))
                    :: else
                    fi
                }
#endif
            :: else
            fi;
            atomic { UNLOCK; d = 0; c = 0; again = 0; claimed = false }
        :: else
        fi;
        /* Who waits, and has done all for it, is looked at in time. */
        atomic {
            assert(!armed || real == 0 || locked ||
                (linked && entry <= (TICK_UP(real) > NOW_TICK + 1 -> TICK_UP(real) : NOW_TICK + 1)))
        }
    od
}

init
{
#if ANSWERS
    run answerer();
#endif
    timeout -> assert(over && resumed == 0)
}
