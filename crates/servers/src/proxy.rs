//! A way to a server that can be harmed: connections that break, answers that do not arrive, a server that nobody reaches.

use crate::PATIENCE;
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// What clients ask.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// Stands between clients and a server, on a port of its own. Ends with its value, and so do its connections.
///
/// ```
/// use servers::{Direction, Engine, Proxy, Server};
///
/// let Some(server) = Server::shared(Engine::Postgres) else { return };
/// let proxy = Proxy::to(server.port());
/// let database = server.database();
/// let url = database.url_through(proxy.port());
/// # let _ = url;
/// // A client connects to that URL; then the answer to what it asks is lost, though the server has carried it out:
/// proxy.hold(Direction::ToClient);
/// // … the client asks; proxy.wait_until_held(Direction::ToClient); …
/// proxy.cut();
/// ```
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something in the state is another.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    has_ended: bool,
    refuses: bool,
    ways: [Way; 2],
    /// Both ends of every connection, by its number.
    open: BTreeMap<usize, [TcpStream; 2]>,
    connections: usize,
}

/// What has gone in one direction.
#[derive(Clone, Copy, Default)]
struct Way {
    is_held: bool,
    /// What happens to a piece yet to come: to the one after so many.
    plan: Option<(u64, Plan)>,
    /// How many pieces stand here and wait.
    held: usize,
    sends: u64,
}

/// What happens when a piece comes.
#[derive(Clone, Copy)]
enum Plan {
    Hold,
    Cut,
}

impl Proxy {
    /// A way to the server at this port of this machine.
    ///
    /// # Panics
    ///
    /// The system gives it no port or no thread.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let accepting = shared.clone();
        let listener = thread::spawn(move || accept(&listener, server, &accepting));
        Self { port, shared, listener: Some(listener) }
    }

    /// The port on which it listens, on the loopback address alone.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes every connection that there is. What was held is lost.
    pub fn cut(&self) {
        self.shared.change(State::close_all);
    }

    /// Closes every new connection at once. Those that there are stay.
    pub fn refuse(&self) {
        self.shared.change(|state| state.refuses = true);
    }

    /// Lets new connections through again.
    pub fn accept(&self) {
        self.shared.change(|state| state.refuses = false);
    }

    /// Lets nothing through in this direction, on any connection. It is kept for [`Proxy::release`].
    pub fn hold(&self, direction: Direction) {
        self.shared.change(|state| state.way(direction).is_held = true);
    }

    /// Lets so many more pieces through in this direction, on any connection, then does as [`Proxy::hold`].
    pub fn hold_after(&self, direction: Direction, pieces: u64) {
        self.plan(direction, pieces, Plan::Hold);
    }

    /// Lets so many more pieces through in this direction, on any connection. The next one is lost, with every
    /// connection that there is.
    pub fn cut_after(&self, direction: Direction, pieces: u64) {
        self.plan(direction, pieces, Plan::Cut);
    }

    /// Whether the piece is yet to come that is held or cut by [`Proxy::hold_after`] or [`Proxy::cut_after`].
    pub fn awaits(&self, direction: Direction) -> bool {
        self.shared.lock().way(direction).plan.is_some()
    }

    fn plan(&self, direction: Direction, pieces: u64, plan: Plan) {
        self.shared.change(|state| {
            let way = state.way(direction);
            way.plan = Some((way.sends + pieces, plan));
        });
    }

    /// Lets everything through again in this direction, beginning with what was held.
    pub fn release(&self, direction: Direction) {
        self.shared.change(|state| state.way(direction).is_held = false);
    }

    /// Waits until something is held in this direction: the server was asked, or has answered.
    ///
    /// # Panics
    ///
    /// Nothing comes within a minute.
    #[track_caller]
    pub fn wait_until_held(&self, direction: Direction) {
        let came = self.shared.wait_for(|state| state.way(direction).held > 0);
        assert!(came, "waited in vain for something to hold {direction:?}");
    }

    /// Whether something is held in this direction now.
    pub fn holds(&self, direction: Direction) -> bool {
        let mut state = self.shared.lock();
        let way = state.way(direction);
        way.is_held && way.held > 0
    }

    /// How often something was sent in this direction since the beginning, by all clients: what is read at once counts
    /// as one, so a client that waits for its answers is counted exactly.
    pub fn sends(&self, direction: Direction) -> u64 {
        self.shared.lock().way(direction).sends
    }

    /// How many connections were let through since the beginning.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| state.has_ended = true);
        self.cut();
        // Wakes up who waits for connections.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("port", &self.port).finish_non_exhaustive()
    }
}

impl State {
    /// Counts a piece that has come, and does what is to happen with it.
    fn note(&mut self, direction: Direction) {
        let way = self.way(direction);
        way.sends += 1;
        way.held += 1;
        let Some((last, plan)) = way.plan else { return };
        if way.sends <= last {
            return;
        }
        way.plan = None;
        match plan {
            Plan::Hold => way.is_held = true,
            Plan::Cut => self.close_all(),
        }
    }

    fn way(&mut self, direction: Direction) -> &mut Way {
        &mut self.ways[direction as usize]
    }

    fn close_all(&mut self) {
        for number in self.open.keys().copied().collect::<Vec<_>>() {
            self.close(number);
        }
    }

    fn close(&mut self, connection: usize) {
        for end in self.open.remove(&connection).into_iter().flatten() {
            // Its other side may have closed it.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Whether it came to be, within the bound of every wait.
    fn wait_for(&self, mut is_so: impl FnMut(&mut State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, |state| !is_so(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

fn accept(listener: &TcpListener, server: u16, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let state = shared.lock();
        if state.has_ended {
            return;
        }
        if let (false, Ok(client)) = (state.refuses, client) {
            drop(state);
            // A client whose server is away is closed, as by the server.
            let _ = join(client, server, shared);
        }
    }
}

/// Joins a client and the server by two threads, which end with the connection.
fn join(client: TcpStream, server: u16, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ways = [
        (client.try_clone()?, server.try_clone()?, Direction::ToServer),
        (server.try_clone()?, client.try_clone()?, Direction::ToClient),
    ];
    let mut state = shared.lock();
    let number = state.connections;
    state.connections += 1;
    state.open.insert(number, [client, server]);
    for (from, to, direction) in ways {
        let shared = shared.clone();
        thread::spawn(move || {
            // However it ends, the connection has ended.
            let _ = carry(&from, &to, direction, number, &shared);
            shared.change(|state| state.close(number));
        });
    }
    Ok(())
}

fn carry(
    mut from: &TcpStream,
    mut to: &TcpStream,
    direction: Direction,
    connection: usize,
    shared: &Shared,
) -> io::Result<()> {
    let mut piece = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 || !pass(direction, connection, shared) {
            return Ok(());
        }
        to.write_all(&piece[..length])?;
    }
}

/// Counts a piece, and waits while it is held. Whether it may go on.
fn pass(direction: Direction, connection: usize, shared: &Shared) -> bool {
    let mut state = shared.lock();
    state.note(direction);
    shared.changed.notify_all();
    while state.way(direction).is_held && state.open.contains_key(&connection) {
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.way(direction).held -= 1;
    state.open.contains_key(&connection)
}
