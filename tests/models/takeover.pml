/* SPDX-License-Identifier: MIT */
/*
 * takeover.pml - the handshake of actors/node.h between a thread and the watchdog: `hand`,
 * `in_runtime`, `turn`. The thread runs TURNS turns with a call in each; the watchdog tries to take
 * its worker, or to revoke the turn, or both (supervisor/watchdog.c, seize, look and revoke).
 *
 * Memory is x86: the thread's stores of in_runtime and turn are plain and wait in its buffer, in
 * their order; membarrier empties it. `hand` is changed by compare-and-swap only.
 *
 * Held: two threads never use one worker; a revoked turn is that which was judged, no call of it is
 * in progress and none succeeds afterwards; a call that is in progress keeps what it began with.
 *
 * run: quick holds
 * run: quick holds  -DTURNS=3
 * run: long  holds  -DTURNS=3 -DCALLS=2 -DLOOKS=3
 * run: quick caught -DNO_BARRIER
 * run: quick caught -DHAND_BEFORE_IN_RUNTIME
 * run: quick caught -DTURN_IS_NOT_COMPARED
 * run: quick caught -DTURN_READ_FIRST
 * run: quick caught -DGRANTED_BY_STORE
 * run: quick caught -DASK_IS_NOT_WITHDRAWN
 * run: quick caught -DSETTLE_KEEPS_WORKER
 * run: quick caught -DIN_RUNTIME_IS_NOT_LOOKED_AT
 * run: quick caught -DCALL_KEEPS_WORKER
 * run: quick caught -DTURN_END_DOES_NOT_LOOK
 */
#ifndef TURNS
#define TURNS 2
#endif
#ifndef CALLS
#define CALLS 1
#endif
#ifndef LOOKS
#define LOOKS 2
#endif
#define TRIES 2
#define NONE 255

#define ASK_WORKER 1
#define WORKER_GONE 2
#define ASK_TURN 4
#define TURN_GONE 8

byte hand;
bool in_runtime = true;
byte turn; /* odd: user code */

/* The thread's buffer: 1 and 2 are in_runtime = 0 and 1, 3 and more are turn + 3. */
#define DEPTH 4
chan buffer = [DEPTH] of { byte };
inline apply(x)
{
    if
    :: x == 1 -> in_runtime = false
    :: x == 2 -> in_runtime = true
    :: else -> turn = x - 3
    fi
}
inline drain(x) { do :: len(buffer) > 0 -> buffer ? x; apply(x) :: len(buffer) == 0 -> break od; x = 0 }

/* What is checked. */
bool thread_uses, spare_uses;  /* the worker, right now */
byte real_turn;                /* of the thread, with no buffer between */
byte revoked = NONE;            /* the turn that was revoked */
bool in_call;                  /* a call that was let in, or the runtime between turns */

active proctype store_buffer()
{
    byte x;
end:
    do
    :: atomic { len(buffer) > 0 -> buffer ? x; apply(x); x = 0 }
    od
}

inline put(x) { buffer ! x }

/* With its worker, or without. */
inline work(has)
{
    atomic { in_call = true; if :: has -> assert(!spare_uses); thread_uses = true :: else fi }
    atomic { assert(revoked != real_turn); in_call = false; thread_uses = false }
}

inline enter_runtime()
{
#ifdef HAND_BEFORE_IN_RUNTIME
    h = hand;
    put(2)
#else
    put(2);
    h = hand
#endif
}

