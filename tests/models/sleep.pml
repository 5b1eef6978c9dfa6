/* SPDX-License-Identifier: MIT */
/*
 * sleep.pml - actors/scheduler.c: a worker goes to sleep while others fill its inbox, put an entry
 * into its wheel, or close the node. Memory is x86: a plain store stays in the buffer of its thread
 * until that does something locked. Stale rings of an earlier sleep are in it.
 *
 * Held: at rest nothing is left in the inbox, the entry was seen, and a closed node's worker has
 * gone home.
 *
 * run: quick holds
 * run: quick holds  -DPUSHES=3
 * run: long  holds  -DPUSHERS=3
 * run: quick caught -DINBOX_BEFORE_MASK
 * run: quick caught -DMASK_IS_PLAIN
 * run: quick caught -DPUSH_IS_PLAIN
 * run: quick caught -DBELL_AFTER_MASK
 * run: quick caught -DWAKE_BEFORE_BELL
 * run: quick caught -DNO_RING
 * run: quick caught -DRING_WITHOUT_WAKE
 * run: quick caught -DTIMER_BEFORE_MASK
 * run: quick caught -DCLOSING_IS_NOT_LOOKED_AT
 * run: quick caught -DSLEEPS_ON_ANY_BELL
 */
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef PUSHES
#define PUSHES 2
#endif

byte inbox, taken;
bool sleeping, bell, asleep;     /* the mask's bit; the futex, and who waits at it */
bool wheel_next, timer_seen;     /* an entry that is due */
bool closing, home;

#ifdef MASK_IS_PLAIN
bool mask_buffered;
#define DRAIN_WORKER if :: mask_buffered -> sleeping = true; mask_buffered = false :: else fi
active proctype store_buffer()
{
end:
    do
    :: atomic { mask_buffered -> DRAIN_WORKER }
    od
}
#else
#define DRAIN_WORKER skip
#endif

/* ward__ring */
inline ring()
{
#ifndef NO_RING
    if
    :: sleeping ->
        atomic { was = sleeping; sleeping = false }
        if
        :: was ->
#ifdef WAKE_BEFORE_BELL
            asleep = false;
            bell = false
#else
            bell = false;
#ifndef RING_WITHOUT_WAKE
            asleep = false
#endif
#endif
        :: else
        fi
    :: else
    fi
#else
    skip
#endif
}

proctype pusher()
{
    byte i;
    bool was;

    do
    :: i == PUSHES -> break
    :: else -> i++;
#ifdef PUSH_IS_PLAIN
        /* The look at the mask overtakes the push. */
        if
        :: !sleeping -> inbox++
        :: inbox++; ring()
        fi;
#else
        atomic { inbox++ } /* compare-and-swap */
        ring();
#endif
        was = false
    od
}

/* link_for() of the wheel, from another worker. */
active proctype armer()
{
    bool was;

    wheel_next = true;
    ring()
}

active proctype closer()
{
    bool was;

    taken == PUSHERS * PUSHES && timer_seen;
    closing = true;
    ring()
}

active proctype worker()
{
    bool due;

    do
    ::  if :: closing -> break :: else fi;
        atomic { if :: wheel_next -> timer_seen = true; wheel_next = false :: else fi }
        if
        :: inbox -> atomic { taken = taken + inbox; inbox = 0; DRAIN_WORKER } /* exchange */
        :: else ->
            /* sleep_until_work */
#ifdef INBOX_BEFORE_MASK
            if :: inbox || closing -> goto awake :: else fi;
#endif
#ifdef TIMER_BEFORE_MASK
            due = wheel_next;
#endif
#ifdef BELL_AFTER_MASK
            sleeping = true;
            bell = true;
#else
#ifdef MASK_IS_PLAIN
            bell = true; mask_buffered = true;
#else
            bell = true;
            sleeping = true;
#endif
#endif
#ifndef TIMER_BEFORE_MASK
            due = wheel_next;
#endif
#ifndef INBOX_BEFORE_MASK
#ifdef CLOSING_IS_NOT_LOOKED_AT
            if :: inbox -> goto awake :: else fi;
#else
            if :: inbox -> goto awake :: else fi;
            if :: closing -> goto awake :: else fi;
#endif
#endif
            do
            :: !bell || due -> break
            :: else ->
                /* futex: waits only if it is still as it was seen */
#ifdef SLEEPS_ON_ANY_BELL
                atomic { asleep = true; DRAIN_WORKER }
#else
                atomic { if :: bell -> asleep = true :: else fi; DRAIN_WORKER }
#endif
end_asleep:     !asleep
            od;
awake:      due = false;
            atomic { sleeping = false; DRAIN_WORKER; sleeping = false }
        fi
    od;
    home = true
}

init
{
    atomic {
        run pusher();
        run pusher();
#if PUSHERS > 2
        run pusher()
#endif
    }
    timeout -> assert(inbox == 0 && timer_seen && home)
}
