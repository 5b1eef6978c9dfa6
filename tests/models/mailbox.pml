/* SPDX-License-Identifier: MIT */
/*
 * mailbox.pml - mailbox/mailbox.c and what actors/receive.c and run.c do with it: push, take, idle,
 * the SCHEDULED bit, signals, parked senders and their hand-over, in batches.
 *
 * A step is one access to what others see, with what follows from it for its own thread. Memory is
 * x86: the owner's store of `released` stays in a store buffer until the owner does something
 * locked, or until it drains by itself; all other plain stores are links, whose delay is the same
 * as a sender that stands still before them. Sender 0 sends FIRST messages, the others REST; they
 * park when it is full; with GIVE_UP they may stop waiting. The owner hands out room as serve_now()
 * does: when the mailbox is down to half or there is nothing to take, else when it likes (a tick
 * passed). With CHAINS sender 0 offers all it has left with one swap (mailbox/chain.c) before it
 * offers one. With PARKS it may stop at an ask that nobody answers, which is not through its mailbox.
 *
 * Held: no more than BOUND are accepted; "full" is said only if it was, or somebody was about to
 * park; each sender's messages come
 * in order, once, and none that was given up; one runs the owner; a hand-over finds room; WAITED
 * goes with the last who waits. At rest: nobody waits while there is room, no message and no signal
 * is left behind.
 *
 * run: quick holds
 * run: quick holds  -DFIRST=1 -DSIGNALS=1
 * run: quick holds  -DFIRST=3 -DBOUND=2
 * run: quick holds  -DPARKS
 * run: quick holds  -DGIVE_UP -DFIRST=1
 * run: quick holds  -DCHAINS -DFIRST=3 -DBOUND=2
 * run: long  holds  -DCHAINS -DFIRST=3 -DBOUND=2 -DPARKS -DGIVE_UP
 * run: long  holds  -DGIVE_UP -DPARKS
 * run: long  holds  -DGIVE_UP -DPARKS -DFIRST=3 -DBOUND=2
 * run: long  holds  -DSENDERS=3 -DFIRST=1
 * run: long  holds  -DREST=2 -DSIGNALS=1
 * run: long  holds  -DFIRST=1 -DSIGNALS=2
 * run: quick caught -DOFF_BY_ONE
 * run: quick caught -DPUSH_IN_TWO_STEPS
 * run: quick caught -DREFUSE_STALE -DBOUND=2
 * run: quick caught -DOVERTAKE
 * run: quick caught -DIDLE_IN_TWO_STEPS
 * run: quick caught -DIDLE_IGNORES_WAITED -DPARKS
 * run: quick caught -DIDLE_IGNORES_SIGNAL -DSIGNALS=1
 * run: quick caught -DSIGNAL_CLEARED_LATE -DFIRST=1 -DSIGNALS=2
 * run: quick caught -DPARK_WITHOUT_SECOND_LOOK
 * run: quick caught -DSETTLE_WITHOUT_FENCE -DPARKS
 * run: quick caught -DNO_SETTLE -DPARKS
 * run: quick caught -DUNWAIT_TOO_EARLY
 * run: quick caught -DUNPARK_LEAVES_WAITED -DGIVE_UP -DFIRST=1
 * run: quick caught -DHAND_OVER_UNCLAIMED -DGIVE_UP -DFIRST=1
 * run: quick caught -DTAKE_IGNORES_LINK
 * run: quick caught -DCHAINS -DFIRST=3 -DBOUND=2 -DCHAIN_ONE_TOO_MANY
 * run: quick caught -DCHAINS -DFIRST=3 -DBOUND=2 -DCHAIN_TAIL_STAYS_LINKED
 * run: quick caught -DCHAINS -DFIRST=3 -DBOUND=2 -DCHAIN_OVERTAKES
 */
#ifndef SENDERS
#define SENDERS 2
#endif
#ifndef FIRST
#define FIRST 2
#endif
#ifndef REST
#define REST 1
#endif
#ifndef BOUND
#define BOUND 1
#endif
#ifndef SIGNALS
#define SIGNALS 0
#endif
#define MESSAGES (FIRST + REST * (SENDERS - 1))

/* The word: index (5 bits) | count (4) | flags. */
#define INDEX(w) ((w) & 31)
#define COUNT(w) (((w) >> 5) & 15)
#define FLAGS(w) ((w) & ~511)
#define SCHEDULED 512
#define EMPTY 1024
#define WAITED 2048
#define SIGNAL 4096
#define MAKE(i, c, f) ((i) | (((c) & 15) << 5) | (f))

/* What push and park say. */
#define PUSHED 1
#define FULL 2

