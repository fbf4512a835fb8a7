//! Who is connected, who was turned away and why, and how much of that the log is told.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cynic_proto::message::RefusalKind;
use cynic_proto::stats::ClientStats;

use crate::access::Door;
use crate::gateway::Peer;
use crate::pool::ClientId;

/// Connections at the admin socket at once: a few people and their tools, and none of them counts against those
/// at the other socket, so that an operator gets in when that is full.
const ADMINS_MAX: usize = 64;

/// Connections at once that are told why they are not let in. More than these are closed without a word.
const TURNED_AWAY_MAX: usize = 256;

/// Lines of the log about the refusals of one user within [`LINES_WINDOW`].
const LINES_MAX: u32 = 8;
const LINES_WINDOW: Duration = Duration::from_secs(10);

/// Users whose lines are counted. Those beyond share one count.
const LINES_USERS_MAX: usize = 1024;

/// The user that stands for all beyond, and for a peer that the kernel does not name.
const NOBODY: u32 = u32::MAX;

/// How many may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatLimits {
    /// Connections at once at the judge socket.
    pub clients_max: usize,
    /// How many of them one user may have that is alone.
    pub clients_per_uid_max: usize,
}

impl SeatLimits {
    /// Whether a user with so many connections may have no more while so many seats are free. As they get fewer, each user
    /// may have fewer: several together leave seats to others too. (Dynamic thresholds, as switches share their buffers:
    /// Choudhury and Hahne 1998.)
    fn is_share_used(self, own: usize, free: usize) -> bool {
        own * (self.clients_max - self.clients_per_uid_max) >= self.clients_per_uid_max * free
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// The peer has no role here.
    NoRole,
    /// All seats are taken.
    ClientsMax(usize),
    /// The peer's user has its share of them.
    UserShare(u32, usize),
    /// All seats at the admin socket are taken.
    AdminsMax,
}

impl TurnedAway {
    /// Its name in the figures.
    pub const fn name(self) -> &'static str {
        match self {
            TurnedAway::NoRole => "no_role",
            TurnedAway::ClientsMax(_) => "clients_max",
            TurnedAway::UserShare(..) => "user_share",
            TurnedAway::AdminsMax => "admins_max",
        }
    }

    /// What the peer is told.
    pub fn refusal(self) -> (RefusalKind, String) {
        match self {
            TurnedAway::NoRole => {
                let message = "this user has no role here: ask an administrator to add it, or a group of it, to \
                               `judge` or `read` under [access] in the daemon's configuration";
                (RefusalKind::NotPermitted, message.to_owned())
            }
            TurnedAway::ClientsMax(max) => (
                RefusalKind::Unavailable,
                format!(
                    "{max} clients are connected, which is the limit (clients.max); retry later"
                ),
            ),
            TurnedAway::UserShare(uid, own) => (
                RefusalKind::Unavailable,
                format!(
                    "user {uid} has {own} connections, which is the most that one may have now \
                     (access.share_per_user); use fewer, each takes many requests at once"
                ),
            ),
            TurnedAway::AdminsMax => (
                RefusalKind::Unavailable,
                format!("{ADMINS_MAX} clients are at the admin socket, which is the limit"),
            ),
        }
    }
}

/// Lines that the log was told of one user.
#[derive(Debug)]
struct Lines {
    since: Instant,
    told: u32,
    untold: u64,
}

/// Everybody who is connected. The gateway seats them; the hub asks for the figures.
#[derive(Debug)]
pub struct Seats {
    limits: SeatLimits,
    last_id: Cell<u64>,
    taken: RefCell<HashMap<(Door, u32), usize>>,
    lingering: Cell<usize>,
    figures: RefCell<ClientStats>,
    full_at: Cell<Option<Instant>>,
    lines: RefCell<HashMap<u32, Lines>>,
}

/// A place that somebody has, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Rc<Seats>,
    key: (Door, u32),
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.borrow_mut();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// Somebody who is being told why it is not let in.
#[derive(Debug)]
pub struct Lingering(Rc<Seats>);

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.lingering.set(self.0.lingering.get() - 1);
    }
}

