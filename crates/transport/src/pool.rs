//! Connections that are kept and used again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use kubespray_resource::wire::{Ask, Request};

use crate::{Arrival, Connection, ConnectionEvent, Disconnect, OnEvent, Target, Transport};

/// Helpers leave a controller that says nothing for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Helpers say every two seconds that they live, also while they work.
const SILENCE: Duration = Duration::from_secs(30);
/// How often both are looked after.
const LOOK: Duration = Duration::from_secs(1);
/// The id of the pool's own pings; users count from one.
const OURS: u64 = u64::MAX;

/// A transport that keeps the connections of another one.
///
/// Who closes a connection gives it back; who connects to the same host next has it at once. Connections are kept
/// alive, and one whose helper says nothing for half a minute is given up. Dropping the pool closes all.
pub struct Pool<T> {
    transport: T,
    rooms: Arc<Rooms>,
}

/// The connections that may be used again or are in use, by host.
type Rooms = Mutex<BTreeMap<String, Arc<Room>>>;

struct Room {
    connection: Mutex<Option<Box<dyn Connection>>>,
    state: Mutex<State>,
}

struct State {
    user: Option<OnEvent>,
    arrival: Option<Arrival>,
    /// Requests of users that are not answered yet.
    open: usize,
    heard: Instant,
    said: Instant,
    /// It is over, or being closed.
    over: bool,
}

/// A connection while somebody uses it.
struct Lease {
    room: Arc<Room>,
    is_back: bool,
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.rooms).keys()).finish()
    }
}

impl<T: Transport> Pool<T> {
    /// A pool over a transport.
    pub fn new(transport: T) -> Self {
        let rooms: Arc<Rooms> = Arc::default();
        let known = Arc::downgrade(&rooms);
        // Without this thread connections are still told of by `ssh` itself, only later.
        drop(thread::Builder::new().name("keep-alive".into()).spawn(move || look_after(&known)));
        Self { transport, rooms }
    }
}

impl<T: Transport> Transport for Pool<T> {
    fn connect(&self, target: &Target, on_event: OnEvent) -> Box<dyn Connection> {
        let room = {
            let mut rooms = lock(&self.rooms);
            rooms.retain(|_, room| !lock(&room.state).over);
            match rooms.get(&target.host).map(Arc::clone) {
                Some(room) => match room.take(on_event) {
                    Ok(()) => return Box::new(Lease { room, is_back: false }),
                    Err(on_event) => Room::new(on_event),
                },
                None => Room::new(on_event),
            }
        };
        lock(&self.rooms).insert(target.host.clone(), Arc::clone(&room));
        let told = Arc::clone(&room);
        let connection = self.transport.connect(target, Box::new(move |event| told.tell(event)));
        if !lock(&room.state).over {
            *lock(&room.connection) = Some(connection);
        }
        Box::new(Lease { room, is_back: false })
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        for room in std::mem::take(&mut *lock(&self.rooms)).into_values() {
            room.close();
        }
    }
}

impl Room {
    fn new(user: OnEvent) -> Arc<Self> {
        let now = Instant::now();
        let state = State { user: Some(user), arrival: None, open: 0, heard: now, said: now, over: false };
        Arc::new(Self { connection: Mutex::default(), state: Mutex::new(state) })
    }

    /// Gives an idle connection to a new user; the user comes back where it is none.
    fn take(&self, mut user: OnEvent) -> Result<(), OnEvent> {
        let mut state = lock(&self.state);
        match &state.arrival {
            Some(arrival) if state.user.is_none() && state.open == 0 && !state.over => {
                user(ConnectionEvent::Up(arrival.clone()));
                state.user = Some(user);
                Ok(())
            }
            _ => Err(user),
        }
    }

    fn tell(&self, event: ConnectionEvent) {
        let mut state = lock(&self.state);
        state.heard = Instant::now();
        match &event {
            ConnectionEvent::Up(arrival) => state.arrival = Some(arrival.clone()),
            ConnectionEvent::Reply(reply) if reply.id == OURS => return,
            ConnectionEvent::Reply(reply) if reply.body.ends_request() => {
                state.open = state.open.saturating_sub(1);
            }
            ConnectionEvent::Reply(_) => {}
            ConnectionEvent::Down(_) if state.over => return,
            ConnectionEvent::Down(_) => state.over = true,
        }
        let is_over = state.over;
        if let Some(user) = &mut state.user {
            user(event);
        }
        if is_over {
            state.user = None;
        }
    }

    fn send(&self, request: &Request) {
        lock(&self.state).said = Instant::now();
        if let Some(connection) = lock(&self.connection).as_mut() {
            connection.send(request);
        }
    }

    /// Ends the connection; its user, if any, hears why.
    fn end(&self, why: Disconnect) {
        self.tell(ConnectionEvent::Down(why));
        self.close();
    }

    fn close(&self) {
        lock(&self.state).over = true;
        if let Some(mut connection) = lock(&self.connection).take() {
            connection.close();
        }
    }

    fn is_silent(&self) -> bool {
        let state = lock(&self.state);
        // Before the helper is there the transport has its own limits.
        state.arrival.is_some() && !state.over && state.heard.elapsed() > SILENCE
    }

    fn wants_a_word(&self) -> bool {
        let state = lock(&self.state);
        state.arrival.is_some() && !state.over && state.said.elapsed() > KEEP_ALIVE
    }
}