#ifdef OFF_BY_ONE
#define IS_FULL(w, r) (((COUNT(w) - (r)) & 15) > BOUND)
#else
#define IS_FULL(w, r) (((COUNT(w) - (r)) & 15) >= BOUND)
#endif
#ifdef OVERTAKE
#define MAY_NOT(w, r) IS_FULL(w, r)
#else
#define MAY_NOT(w, r) (((w) & WAITED) || IS_FULL(w, r))
#endif

short word = EMPTY | SCHEDULED;
byte first, next[MESSAGES + 1];
byte released; /* as others see it */
byte taken;    /* the owner's, and what is in its buffer */
byte signals;  /* slot->signals */
byte hand, runnable = 1, running;

/* Parked senders: places in the order of their coming. */
bool locked;
byte cell[SENDERS], parcel[SENDERS], place[SENDERS], waiters;

/* What is checked, not part of the program. */
byte accepted, delivered, last[SENDERS], done;
bool saw_full[SENDERS], given_up[MESSAGES + 1], stopped;

#define DRAIN released = taken
#define SCHEDULE runnable++; assert(runnable + running <= 1)
#define WHO(m) ((m) <= FIRST -> 0 : ((m) - FIRST - 1) / REST + 1)
#define IS_WAITING(s) (place[s] != 0)

active proctype store_buffer()
{
end:
    do
    :: atomic { released != taken -> DRAIN }
    od
}

inline note_full(who)
{
    if
    :: accepted - released >= BOUND || (word & WAITED) -> who = true
    :: else
    fi
}

inline note_full_all()
{
    note_full(saw_full[0]);
    note_full(saw_full[1]);
#if SENDERS > 2
    note_full(saw_full[2]);
#endif
}

inline compare_and_swap(to)
{
    won = (w == word);
    if
    :: won -> word = to; accepted++; assert(accepted - taken <= BOUND); note_full_all()
    :: else -> w = word
    fi
}

/* ward__mailbox_push by a sender: leaves w, the word before it, and res. */
inline push(m)
{
    atomic { next[m] = 0; w = word }
    do
    :: atomic { MAY_NOT(w, released) -> res = FULL }
#ifdef REFUSE_STALE
        break
#else
        atomic {
            if
            :: w == word -> break
            :: else -> w = word
            fi
        }
#endif
    :: atomic { !MAY_NOT(w, released) -> res = PUSHED }
#ifdef PUSH_IN_TWO_STEPS
        w = word;
        atomic { compare_and_swap(MAKE(m, COUNT(w) + 1, (FLAGS(w) | SCHEDULED) & ~EMPTY)); won = true }
        w = w
#else
        atomic {
            compare_and_swap(MAKE(m, COUNT(w) + 1, (FLAGS(w) | SCHEDULED) & ~EMPTY));
            if :: won -> break :: else fi
        }
#endif
    od;
    link(m)
}

#ifdef CHAIN_ONE_TOO_MANY
#define ROOM_FOR BOUND + 1
#else
#define ROOM_FOR BOUND
#endif
#ifdef CHAIN_OVERTAKES
#define CHAIN_MAY_NOT(w, r) IS_FULL(w, r)
#else
#define CHAIN_MAY_NOT(w, r) (((w) & WAITED) || IS_FULL(w, r))
#endif

/* ward__mailbox_push_chain of m and those after it: n of them were accepted. */
inline push_chain()
{
    w = word;
    do
    :: atomic { CHAIN_MAY_NOT(w, released) -> n = 0; w = 0; break }
    :: atomic { !CHAIN_MAY_NOT(w, released) ->
            n = ROOM_FOR - ((COUNT(w) - released) & 15);
            if :: n > to - m + 1 -> n = to - m + 1 :: else fi;
            k = m;
            do
            :: k < m + n - 1 -> next[k] = k + 1; k++
            :: else -> break
            od;
#ifdef CHAIN_TAIL_STAYS_LINKED
            if :: k < to -> next[k] = k + 1 :: else -> next[k] = 0 fi;
#else
            next[k] = 0;
#endif
            k = 0
        }
        atomic {
            won = (w == word);
            if
            :: won -> word = MAKE(m + n - 1, COUNT(w) + n, (FLAGS(w) | SCHEDULED) & ~EMPTY);
                accepted = accepted + n; assert(accepted - taken <= BOUND); note_full_all();
                res = PUSHED; break
            :: else -> w = word
            fi
        }
    od;
    if :: n -> link(m); atomic { m = m + n; n = 0; res = 0 } :: else fi
}

/* What comes after the swap. */
inline link(m)
{
    if
    :: res == PUSHED ->
        atomic {
            if
            :: w & EMPTY -> first = m
            :: else -> next[INDEX(w)] = m
            fi
        }
        atomic { if :: !(w & SCHEDULED) -> SCHEDULE :: else fi; w = 0; won = 0 }
    :: else
    fi
}

