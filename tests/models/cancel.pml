/* SPDX-License-Identifier: MIT */
/*
 * cancel.pml - cancellation against the moment in which a wait begins: mailbox/wait.h,
 * actors/wait.c (wait_begin, wait_end, abandon), actors/ask.c (settle), receive.c (lend and
 * resume_sender), supervisor/tree.c (end_wait).
 *
 * An actor asks (or, with SLEEPS, waits for nothing) while it is cancelled; it may find the mailbox
 * full and be handed over for, which moves its cell from one odd value to the next. Nobody answers.
 * A holder takes its question and one of somebody else's, in any order, and waits while it works
 * for each; such a wait may be over by itself. Memory is x86; with ARM_IS_PLAIN the cell is armed
 * by a plain store, which is in order only because of the fence in wait_end.
 *
 * Held: the cancelled one does not wait for ever; who works for it learns that nobody waits, in
 * that very wait, unless it was over; a wait is ended once; nobody is told so who works for the
 * other one.
 *
 * run: quick holds
 * run: quick holds  -DSLEEPS
 * run: quick holds  -DSLEEPS -DARM_IS_PLAIN
 * run: quick caught -DSLEEPS -DARM_IS_PLAIN -DNO_FENCE
 * run: quick caught -DSLEEPS -DFLAG_BEFORE_ARM
 * run: quick caught -DCELL_BEFORE_FLAG
 * run: quick caught -DNO_LOOK_AFTER_HAND_OVER
 * run: quick caught -DNO_LOOK_AT_ASKER
 * run: quick caught -DQUESTION_BEFORE_CELL
 * run: quick caught -DNO_ABANDON
 * run: quick caught -DCLAIM_IN_TWO_STEPS
 * run: quick caught -DHAND_OVER_WITHOUT_CLAIM
 */
#define NOBODY 0
#define OURS 1
#define OTHERS 2
#define OTHERS_CELL 101 /* it never moves */

bool flag;              /* SIG_CANCEL of the asker */
byte cell, cell_own;    /* as others see it, as the asker stored it */
byte resumed;
byte queued;            /* the token of our question in the holder's mailbox; 0: none yet */
byte holder_cell, holder_resumed, holder_question, holder_asker;
bool parked, locked;

bool out, cancelled, told, served;

#define DRAIN if :: cell != cell_own && cell_buffered -> cell = cell_own; cell_buffered = false :: else fi
bool cell_buffered;

active proctype store_buffer()
{
end:
    do
    :: atomic { cell_buffered -> DRAIN }
    od
}

/* Each end of a wait of the asker: won. */
inline claim(c)
{
#ifdef CLAIM_IN_TWO_STEPS
    won = (cell == c);
    atomic { if :: won -> cell = c + 1 :: else fi }
#else
    atomic { won = (cell == c); if :: won -> cell = c + 1 :: else fi }
#endif
}

/* ward__abandon of our question; t: its cell */
inline abandon(t)
{
#ifndef NO_ABANDON
    do
    ::
#ifdef QUESTION_BEFORE_CELL
        atomic { won = (holder_question == OURS && holder_asker == t) }
        if :: !won -> break :: else fi;
        c = holder_cell;
        if :: !(c & 1) -> break :: else fi;
#else
        c = holder_cell;
        if :: !(c & 1) -> break :: else fi;
        atomic { won = (holder_question == OURS && holder_asker == t) }
        if :: !won -> break :: else fi;
#endif
        atomic {
            won = (holder_cell == c);
            if
            :: won -> assert(holder_question == OURS); holder_cell++; told = true
            :: else
            fi
        }
        if :: won -> holder_resumed++; break :: else fi
    od
#else
    skip
#endif
}