impl Seats {
    /// With nobody there.
    pub fn new(limits: SeatLimits) -> Seats {
        let max = u32::try_from(limits.clients_max).unwrap_or(u32::MAX);
        Seats {
            limits,
            last_id: Cell::default(),
            taken: RefCell::default(),
            lingering: Cell::default(),
            figures: RefCell::new(ClientStats { max, ..ClientStats::default() }),
            full_at: Cell::default(),
            lines: RefCell::default(),
        }
    }

    /// A number that no other connection has.
    pub fn number(&self) -> ClientId {
        self.last_id.set(self.last_id.get() + 1);
        ClientId(self.last_id.get())
    }

    /// Gives a peer a place, if there is one for it.
    ///
    /// # Errors
    /// There is none; that is counted.
    pub fn take(
        self: &Rc<Seats>,
        door: Door,
        peer: Option<Peer>,
    ) -> Result<(Peer, Seat), TurnedAway> {
        let mut figures = self.figures.borrow_mut();
        let Some(peer) = peer.filter(|peer| !peer.roles.is_empty()) else {
            return Err(counted(&mut figures, TurnedAway::NoRole));
        };
        let (all, own) = self.taken(door, peer.uid);
        let clients_max = self.limits.clients_max;
        let turned_away = match door {
            Door::Admin if all >= ADMINS_MAX => Some(TurnedAway::AdminsMax),
            Door::Judge if all >= clients_max => Some(TurnedAway::ClientsMax(clients_max)),
            Door::Judge if self.limits.is_share_used(own, clients_max - all) => {
                Some(TurnedAway::UserShare(peer.uid, own))
            }
            _ => None,
        };
        if let Some(why) = turned_away {
            self.full_at.set(Some(Instant::now()));
            return Err(counted(&mut figures, why));
        }
        figures.accepted += 1;
        let key = (door, peer.uid);
        *self.taken.borrow_mut().entry(key).or_default() += 1;
        if door == Door::Judge {
            figures.connected_max = figures.connected_max.max(connected(all + 1));
        }
        Ok((peer, Seat { seats: Rc::clone(self), key }))
    }

    /// A place to hear why one is not let in, if there is one.
    pub fn linger(self: &Rc<Seats>) -> Option<Lingering> {
        let lingering = self.lingering.get();
        (lingering < TURNED_AWAY_MAX).then(|| {
            self.lingering.set(lingering + 1);
            Lingering(Rc::clone(self))
        })
    }

    /// Somebody was sent away for breaking the protocol or not reading.
    pub fn expelled(&self) {
        self.figures.borrow_mut().expelled += 1;
    }

    /// A request was refused because its client lacks the role.
    pub fn refused(&self) {
        self.figures.borrow_mut().refused += 1;
    }

    /// Whether the log is to be told of one more refusal of this user. Says first how many it was not told of before.
    pub fn tells(&self, uid: u32, now: Instant) -> bool {
        let mut lines = self.lines.borrow_mut();
        let uid =
            if lines.contains_key(&uid) || lines.len() < LINES_USERS_MAX { uid } else { NOBODY };
        let lines = lines.entry(uid).or_insert(Lines { since: now, told: 0, untold: 0 });
        if now.duration_since(lines.since) >= LINES_WINDOW {
            if lines.untold > 0 {
                tracing::warn!(
                    uid,
                    untold = lines.untold,
                    "more refusals of this user were not logged"
                );
            }
            *lines = Lines { since: now, told: 0, untold: 0 };
        }
        let tells = lines.told < LINES_MAX;
        lines.told += u32::from(tells);
        lines.untold += u64::from(!tells);
        tells
    }

    /// How many are connected, and how many of them are this user's.
    fn taken(&self, door: Door, uid: u32) -> (usize, usize) {
        let taken = self.taken.borrow();
        let all = taken.iter().filter(|((at, _), _)| *at == door).map(|(_, count)| count).sum();
        (all, taken.get(&(door, uid)).copied().unwrap_or(0))
    }

    /// The figures now.
    pub fn stats(&self) -> ClientStats {
        let at = |door| connected(self.taken(door, NOBODY).0);
        let (connected, admins) = (at(Door::Judge), at(Door::Admin));
        ClientStats { connected, admins, ..self.figures.borrow().clone() }
    }

    /// How long ago somebody was turned away because all places, or all of its user, were taken.
    pub fn full_since(&self) -> Option<Duration> {
        self.full_at.get().map(|at| at.elapsed())
    }
}

