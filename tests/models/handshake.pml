/*
 * The handshake and the closing of a device, as guests/drivers/front.c and
 * back.c do them over the store: two state nodes, two watches.
 *
 * A watch's event arrives at any time after the write, and several become
 * one.  Each read or write of a node is one step.  The front opens and closes
 * the device OPENS times, each time with a ring of its own.
 *
 *   -DIMPATIENT  a wait may end late at any time; else only when nothing
 *                else in the system can happen, which must not be so while
 *                both live and keep to the protocol
 *   -DSTAYS      the front closes only when it learns that the back has left
 *   -DBANS       the back may find that the front breaks the protocol
 *   -DBACK_DIES  at any step, once, and is started again
 *   -DFRONT_DIES at any step
 */
#define UNKNOWN      0
#define INITIALISING 1
#define INIT_WAIT    2
#define INITIALISED  3
#define CONNECTED    4
#define CLOSING      5
#define CLOSED       6

#ifndef OPENS
#define OPENS 3
#endif

byte front_node = INITIALISING, back_node = INITIALISING;
byte ring_ref;                  /* the front's node beside its state */
bool front_event, back_event;   /* under way from the store */
bool front_changed, back_moved; /* what the watches' handlers note */

byte ring;     /* the front's, 0: none */
byte granted;  /* the last ring that was granted, 0: its grant has ended */
byte mapped;   /* the ring that the back has mapped, 0: none */
bool back_connected, banned;
bool back_dead, back_died, back_buried, front_dead;

inline write_front(state)
{
    atomic {
        front_node = state;
        back_event = true
    }
}

inline write_back(state)
{
    atomic {
        back_node = state;
        front_event = true
    }
}

active proctype store()
{
end:
    do
    :: atomic { front_event -> front_event = false; front_changed = true }
    :: atomic { back_event -> back_event = false; back_moved = true }
    od
}

/* ---- front.c ---- */

#define reached(s, wanted) \
    (s == wanted || (wanted >= CLOSING && (s > wanted || s == UNKNOWN)))
#define refused(s, wanted) (wanted == CONNECTED && s >= CLOSING)

/* wait_for_backend.  late: it gave up, or was refused. */
inline wait_for(wanted)
{
    late = false;
    do
    :: front_changed = false;
       seen = back_node;
       if
       :: reached(seen, wanted) -> break
       :: refused(seen, wanted) -> late = true; break
       :: else ->
           if
           :: front_changed
#ifdef IMPATIENT
           :: late = true
#else
           :: timeout ->
               /* Two that live and keep to it never wait in vain. */
               assert(back_died || banned);
               late = true
#endif
           fi;
           if
           :: late -> break
           :: else
           fi
       fi
    od
}

/* leave_device, free_ring.  A ring that is still mapped is put aside. */
inline close_device()
{
    seen = back_node;
    was = seen;
    write_front(CLOSING);
    if
    :: was == CONNECTED -> wait_for(CLOSING)
    :: else
    fi;
    write_front(CLOSED);
    if
    :: was != UNKNOWN -> wait_for(CLOSED)
    :: else -> late = true
    fi;
    atomic {
        /* Who was told that the back has closed finds the ring free. */
        assert(late || back_died || mapped == 0 || mapped != ring);
        ring = 0;
        granted = 0
    }
}

active proctype front()
{
    byte seen, was, opens;
    bool late;

    {
    do
    :: opens == OPENS -> break
    :: else ->
        opens++;
        if
        :: front_node != INITIALISING ->
            /* Not before the back has done with the last time: what its
             * node says until then is of that time. */
            wait_for(CLOSED);
            if
            :: late -> goto shut
            :: else
            fi;
            write_front(INITIALISING)
        :: else
        fi;
        wait_for(INIT_WAIT);
        if
        :: late -> goto close
        :: else
        fi;
        atomic { ring = opens; granted = opens };
        ring_ref = ring;
        write_front(INITIALISED);
        wait_for(CONNECTED);
        if
        :: late -> goto close
        :: else
        fi;
        write_front(CONNECTED);
        /* Both say that they are connected: then by the same ring. */
        assert(!back_connected || mapped == ring);

        /* I/O, until the driver has had enough or the back has left. */
        do
#ifndef STAYS
        :: break
#endif
        :: timeout ->
            /* Nobody has told the front anything: then it is served. */
            assert(back_connected && mapped == ring);
            break
        :: front_changed ->
            front_changed = false;
            seen = back_node;
            if
            :: seen != CONNECTED -> write_front(CLOSING); break
            :: else
            fi
        od;
close:
        close_device();
shut:
        skip
    od
    } unless { front_dead }
}

/* ---- back.c: begin_device, then follow_device at each event ---- */

inline disconnect()
{
    atomic {
        back_connected = false;
        mapped = 0
    }
}

inline ban()
{
    banned = true;
    disconnect();
    state = CLOSED;
    write_back(CLOSED)
}

proctype back()
{
    byte seen, state, ref;

    banned = false;
    back_moved = true; /* the watch begins with an event */
    state = INIT_WAIT;
    write_back(INIT_WAIT);
    {
end:
    do
    :: back_moved ->
        back_moved = false;
        seen = front_node;
        if
        :: banned
        :: !banned && seen == INITIALISING ->
            if
            :: state == CLOSED -> state = INIT_WAIT; write_back(INIT_WAIT)
            :: else
            fi
        :: !banned && (seen == INITIALISED || seen == CONNECTED) ->
            if
            :: state == INIT_WAIT ->
                ref = ring_ref;
                if
                :: atomic { ref == granted && ref != 0 ->
                       mapped = ref; back_connected = true };
                   state = CONNECTED;
                   write_back(CONNECTED)
                :: atomic { ref != granted || ref == 0 -> skip };
                   ban()
                fi
            :: else
            fi
        :: !banned && seen == CLOSING ->
            disconnect();
            if
            :: state != CLOSING -> state = CLOSING; write_back(CLOSING)
            :: else
            fi
        :: !banned && (seen == CLOSED || seen == UNKNOWN) ->
            disconnect();
            if
            :: state != CLOSED -> state = CLOSED; write_back(CLOSED)
            :: else
            fi
        :: else
        fi
#ifdef BANS
    :: back_connected && !banned -> ban()
#endif
    od
    } unless { back_dead -> back_buried = true }
}

/* ---- Deaths: the hypervisor ends the mappings, the toolstack the nodes. ---- */

init {
    run back();
#ifdef BACK_DIES
    back_dead = true;
    back_died = true;
    back_buried ->
    atomic {
        back_connected = false;
        mapped = 0;
        write_back(UNKNOWN)
    };
    write_back(INITIALISING);
    back_dead = false;
    run back();
#endif
#ifdef FRONT_DIES
    front_dead = true;
    granted = 0;
    write_front(UNKNOWN);
    timeout -> assert(mapped == 0 && !back_connected && back_node == CLOSED);
#endif
}
