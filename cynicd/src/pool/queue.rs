//! The tasks that wait: two lanes, within each lane a turn for every user, and within a user's turn one for every client.
//! Who has killed workers lets the others go first for a while.
//!
//! Knows ids and sizes only. Never decides whether a task may wait (see `admission`) or who runs it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use cynic_proto::ids::TaskId;
use cynic_proto::message::Lane;

use super::pauses::{Pauses, Who};

/// Whose turn it is: one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// Where a task waits, so that it can be taken out again without a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    lane: Lane,
    uid: u32,
    client: ClientId,
    order: i64,
}

/// While both lanes wait, every so-many-th dispatch is a bulk one: keeps bulk moving under a steady
/// interactive load and costs an interactive task at most one chunk's delay.
const BULK_TURN: u32 = 16;

/// Who is to be served next in a lane: places in line.
#[derive(Debug, Clone, Copy, Default)]
struct Next {
    /// Whether the user, and the client, should let others go first.
    pauses: (bool, bool),
    user: usize,
    client: usize,
}

/// The tasks of one user in one lane.
#[derive(Debug, Default)]
struct UserQueue {
    /// Each client's tasks in order; a client without tasks is not here.
    clients: BTreeMap<ClientId, BTreeMap<i64, TaskId>>,
    /// Clients with tasks, next first.
    turns: VecDeque<ClientId>,
}

/// The tasks of one lane.
#[derive(Debug, Default)]
struct LaneQueue {
    /// By user id; a user without tasks is not here.
    users: BTreeMap<u32, UserQueue>,
    /// Users with tasks, next first.
    turns: VecDeque<u32>,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    interactive: LaneQueue,
    bulk: LaneQueue,
    /// Tasks that waited before others came in get lower numbers; those put back in front get negative ones.
    next_back: i64,
    next_front: i64,
    /// Interactive dispatches since the last bulk one.
    since_bulk: u32,
    pauses: Pauses,
}

impl UserQueue {
    fn next_len(&self, nth: usize) -> Option<usize> {
        let client = self.turns.get(nth)?;
        self.clients.get(client).map(BTreeMap::len)
    }
}

/// Puts one that has tasks now in line.
fn line_up<T>(turns: &mut VecDeque<T>, who: T, at_front: bool) {
    if at_front {
        turns.push_front(who);
    } else {
        turns.push_back(who);
    }
}

/// Whose turn it was goes to the end of the line, or leaves it.
fn pass_turn<T>(turns: &mut VecDeque<T>, nth: usize, stays: bool) {
    let had_turn = turns.remove(nth);
    turns.extend(had_turn.filter(|_| stays));
}

impl LaneQueue {
    fn insert(&mut self, place: Place, task: TaskId, at_front: bool) {
        let user = self.users.entry(place.uid).or_default();
        if user.turns.is_empty() {
            line_up(&mut self.turns, place.uid, at_front);
        }
        let tasks = user.clients.entry(place.client).or_default();
        if tasks.is_empty() {
            line_up(&mut user.turns, place.client, at_front);
        }
        tasks.insert(place.order, task);
    }

    fn remove(&mut self, place: Place) -> Option<TaskId> {
        let user = self.users.get_mut(&place.uid)?;
        let tasks = user.clients.get_mut(&place.client)?;
        let task = tasks.remove(&place.order)?;
        if tasks.is_empty() {
            user.clients.remove(&place.client);
            user.turns.retain(|client| *client != place.client);
        }
        if user.turns.is_empty() {
            self.users.remove(&place.uid);
            self.turns.retain(|uid| *uid != place.uid);
        }
        Some(task)
    }

    /// Who is next: the first in line that need not pause; if all do, one whose user need not, then anybody.
    fn next(&self, pauses: &Pauses) -> Option<Next> {
        if pauses.is_empty() {
            return (!self.turns.is_empty()).then_some(Next::default());
        }
        let of_user = |(user, uid): (usize, &u32)| {
            let user_pauses = pauses.holds(Who::User(*uid));
            let clients = self.users.get(uid)?.turns.iter().enumerate();
            let ranked = clients.map(|(client, id)| Next {
                pauses: (user_pauses, pauses.holds(Who::Client(*id))),
                user,
                client,
            });
            ranked.min_by_key(|next| next.pauses)
        };
        self.turns.iter().enumerate().filter_map(of_user).min_by_key(|next| next.pauses)
    }