active proctype asker()
{
    byte c, mine;
    bool won;

#ifdef FLAG_BEFORE_ARM
    if :: flag -> goto stop_at_once :: else fi;
#endif
    /* ward__wait_arm */
    atomic {
        mine = cell + 1; cell_own = mine; cell_buffered = true;
#ifndef ARM_IS_PLAIN
        DRAIN
#endif
    }
#ifndef SLEEPS
    if
    :: atomic { queued = mine; DRAIN }        /* push: accepted */
    :: atomic { parked = true; DRAIN }        /* full: in the list, under its lock */
    fi;
#endif
    /* ward__wait_end */
#ifndef NO_FENCE
    atomic { DRAIN }
#endif
#ifndef FLAG_BEFORE_ARM
    if
    :: flag ->
        if
        :: cell_own == mine && (cell == mine || cell_buffered) ->
            atomic { DRAIN }
            claim(mine);
            if :: won -> cancelled = true; goto stop :: else fi
        :: else
        fi
    :: else
    fi;
#endif
    atomic { resumed -> resumed--; DRAIN }
    assert(!(cell & 1));
stop:
    /* settle(): ward__mailbox_unpark, then whoever works for it */
    atomic { !locked -> parked = false; mine = cell - 1 }
#ifndef SLEEPS
    abandon(mine);
#endif
stop_at_once:
    out = true
}

/* end_wait() of the supervision layer. */
active proctype canceller()
{
    byte c;
    bool won;

#ifdef CELL_BEFORE_FLAG
    c = cell;
    flag = true;
#else
    flag = true;
    c = cell;
#endif
    if
    :: c & 1 -> claim(c);
        if :: won -> cancelled = true; resumed++ :: else fi
    :: else
    fi
}

#ifndef SLEEPS
/* The owner of the full mailbox: hand_over and resume_sender. */
active proctype server()
{
    byte c;
    bool won;

end:
    atomic { parked && !locked -> locked = true; parked = false }
    c = cell;
    if
    :: c & 1 ->
#ifdef HAND_OVER_WITHOUT_CLAIM
        won = true; cell = c + 2;
#else
        atomic { won = (cell == c); if :: won -> cell = c + 2 :: else fi }
#endif
        if
        :: won ->
            queued = c + 2;
#ifndef NO_LOOK_AFTER_HAND_OVER
            c = cell;
            if
            :: flag && (c & 1) -> claim(c);
                if :: won -> cancelled = true; resumed++ :: else fi
            :: else
            fi
#endif
        :: else
        fi
    :: else
    fi;
    locked = false
}

inline looks_at_asker()
{
    gone = (holder_question == OURS && cell != holder_asker)
}

/* Works for one question: lend(), a wait, the end of what is in hand. */
inline work_for(who, token)
{
    holder_asker = token;
    holder_question = who;
    atomic { looks_at_asker() }
    if
    :: gone -> told = true /* expired */
    :: else ->
        atomic { holder_cell++; h = holder_cell; gone = false }
#ifndef NO_LOOK_AT_ASKER
        atomic { looks_at_asker() }
#endif
        atomic { if :: gone && holder_cell == h -> holder_cell++; told = true; mine = true :: else fi }
        if
        :: mine -> skip
        :: else ->
end_wait:   atomic { holder_resumed -> holder_resumed-- }
        fi
    fi;
    holder_question = NOBODY;
    atomic { h = 0; gone = false; mine = false }
}

active proctype holder()
{
    byte h;
    bool gone, mine, others_first;

    if
    :: others_first = true
    :: others_first = false
    fi;
    if :: others_first -> work_for(OTHERS, OTHERS_CELL) :: else fi;
end:
    queued;
    work_for(OURS, queued);
    served = true;
    if :: !others_first -> work_for(OTHERS, OTHERS_CELL) :: else fi
}

/* What the holder waits for may come, twice. */
active [2] proctype callee()
{
    byte c;
    bool won;

end:
    holder_cell & 1;
    if
    :: c = holder_cell;
        atomic { won = (c & 1) && holder_cell == c; if :: won -> holder_cell++ :: else fi }
        if :: won -> holder_resumed++ :: else fi
    :: skip
    fi
}
#endif

init
{
    timeout ->
    assert(out && resumed == 0);
#ifndef SLEEPS
    assert(holder_question != OURS && holder_resumed == 0)
#endif
}