fn counted(figures: &mut ClientStats, why: TurnedAway) -> TurnedAway {
    *figures.turned_away.entry(why.name().to_owned()).or_default() += 1;
    why
}

fn connected(seats: usize) -> u32 {
    u32::try_from(seats).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cynic_proto::access::Role;

    use super::*;
    use crate::access::{Access, Credentials, Roles};

    fn seats() -> Rc<Seats> {
        Rc::new(Seats::new(SeatLimits { clients_max: 4, clients_per_uid_max: 3 }))
    }

    fn peer(uid: u32) -> Peer {
        let roles =
            Access::default().roles(&Credentials { uid, gid: uid, groups: vec![] }, Door::Judge, 0);
        assert!(roles.has(Role::Judge));
        Peer { uid, pid: 1, roles }
    }

    #[test]
    fn who_is_turned_away_takes_no_place_and_is_counted_by_its_reason() {
        let seats = seats();
        let mut mine: Vec<_> =
            (0..3).map(|_| seats.take(Door::Judge, Some(peer(7))).unwrap()).collect();
        for _ in 0..10 {
            assert_eq!(
                seats.take(Door::Judge, Some(peer(7))).unwrap_err(),
                TurnedAway::UserShare(7, 3)
            );
        }
        let other =
            seats.take(Door::Judge, Some(peer(8))).expect("the share of the first leaves one");
        assert_eq!(seats.take(Door::Judge, Some(peer(9))).unwrap_err(), TurnedAway::ClientsMax(4));
        assert!(seats.take(Door::Admin, Some(peer(9))).is_ok(), "the other socket has its own");
        let nobody = Some(Peer { uid: 9, pid: 1, roles: Roles::default() });
        assert_eq!(seats.take(Door::Judge, nobody).unwrap_err(), TurnedAway::NoRole);
        let figures = seats.stats();
        assert_eq!(
            (figures.connected, figures.connected_max, figures.accepted, figures.max),
            (4, 4, 5, 4)
        );
        let turned_away = [("clients_max", 1), ("no_role", 1), ("user_share", 10)];
        let turned_away = turned_away.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(figures.turned_away, BTreeMap::from(turned_away));
        mine.clear();
        drop(other);
        assert_eq!(seats.stats().connected, 0);
        assert!(seats.take(Door::Judge, Some(peer(7))).is_ok());
    }

    #[test]
    fn users_together_leave_seats_to_others() {
        let limits = SeatLimits { clients_max: 1000, clients_per_uid_max: 750 };
        let seats = Rc::new(Seats::new(limits));
        let take_all = |uid| {
            let seats = std::iter::from_fn(|| seats.take(Door::Judge, Some(peer(uid))).ok());
            seats.collect::<Vec<_>>()
        };
        let taken: Vec<_> = (1..=4).map(take_all).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [750, 188, 47, 12]);
        // Alone with all of them, a user may have them all.
        let limits = SeatLimits { clients_max: 1000, clients_per_uid_max: 1000 };
        let seats = Rc::new(Seats::new(limits));
        let all: Vec<_> = (0..1000).map(|_| seats.take(Door::Judge, Some(peer(7)))).collect();
        assert!(all.iter().all(Result::is_ok));
    }

    #[test]
    fn only_so_many_are_told_why_at_once() {
        let seats = seats();
        let mut told: Vec<_> = std::iter::from_fn(|| seats.linger()).collect();
        assert_eq!(told.len(), TURNED_AWAY_MAX);
        told.pop();
        assert!(seats.linger().is_some());
    }

    #[test]
    fn a_flood_of_refusals_is_a_few_lines_and_hides_nobody_elses() {
        let (seats, start) = (seats(), Instant::now());
        let told = |uid, at: Duration| (0..1000).filter(|_| seats.tells(uid, start + at)).count();
        assert_eq!(told(1, Duration::ZERO), LINES_MAX as usize);
        assert_eq!(told(1, LINES_WINDOW / 2), 0);
        assert_eq!(told(2, LINES_WINDOW / 2), LINES_MAX as usize);
        assert_eq!(told(1, LINES_WINDOW), LINES_MAX as usize);
        for uid in 0..1_000_000 {
            seats.tells(uid, start);
        }
        assert!(seats.lines.borrow().len() <= LINES_USERS_MAX + 1);
    }
}