impl Connection for Lease {
    fn send(&mut self, request: &Request) {
        if !self.is_back {
            lock(&self.room.state).open += usize::from(request.body.is_answered());
            self.room.send(request);
        }
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.is_back, true) {
            return;
        }
        let (user, is_idle) = {
            let mut state = lock(&self.room.state);
            // Answers that nobody waits for must not reach the next user.
            (state.user.take(), state.arrival.is_some() && state.open == 0 && !state.over)
        };
        if !is_idle {
            self.room.close();
        }
        if let Some(mut user) = user {
            user(ConnectionEvent::Down(Disconnect::Ended));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.close();
    }
}

fn look_after(rooms: &Weak<Rooms>) {
    loop {
        thread::sleep(LOOK);
        let Some(rooms) = rooms.upgrade() else { return };
        let all: Vec<Arc<Room>> = lock(&rooms).values().cloned().collect();
        for room in all {
            if room.is_silent() {
                room.end(Disconnect::TimedOut {
                    doing: "the helper worked",
                    seconds: SILENCE.as_secs(),
                    evidence: Vec::new(),
                });
            } else if room.wants_a_word() {
                room.send(&Request { id: OURS, body: Ask::Ping });
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use kubespray_resource::wire::{Answer, Hello, Reply};

    use super::*;

    /// Counts its connections; each answers pings at once, and facts never.
    #[derive(Clone, Default)]
    struct Double {
        made: Arc<Mutex<Vec<Arc<Mutex<OnEvent>>>>>,
    }

    struct DoubleConnection(Arc<Mutex<OnEvent>>);

    fn arrival() -> Arrival {
        Arrival {
            hello: Hello { protocol: 1, build: "b".into(), hostname: "h".into(), boot_id: "1".into() },
            took: Duration::ZERO,
            helper: crate::HelperFrom::Host,
            root: crate::Root::Login,
            host_key: crate::HostKey::Known,
        }
    }

    impl Transport for Double {
        fn connect(&self, _: &Target, mut on_event: OnEvent) -> Box<dyn Connection> {
            on_event(ConnectionEvent::Up(arrival()));
            let on_event = Arc::new(Mutex::new(on_event));
            lock(&self.made).push(Arc::clone(&on_event));
            Box::new(DoubleConnection(on_event))
        }
    }

    impl Connection for DoubleConnection {
        fn send(&mut self, request: &Request) {
            if request.body == Ask::Ping {
                let reply = Reply { id: request.id, body: Answer::Ok };
                lock(&self.0)(ConnectionEvent::Reply(reply));
            }
        }

        fn close(&mut self) {
            lock(&self.0)(ConnectionEvent::Down(Disconnect::Ended));
        }
    }

    fn use_it(pool: &Pool<Double>) -> (Box<dyn Connection>, Receiver<ConnectionEvent>) {
        let (sender, events) = channel();
        let target = Target::new("a", "a");
        (pool.connect(&target, Box::new(move |event| drop(sender.send(event)))), events)
    }

    #[test]
    fn a_connection_is_used_again() {
        let double = Double::default();
        let pool = Pool::new(double.clone());
        for _ in 0..3 {
            let (mut connection, events) = use_it(&pool);
            connection.send(&Request { id: 1, body: Ask::Ping });
            connection.close();
            let events: Vec<ConnectionEvent> = events.iter().collect();
            assert!(
                matches!(
                    events.as_slice(),
                    [
                        ConnectionEvent::Up(..),
                        ConnectionEvent::Reply(Reply { id: 1, body: Answer::Ok }),
                        ConnectionEvent::Down(Disconnect::Ended)
                    ]
                ),
                "{events:?}"
            );
        }
        assert_eq!(lock(&double.made).len(), 1);
    }

    #[test]
    fn one_that_owes_answers_or_is_in_use_is_not() {
        let double = Double::default();
        let pool = Pool::new(double.clone());
        let (mut first, _events) = use_it(&pool);
        let (_second, _events) = use_it(&pool);
        assert_eq!(lock(&double.made).len(), 2, "the first is in use");
        first.send(&Request { id: 1, body: Ask::Facts });
        drop(first);
        drop(use_it(&pool));
        assert_eq!(lock(&double.made).len(), 3, "the first owes an answer, the second is in use");
    }

    #[test]
    fn one_that_is_down_is_made_anew() {
        let double = Double::default();
        let pool = Pool::new(double.clone());
        let (connection, events) = use_it(&pool);
        let on_event = Arc::clone(&lock(&double.made)[0]);
        lock(&on_event)(ConnectionEvent::Down(Disconnect::Ended));
        drop(connection);
        assert_eq!(events.iter().count(), 2);
        drop(use_it(&pool));
        assert_eq!(lock(&double.made).len(), 2);
    }

    #[test]
    fn what_is_late_does_not_reach_the_next_user() {
        let double = Double::default();
        let pool = Pool::new(double.clone());
        drop(use_it(&pool));
        let on_event = Arc::clone(&lock(&double.made)[0]);
        let (_connection, events) = use_it(&pool);
        lock(&on_event)(ConnectionEvent::Reply(Reply { id: OURS, body: Answer::Ok }));
        assert_eq!(events.try_iter().count(), 1, "only that it is up");
    }
}