#define LOCK atomic { !locked -> locked = true }
#define UNLOCK assert(waiters || !(word & WAITED)); locked = false

inline append(s) { waiters++; place[s] = waiters }
inline close_ranks(at)
{
    if :: place[0] > at -> place[0]-- :: else fi;
    if :: place[1] > at -> place[1]-- :: else fi;
#if SENDERS > 2
    if :: place[2] > at -> place[2]-- :: else fi;
#endif
    waiters--
}

/* ward__mailbox_park: FULL: parked; PUSHED: there is room. */
inline park(s)
{
    LOCK;
    w = word;
    do
    :: w & WAITED -> res = FULL; break
    :: else ->
        atomic {
            won = (w == word);
            if :: won -> word = w | WAITED; note_full_all() :: else -> w = word fi
        }
        if
        :: won -> res = FULL;
#ifndef PARK_WITHOUT_SECOND_LOOK
            if
            :: !IS_FULL(w, released) -> atomic { word = word & ~WAITED; res = PUSHED }
            :: else
            fi;
#endif
            break
        :: else
        fi
    od;
    atomic { if :: res == FULL -> append(s) :: else fi; w = 0; won = 0; UNLOCK }
}

/* ward__mailbox_unpark; gave_up: it was its own claim that ended the wait. */
inline unpark(s)
{
    LOCK;
    atomic {
        if
        :: IS_WAITING(s) -> close_ranks(place[s]); place[s] = 0;
#ifndef UNPARK_LEAVES_WAITED
            if :: waiters == 0 -> word = word & ~WAITED :: else fi
#endif
        :: else
        fi;
        assert(gave_up == (parcel[s] != 0));
        if :: gave_up -> given_up[parcel[s]] = true; parcel[s] = 0 :: else fi;
        gave_up = false;
        UNLOCK
    }
}

proctype sender(byte s; byte from; byte to)
{
    short w;
    byte m, res, c;
    bool won, gave_up;
#ifdef CHAINS
    byte n, k;
#endif

    m = from;
    do
    :: m > to -> break
    :: else ->
#ifdef CHAINS
        if
        :: s == 0 -> c = m; push_chain();
            if :: m != c -> c = 0; goto next_one :: else -> c = 0 fi
        :: else
        fi;
#endif
        atomic { saw_full[s] = false; note_full(saw_full[s]) }
        push(m);
        if
        :: res == FULL ->
            atomic { assert(saw_full[s]); w = 0; parcel[s] = m; cell[s]++; c = cell[s] }
            do
            ::  push(m);
                if :: res == PUSHED -> break :: else fi;
                park(s);
                if :: res == FULL -> break :: else fi
            od;
            if
            :: res == PUSHED -> atomic { cell[s]++; parcel[s] = 0 } /* nobody else knows it */
            :: else ->
end:            if
                :: cell[s] != c
#ifdef GIVE_UP
                :: atomic { cell[s] == c -> cell[s]++; gave_up = true }
#endif
                fi;
                unpark(s)
            fi
        :: else
        fi;
        atomic { m++; c = 0; res = 0 }
next_one:
        skip
    od;
    atomic { done++; m = 0 }
}

proctype signaller()
{
    byte n;
    bool was;

    do
    :: n == SIGNALS -> break
    :: else -> n++;
        signals++;
        atomic { was = (word & SCHEDULED) != 0; word = word | SIGNAL | SCHEDULED }
        atomic { if :: !was -> SCHEDULE :: else fi; was = 0 }
    od
}

/* -- the owner; where it runs makes no difference, the run queue hands its fields on ------------ */

/* ward__mailbox_serve and hand_over. */
inline serve()
{
    atomic { !locked -> locked = true; DRAIN }
    do
    :: atomic {
            waiters && !IS_FULL(word, taken) ->
            if
            :: place[0] == 1 -> s = 0
            :: place[1] == 1 -> s = 1
#if SENDERS > 2
            :: place[2] == 1 -> s = 2
#endif
            fi;
            place[s] = 0; close_ranks(0);
            c = cell[s]
#ifdef UNWAIT_TOO_EARLY
            ; if :: waiters == 0 -> word = word & ~WAITED :: else fi
#endif
        }
        atomic {
            won = (c & 1) && cell[s] == c;
#ifndef HAND_OVER_UNCLAIMED
            if :: won -> cell[s]++ :: else fi
#endif
        }
        if
        :: won ->
            atomic { p = parcel[s]; parcel[s] = 0; w = word }
            do
            ::  assert(!IS_FULL(w, taken));
                atomic {
                    compare_and_swap(MAKE(p, COUNT(w) + 1, (FLAGS(w) | SCHEDULED) & ~EMPTY));
                    if :: won -> assert(w & SCHEDULED); break :: else fi
                }
            od;
            atomic {
                if
                :: w & EMPTY -> first = p
                :: else -> next[INDEX(w)] = p
                fi;
#ifdef HAND_OVER_UNCLAIMED
                cell[s]++;
#endif
                w = 0; won = 0; p = 0
            }
        :: else
        fi;
#ifndef UNWAIT_TOO_EARLY
        atomic { if :: waiters == 0 -> word = word & ~WAITED :: else fi }
#endif
    :: atomic { !waiters || IS_FULL(word, taken) -> s = 0; c = 0; UNLOCK; break }
    od
}

