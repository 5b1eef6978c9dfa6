/* SPDX-License-Identifier: MIT */
/*
 * slot.pml - refs against the reuse of a slot: mailbox/mailbox.c (push, park, evict, kill, end,
 * open), actors/table.c, and the end of a life in supervisor/tree.c.
 *
 * The slot has life 1, which ends when it likes, and then life 2. Sender A has a ref of life 1;
 * sender B sends to life 1 and, when it sees the next one, to life 2. With RECYCLED it does so in
 * the same record, so that a word can come to be the same again. With BOUND=1 senders park.
 *
 * Held: what is delivered was meant for this life; unless records are recycled, nothing is even
 * accepted by a life it was not meant for; one runs the actor; each accepted message is taken once;
 * nobody is left in the list of a dead address; what was refused as gone was gone.
 *
 * run: quick holds
 * run: quick holds  -DRECYCLED
 * run: quick holds  -DBOUND=1
 * run: quick holds  -DBOUND=1 -DRECYCLED
 * run: quick caught -DLIFE_BEFORE_WORD
 * run: quick caught -DNO_SECOND_LOOK_AT_LIFE
 * run: quick caught -DEMPTY_WITHOUT_LIFE
 * run: quick caught -DNO_STAMP -DRECYCLED
 * run: quick caught -DDRAINED_BEFORE_DEAD
 * run: quick caught -DDRAIN_SKIPS_MISSING
 * run: quick caught -DEVICTED_BEFORE_DEAD -DBOUND=1
 * run: quick caught -DPARKS_WITHOUT_LOOK_AT_DEAD -DBOUND=1
 * run: quick caught -DOPENED_IN_TWO_STEPS
 * run: quick caught -DLIFE_IS_NOT_COUNTED
 */
#ifndef BOUND
#define BOUND 3
#endif

/* The word: index, while EMPTY the life (3 bits) | count (3) | flags. */
#define INDEX(w) ((w) & 7)
#define COUNT(w) (((w) >> 3) & 7)
#define FLAGS(w) ((w) & ~63)
#define SCHEDULED 64
#define EMPTY 128
#define WAITED 256
#define DEAD 512
#define MAKE(i, c, f) ((i) | (((c) & 7) << 3) | (f))
#ifdef EMPTY_WITHOUT_LIFE
#define NOTHING(l, c, f) MAKE(0, c, (f) | EMPTY)
#else
#define NOTHING(l, c, f) MAKE(l, c, (f) | EMPTY)
#endif
#define IS_FULL(w) (((COUNT(w) - released) & 7) >= BOUND)

#define ACCEPTED 1
#define FULL 2
#define GONE 3
#define ROOM 4

short word = NOTHING(1, 0, 0);
byte life = 1, released, first, next[4], stamp[4], hand, runnable, running;
bool locked, listed[2];
byte cell[2];

byte accepted, taken, done;
bool free_again, ended;

#define SCHEDULE runnable++; assert(runnable + running <= 1)
#define WAITERS (listed[0] || listed[1])

inline look()
{
#ifdef LIFE_BEFORE_WORD
    l = life;
    w = word
#else
    w = word;
    l = life
#endif
}

/* ward__mailbox_push of record m to life `to`. */
inline push(m, to)
{
    res = 0;
    look();
    if
    :: l != to -> res = GONE
    :: else -> stamp[m] = to; next[m] = 0
    fi;
    do
    :: res == GONE || res == ACCEPTED -> break
    :: else ->
        if
        :: w & DEAD -> res = GONE
        :: !(w & DEAD) && (w & WAITED) -> res = FULL
        :: else -> atomic { res = (IS_FULL(w) -> FULL : 0) }
        fi;
        if
        :: res ->
            atomic { if :: w == word -> break :: else -> w = word; res = 0 fi }
        :: else ->
            atomic {
                if
                :: w == word ->
                    word = MAKE(m, COUNT(w) + 1, (FLAGS(w) | SCHEDULED) & ~EMPTY);
                    accepted++;
#ifndef RECYCLED
                    assert(life == to);
#endif
                    res = ACCEPTED; break
                :: else -> w = word
                fi
            }
        fi;
#ifndef NO_SECOND_LOOK_AT_LIFE
        atomic { if :: life != to -> res = GONE :: else fi }
#endif
    od;
    if
    :: res == ACCEPTED ->
        atomic { if :: w & EMPTY -> first = m :: else -> next[INDEX(w)] = m fi }
        atomic { if :: !(w & SCHEDULED) -> SCHEDULE :: else fi }
    :: res == GONE -> assert(life != to || (word & DEAD))
    :: else
    fi;
    atomic { w = 0; l = 0 }
}

/* ward__mailbox_park */
inline park(s, to)
{
    atomic { !locked -> locked = true }
    w = word;
    res = FULL;
    do
    :: atomic { life != to -> res = GONE; break }
#ifndef PARKS_WITHOUT_LOOK_AT_DEAD
    :: atomic { life == to && (w & DEAD) -> res = GONE; break }
#define MAY_PARK !(w & DEAD)
#else
#define MAY_PARK true
#endif
    :: atomic { life == to && MAY_PARK && (w & WAITED) -> break }
    :: atomic { life == to && MAY_PARK && !(w & WAITED) ->
            if
            :: w == word -> word = w | WAITED; res = ROOM
            :: else -> w = word
            fi
        }
        if
        :: res == ROOM ->
            atomic { if :: !IS_FULL(w) -> word = word & ~WAITED :: else -> res = FULL fi }
            break
        :: else
        fi
    od;
    atomic { if :: res == FULL -> listed[s] = true :: else fi; locked = false; w = 0 }
}