    fn take(&mut self, next: Next, mut wants: impl FnMut(TaskId) -> bool) -> Vec<TaskId> {
        let mut taken = Vec::new();
        let Some(uid) = self.turns.get(next.user).copied() else { return taken };
        let Some(user) = self.users.get_mut(&uid) else { return taken };
        let Some(client) = user.turns.get(next.client).copied() else { return taken };
        let Some(tasks) = user.clients.get_mut(&client) else { return taken };
        while let Some(first) = tasks.first_entry() {
            if !wants(*first.get()) {
                break;
            }
            taken.push(first.remove());
        }
        let more = !tasks.is_empty();
        if !more {
            user.clients.remove(&client);
        }
        pass_turn(&mut user.turns, next.client, more);
        let more = !user.turns.is_empty();
        if !more {
            self.users.remove(&uid);
        }
        pass_turn(&mut self.turns, next.user, more);
        taken
    }
}

impl Queue {
    /// Puts a task at the end of its client's line.
    pub(super) fn push(&mut self, lane: Lane, uid: u32, client: ClientId, task: TaskId) -> Place {
        self.next_back += 1;
        self.insert(Place { lane, uid, client, order: self.next_back }, task, false)
    }

    /// Puts a task that had been dispatched back in front of its client's line.
    pub(super) fn push_front(
        &mut self,
        lane: Lane,
        uid: u32,
        client: ClientId,
        task: TaskId,
    ) -> Place {
        self.next_front -= 1;
        self.insert(Place { lane, uid, client, order: self.next_front }, task, true)
    }

    fn insert(&mut self, place: Place, task: TaskId, at_front: bool) -> Place {
        self.lane_mut(place.lane).insert(place, task, at_front);
        place
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, place: Place) -> Option<TaskId> {
        self.lane_mut(place.lane).remove(place)
    }

    /// A worker died over a task of this client: the others go first for a while.
    pub(super) fn charge(&mut self, uid: u32, client: ClientId, now: Instant) {
        let lanes = || [&self.interactive, &self.bulk].into_iter();
        let users =
            lanes().map(|lane| lane.users.len() - usize::from(lane.users.contains_key(&uid)));
        let clients = lanes()
            .filter_map(|lane| lane.users.get(&uid))
            .map(|user| user.clients.len() - usize::from(user.clients.contains_key(&client)));
        let (users, clients) = (users.sum(), clients.sum());
        self.pauses.charge(Who::User(uid), users, now);
        self.pauses.charge(Who::Client(client), clients, now);
    }