/* ward__mailbox_take: m, 0: none; missing: its link is not there yet. */
inline take()
{
    missing = false;
    if
    :: hand -> m = next[hand]
    :: else -> m = first
    fi;
    if
    :: !m ->
        atomic { missing = !((word & EMPTY) || (hand && INDEX(word) == hand)) }
        if
        :: missing -> atomic { m = (hand -> next[hand] : first); missing = !m }
        :: else
        fi
    :: else
    fi;
#ifdef TAKE_IGNORES_LINK
    atomic { if :: missing -> m = INDEX(word); missing = false :: else fi }
#endif
    atomic {
        if
        :: m -> if :: !hand -> first = 0 :: else fi;
            hand = m; DRAIN; taken++ /* the store before it is out, this one is not */
        :: else
        fi
    }
}

#ifdef IDLE_IGNORES_SIGNAL
#define KEEPS_AWAKE WAITED
#else
#ifdef IDLE_IGNORES_WAITED
#define KEEPS_AWAKE SIGNAL
#else
#define KEEPS_AWAKE (WAITED | SIGNAL)
#endif
#endif

/* ward__mailbox_idle; won: it was given up, and is nobody's. */
inline give_up()
{
    w = word;
    do
    :: atomic {
            !((hand -> INDEX(w) == hand && !(w & EMPTY) : (w & EMPTY) != 0) && !(w & KEEPS_AWAKE)) ->
            won = false; w = 0; break
        }
    :: else ->
#ifdef IDLE_IN_TWO_STEPS
        won = (w == word);
#endif
        atomic {
            DRAIN;
#ifndef IDLE_IN_TWO_STEPS
            won = (w == word);
#endif
            if
            :: won -> word = MAKE(0, COUNT(w), (FLAGS(w) | EMPTY) & ~SCHEDULED);
                hand = 0; running--; w = 0; break
            :: else -> w = word
            fi
        }
    od
}

inline take_signals()
{
    if
    :: word & SIGNAL ->
#ifdef SIGNAL_CLEARED_LATE
        signals = 0;
        atomic { word = word & ~SIGNAL; DRAIN }
#else
        atomic { word = word & ~SIGNAL; DRAIN }
        signals = 0
#endif
    :: else
    fi
}

inline deliver()
{
    atomic {
        assert(!given_up[m] && last[WHO(m)] < m);
        last[WHO(m)] = m;
        delivered++;
        m = 0
    }
}

#define TO_THE_END_OF_THE_QUEUE DRAIN; running--; runnable++

active proctype owner()
{
    short w;
    byte m, p, s, c;
    bool won, missing, serves;

end:
    do
    :: atomic { runnable && !stopped -> runnable--; running++ }
        do
        ::  take_signals();
            take();
            atomic {
                serves = (word & WAITED) != 0;
                if
                :: serves && m && ((COUNT(word) - taken) & 15) > BOUND / 2 -> serves = false
                :: serves
                :: !serves
                fi
            }
            if :: serves -> serve(); serves = false :: else fi;
            if
            :: m -> deliver();
                if
                :: skip
#ifdef PARKS
                :: skip ->
#ifndef NO_SETTLE
#ifndef SETTLE_WITHOUT_FENCE
                    atomic { DRAIN }
#endif
                    if :: word & WAITED -> serve() :: else fi;
#endif
                    stopped = true; running--;
                    break
#endif
                :: skip ->
                    if :: word & WAITED -> serve() :: else fi;
                    atomic { TO_THE_END_OF_THE_QUEUE; break }
                fi
            :: missing -> atomic { missing = false; TO_THE_END_OF_THE_QUEUE; break }
            :: else -> give_up(); if :: won -> won = false; break :: else fi
            fi
        od
    od
}

init
{
    atomic {
        run sender(0, 1, FIRST);
        run sender(1, FIRST + 1, FIRST + REST);
#if SENDERS > 2
        run sender(2, FIRST + REST + 1, MESSAGES);
#endif
#if SIGNALS
        run signaller()
#endif
    }
    timeout ->
    if
    :: stopped -> assert(!waiters || accepted - taken >= BOUND)
    :: else ->
        assert(done == SENDERS && !waiters && delivered == accepted && !signals);
        assert(word == MAKE(0, accepted, EMPTY))
    fi
}