inline send(s, m, to)
{
    push(m, to);
    if
    :: res == FULL ->
        cell[s]++;
        do
        ::  push(m, to);
            if :: res != FULL -> break :: else fi;
            park(s, to);
            if :: res != ROOM -> break :: else fi
        od;
        if
        :: res == FULL -> !(cell[s] & 1)
        :: else -> cell[s]++
        fi
    :: else
    fi
}

active proctype sender_a()
{
    short w;
    byte l, res;

    send(0, 2, 1);
    done++
}

active proctype sender_b()
{
    short w;
    byte l, res;

    send(1, 1, 1);
#ifdef RECYCLED
    res != ACCEPTED || free_again; /* the record came back to the pool */
    life == 2 && !(word & DEAD);
    send(1, 1, 2);
#else
    life == 2 && !(word & DEAD);
    send(1, 3, 2);
#endif
    done++
}

/* ward__mailbox_take */
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
    atomic {
        if
        :: m ->
            if :: !hand -> first = 0 :: else fi;
            if :: hand == 1 -> free_again = true :: else fi;
            hand = m; taken++; released = (released + 1) & 7
        :: else
        fi
    }
}

inline hand_over_or_evict(to_all)
{
    atomic { !locked -> locked = true }
    do
    :: atomic { WAITERS && (to_all || !IS_FULL(word)) ->
            if :: listed[0] -> m = 0 :: listed[1] -> m = 1 fi;
            listed[m] = false;
            cell[m]++; /* the hand-over itself is in mailbox.pml; here who waits just goes */
            m = 0
        }
        atomic { if :: !WAITERS -> word = word & ~WAITED :: else fi }
    :: atomic { !(WAITERS && (to_all || !IS_FULL(word))) -> locked = false; break }
    od
}

/* ward__mailbox_idle */
inline give_up()
{
    won = false;
    w = word;
    do
    :: (hand -> INDEX(w) != hand || (w & EMPTY) : !(w & EMPTY)) || (w & WAITED) -> break
    :: else ->
        atomic {
            won = (w == word);
            if
            :: won -> word = NOTHING(life, COUNT(w), FLAGS(w) & ~SCHEDULED);
                if :: hand == 1 -> free_again = true :: else fi;
                hand = 0; running--; break
            :: else -> w = word
            fi
        }
    od;
    w = 0
}

inline kill() { atomic { word = word | DEAD | SCHEDULED } }

inline drain()
{
    do
    ::  take();
        if
        :: m -> m = 0
#ifdef DRAIN_SKIPS_MISSING
        :: !m -> break
#else
        :: !m && !missing -> break
        :: !m && missing -> missing = false
#endif
        fi
    od
}

/* ward__life_over_locked, then the slot's next use. */
inline end_of_life()
{
#ifdef DRAINED_BEFORE_DEAD
    drain();
    kill();
    hand_over_or_evict(true);
#else
#ifdef EVICTED_BEFORE_DEAD
    hand_over_or_evict(true);
    kill();
#else
    kill();
    hand_over_or_evict(true);
#endif
    drain();
#endif
    atomic { if :: hand == 1 -> free_again = true :: else fi; hand = 0 }
#ifndef LIFE_IS_NOT_COUNTED
    life++;
#endif
    word = NOTHING(0, 0, DEAD | SCHEDULED);
    first = 0;
    released = 0;
    ended = true;
#ifdef OPENED_IN_TWO_STEPS
    word = NOTHING(life, 0, 0);
    atomic { word = word | SCHEDULED }
#else
    word = NOTHING(life, 0, SCHEDULED)
#endif
    /* it goes on as the one who starts the next life */
}

active proctype owner()
{
    short w;
    byte m;
    bool won, missing;

end:
    do
    :: atomic { !ended && !runnable && !running && !(word & SCHEDULED) ->
            word = word | SCHEDULED; running++ } /* cancelled: its CLOSED makes it runnable */
        end_of_life();
        goto slice
    :: atomic { runnable -> runnable--; running++; assert(running == 1) }
slice:  do
        ::  take();
            if
            :: m ->
#ifndef NO_STAMP
                if :: stamp[m] == life -> skip :: else -> m = 0; goto passed fi;
#endif
                atomic { assert(stamp[m] == life); m = 0 }
passed:         if
                :: skip
                :: atomic { !ended -> skip } end_of_life()
                fi
            :: missing -> missing = false
            :: !m && !missing ->
                if
                :: word & WAITED -> hand_over_or_evict(false)
                :: else -> give_up(); if :: won -> break :: else fi
                fi
            fi
        od;
        won = false
    od
}

init
{
    timeout ->
    assert(!WAITERS && taken == accepted && (!ended || done == 2));
    assert(!(word & SCHEDULED))
}