    /// Ends the pauses that are over.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        self.pauses.pass(now);
    }

    /// Whether workers died lately over tasks of this client, or of its user: others go first.
    pub(super) fn pauses(&self, uid: u32, client: ClientId) -> bool {
        self.pauses.holds(Who::User(uid)) || self.pauses.holds(Who::Client(client))
    }

    /// Whether a task of this client may go before those that wait.
    pub(super) fn may_go(&self, uid: u32, client: ClientId) -> bool {
        let nobody_waits = self.interactive.turns.is_empty() && self.bulk.turns.is_empty();
        nobody_waits || !self.pauses(uid, client)
    }

    /// The lane that is to be served next; `None` when nothing waits but in a lane that is held back.
    pub(super) fn next_lane(&self, held_back: impl Fn(Lane) -> bool) -> Option<Lane> {
        let next = |lane| self.lane(lane).next(&self.pauses).filter(|_| !held_back(lane));
        match (next(Lane::Interactive), next(Lane::Bulk)) {
            (None, None) => None,
            (None, Some(_)) => Some(Lane::Bulk),
            (Some(one), Some(other)) if one.pauses > other.pauses => Some(Lane::Bulk),
            (Some(one), Some(other))
                if one.pauses == other.pauses && self.since_bulk >= BULK_TURN =>
            {
                Some(Lane::Bulk)
            }
            (Some(_), _) => Some(Lane::Interactive),
        }
    }

    /// Takes tasks of the client whose turn it is, in order, for as long as `wants` says so; then it is the next user's turn,
    /// and of this one's clients the next one's.
    pub(super) fn take(&mut self, lane: Lane, wants: impl FnMut(TaskId) -> bool) -> Vec<TaskId> {
        match lane {
            Lane::Interactive => self.since_bulk = self.since_bulk.saturating_add(1),
            Lane::Bulk => self.since_bulk = 0,
        }
        let next = self.lane(lane).next(&self.pauses).unwrap_or_default();
        self.lane_mut(lane).take(next, wants)
    }

    /// How many tasks the client has whose turn it is in a lane, and the one whose turn comes then, if there is another.
    pub(super) fn waiting(&self, lane: Lane) -> (usize, Option<usize>) {
        let queue = self.lane(lane);
        let Some(next) = queue.next(&self.pauses) else { return (0, None) };
        let user = |nth: usize| queue.turns.get(nth).and_then(|uid| queue.users.get(uid));
        let first_but = |nth: usize| usize::from(nth == 0);
        let served = user(next.user);
        let then = match user(first_but(next.user)) {
            Some(other) => other.next_len(0),
            None => served.and_then(|user| user.next_len(first_but(next.client))),
        };
        (served.and_then(|user| user.next_len(next.client)).unwrap_or(0), then)
    }

    /// How many clients have tasks in a lane.
    pub(super) fn clients(&self, lane: Lane) -> usize {
        self.lane(lane).users.values().map(|user| user.turns.len()).sum()
    }

    /// How many tasks a client has in a lane.
    pub(super) fn len_of(&self, lane: Lane, uid: u32, client: ClientId) -> usize {
        let user = self.lane(lane).users.get(&uid);
        user.and_then(|user| user.clients.get(&client)).map_or(0, BTreeMap::len)
    }

    /// Every task that waits, in no particular order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = TaskId> {
        let users =
            [&self.interactive, &self.bulk].into_iter().flat_map(|lane| lane.users.values());
        users.flat_map(|user| user.clients.values().flat_map(BTreeMap::values)).copied()
    }

    fn lane(&self, lane: Lane) -> &LaneQueue {
        match lane {
            Lane::Interactive => &self.interactive,
            Lane::Bulk => &self.bulk,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut LaneQueue {
        match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u32 = 1000;
    const A: ClientId = ClientId(1);
    const B: ClientId = ClientId(2);

    fn drain(queue: &mut Queue) -> Vec<u128> {
        let mut order = Vec::new();
        while let Some(lane) = queue.next_lane(|_| false) {
            let mut one = true;
            order.extend(queue.take(lane, |_| std::mem::take(&mut one)).into_iter().map(|t| t.0));
        }
        order
    }

    #[test]
    fn clients_take_turns_whatever_they_pile_up() {
        let mut queue = Queue::default();
        for task in [1, 2, 3, 4] {
            queue.push(Lane::Interactive, USER, A, TaskId(task));
        }
        queue.push(Lane::Interactive, USER, B, TaskId(10));
        queue.push(Lane::Interactive, USER, B, TaskId(11));
        assert_eq!(drain(&mut queue), [1, 10, 2, 11, 3, 4]);
    }

    #[test]
    fn users_take_turns_however_many_clients_they_have() {
        let mut queue = Queue::default();
        for task in 1..=4 {
            queue.push(Lane::Interactive, USER, ClientId(task), TaskId(task.into()));
        }
        queue.push(Lane::Interactive, 7, ClientId(5), TaskId(10));
        queue.push(Lane::Interactive, 7, ClientId(5), TaskId(11));
        assert_eq!(queue.clients(Lane::Interactive), 5);
        assert_eq!(drain(&mut queue), [1, 10, 2, 11, 3, 4]);
    }

    #[test]
    fn who_killed_a_worker_lets_the_others_go_first_in_either_lane() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for task in [1, 2, 3] {
            queue.push(Lane::Interactive, USER, A, TaskId(task));
            queue.push(Lane::Interactive, USER, B, TaskId(10 + task));
        }
        queue.push(Lane::Bulk, 7, ClientId(3), TaskId(20));
        queue.push(Lane::Bulk, USER, B, TaskId(21));
        queue.charge(USER, A, now);
        assert!(!queue.may_go(USER, A) && !queue.may_go(USER, B));
        assert!(queue.may_go(7, ClientId(3)));
        let mut order = Vec::new();
        while let Some(lane) = queue.next_lane(|_| false) {
            let mut one = true;
            order.extend(queue.take(lane, |_| std::mem::take(&mut one)).into_iter().map(|t| t.0));
        }
        // The other user first, though in the bulk lane; then the user's other client; who killed comes last.
        assert_eq!(order, [20, 11, 12, 13, 21, 1, 2, 3]);
        assert!(queue.may_go(USER, A), "nobody is left who could go first");
    }

    #[test]
    fn who_killed_a_worker_has_its_turn_again_after_the_pause() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(Lane::Interactive, USER, A, TaskId(1));
        queue.push(Lane::Interactive, USER, B, TaskId(2));
        queue.charge(USER, A, now);
        queue.end_pauses(now);
        assert!(!queue.may_go(USER, A));
        queue.end_pauses(now + std::time::Duration::from_secs(1));
        assert!(queue.may_go(USER, A));
        assert_eq!(queue.take(Lane::Interactive, |_| true), [TaskId(1)]);
    }

    #[test]
    fn interactive_goes_first_and_bulk_is_not_starved() {
        let mut queue = Queue::default();
        queue.push(Lane::Bulk, USER, A, TaskId(0));
        for task in 1..=40 {
            queue.push(Lane::Interactive, USER, B, TaskId(task));
        }
        let order = drain(&mut queue);
        assert_eq!(order.iter().position(|t| *t == 0), Some(BULK_TURN as usize));
    }

    #[test]
    fn what_is_put_back_goes_first_and_what_is_removed_is_gone() {
        let mut queue = Queue::default();
        let first = queue.push(Lane::Bulk, USER, A, TaskId(1));
        queue.push(Lane::Bulk, USER, A, TaskId(2));
        queue.push_front(Lane::Bulk, USER, A, TaskId(3));
        assert_eq!(queue.remove(first), Some(TaskId(1)));
        assert_eq!(queue.remove(first), None);
        assert_eq!(drain(&mut queue), [3, 2]);
        assert_eq!(queue.clients(Lane::Bulk), 0);
    }

    #[test]
    fn who_waits_is_who_is_served_though_another_is_first_in_line() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for task in 1..=5 {
            queue.push(Lane::Bulk, USER, A, TaskId(task));
        }
        assert_eq!(queue.waiting(Lane::Bulk), (5, None));
        queue.push(Lane::Bulk, USER, B, TaskId(10));
        assert_eq!(queue.waiting(Lane::Bulk), (5, Some(1)));
        queue.charge(USER, A, now);
        assert_eq!(queue.waiting(Lane::Bulk), (1, Some(5)));
        queue.push(Lane::Bulk, USER + 1, ClientId(3), TaskId(11));
        queue.push(Lane::Bulk, USER + 1, ClientId(3), TaskId(12));
        assert_eq!(queue.waiting(Lane::Bulk), (1, Some(2)), "then it is another user's turn");
        assert_eq!(queue.take(Lane::Bulk, |_| true), [TaskId(10)]);
    }

    #[test]
    fn a_chunk_comes_from_one_client() {
        let mut queue = Queue::default();
        for task in 1..=3 {
            queue.push(Lane::Bulk, USER, A, TaskId(task));
            queue.push(Lane::Bulk, USER, B, TaskId(10 + task));
        }
        let chunk = queue.take(Lane::Bulk, |_| true);
        assert_eq!(chunk, [TaskId(1), TaskId(2), TaskId(3)]);
    }
}