active proctype thread()
{
    byte h, n, x, calls;
    bool has = true, gone, fenced;

    do
    :: n == TURNS -> break
    :: else -> n++;
        work(has);
        /* ward__turn_begin */
        atomic { real_turn++; put(real_turn + 3) }
        put(1);
        calls = 0;
        do
        :: calls == CALLS -> break
        :: else -> calls++;
            /* ward__enter, ward__enter_slow */
            enter_runtime();
            fenced = false;
            if
            :: h ->
                h = hand;
#ifndef ASK_IS_NOT_WITHDRAWN
                do
                :: (h & ASK_TURN) && !(h & TURN_GONE) ->
                    atomic {
                        drain(x);
                        if
                        :: hand == h -> hand = hand & ~ASK_TURN; h = 0
                        :: else -> h = hand
                        fi
                    }
                :: else -> break
                od;
                h = hand;
#endif
                fenced = (h & TURN_GONE) != 0
            :: else
            fi;
            if
            :: fenced -> skip
            :: else ->
                assert(!(revoked == real_turn));
#ifdef CALL_KEEPS_WORKER
                work(has)
#else
                work(has && h == 0)
#endif
            fi;
            put(1) /* ward__leave */
        od;
        /* ward__turn_end, settle */
        enter_runtime();
        gone = false;
#ifndef TURN_END_DOES_NOT_LOOK
        if
        :: h ->
            h = hand;
            do
            :: h == 0 -> break
            :: h & TURN_GONE -> gone = true; break
            :: else ->
                atomic {
                    drain(x);
                    if
                    :: hand == h -> hand = 0;
#ifndef SETTLE_KEEPS_WORKER
                        if :: h & WORKER_GONE -> has = false :: else fi;
#endif
                        break
                    :: else -> h = hand
                    fi
                }
            od
        :: else
        fi;
#endif
        if
        :: gone -> /* ward__zombie_end */
            assert(revoked == real_turn);
            has = false;
            atomic { real_turn++; put(real_turn + 3) }
            atomic { drain(x); hand = 0; revoked = NONE }
        :: else ->
            assert(revoked != real_turn);
            atomic { real_turn++; put(real_turn + 3) }
        fi;
        atomic { h = 0; gone = false; fenced = false }
    od;
    work(has)
}

/* seize(): ask and gone are of the caller's. */
inline seize()
{
    tries = 0; granted = false;
    do
    :: tries == TRIES -> break
    :: else -> tries++;
        h = hand;
        if :: h & TURN_GONE -> goto given_up :: else fi;
        atomic {
            if
            :: hand == h -> hand = h | ask
            :: else -> goto next_try
            fi
        }
        asked = h | ask;
#ifndef NO_BARRIER
        atomic { drain(x) }
#endif
#ifdef TURN_READ_FIRST
        t = turn;
#endif
#ifndef IN_RUNTIME_IS_NOT_LOOKED_AT
        if :: in_runtime -> goto next_try :: else fi;
#endif
#ifndef TURN_READ_FIRST
        t = turn;
#endif
#ifdef TURN_IS_NOT_COMPARED
        t = seen;
#endif
        if :: t != seen -> break :: else fi;
        atomic {
            if
#ifdef GRANTED_BY_STORE
            :: true ->
#else
            :: hand == asked ->
#endif
                hand = (asked & ~ask) | gone; granted = true;
                if
                :: gone & TURN_GONE ->
                    assert(!in_call && real_turn == seen);
                    revoked = seen
                :: else
                fi;
                break
            :: else
            fi
        }
next_try: skip
    od;
    if :: !granted -> atomic { hand = hand & ~ask } :: else fi;
given_up: skip
}

active proctype watchdog()
{
    byte looks, seen, t, h, asked, tries, x, ask, gone;
    bool granted, moved;

    do
    :: looks == LOOKS -> break
    :: else -> looks++;
        seen = turn; /* it has lasted too long: that is somebody else's decision */
        if
        :: seen & 1 ->
            h = hand;
            if
            :: h & TURN_GONE -> skip
            :: else ->
                if
                :: atomic { !moved -> ask = ASK_WORKER; gone = WORKER_GONE }
                :: atomic { !moved -> ask = ASK_WORKER | ASK_TURN; gone = WORKER_GONE | TURN_GONE }
                :: atomic { moved -> ask = ASK_TURN; gone = TURN_GONE }
                fi;
                seize();
                if
                :: granted && (ask & ASK_WORKER) -> moved = true; run spare()
                :: else
                fi
            fi
        :: else
        fi;
        atomic { seen = 0; t = 0; h = 0; asked = 0; tries = 0; ask = 0; gone = 0; granted = false }
    od
}

/* The worker's next thread. */
proctype spare()
{
    do
    :: atomic { assert(!thread_uses); spare_uses = true }
        atomic { assert(!thread_uses); spare_uses = false }
    :: break
    od
}
