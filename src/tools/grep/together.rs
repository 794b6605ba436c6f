//! Greps that come at the same time share one pass over the files.
//!
//! A call that lacks only a slot takes a seat. The first one that runs leads: it takes along all that pass the same
//! files. Those that come just after it began are taken along, too: it begins again with them, which costs little so
//! early; later ones look for themselves. Each gets what it would have found alone, and has its own limits; a call
//! whose leader goes away becomes one itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Arguments;
use super::look::{Asked, look};
use crate::paths::{WsPath, beneath};
use crate::tools::tool::{Cancel, ToolContext, ToolError, ToolResult};

/// Most calls in one pass.
const MOST: usize = 16;

/// Most calls that have a seat; more look for themselves.
const SEATS: usize = 256;

/// Portions of files after which nobody is taken along any more: some milliseconds of work.
const YOUNG: usize = 64;

/// How often a call that waits looks whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(20);

/// Where the greps of one run meet. A copy is the same place.
#[derive(Clone, Debug)]
pub struct Together(Option<Arc<Board>>);

impl Together {
    /// A place to meet.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// No such place: each grep passes the files by itself.
    pub fn never() -> Self {
        Self(None)
    }

    pub(super) fn guest(&self, bases: Vec<WsPath>, arguments: Arguments) -> Guest {
        Guest { board: self.0.clone(), asked: Arc::new(Asked { bases, arguments, left: AtomicBool::new(false) }) }
    }
}

impl Default for Together {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Default)]
struct Board {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct State {
    seats: Vec<Seat>,
    /// Leaders that still take others along.
    young: Vec<Arc<Asked>>,
}

#[derive(Debug)]
struct Seat {
    asked: Arc<Asked>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Free,
    /// A leader looks for it.
    Taken,
    /// What was found, and when.
    Done(ToolResult, Option<Sight>),
}

/// What a search saw: equal sights, equal results.
type Sight = Vec<(u64, u64)>;

/// A call that may share its work.
#[derive(Debug)]
pub(super) struct Guest {
    board: Option<Arc<Board>>,
    asked: Arc<Asked>,
}

impl Guest {
    /// To be called once the call lacks only a slot.
    pub(super) fn ready(&self) -> impl FnOnce() + Send + use<> {
        let (board, asked) = (self.board.clone(), Arc::downgrade(&self.asked));
        move || {
            if let (Some(board), Some(asked)) = (board, asked.upgrade()) {
                let mut state = board.lock();
                if state.seats.len() < SEATS && !asked.left.load(Ordering::Relaxed) {
                    state.seats.push(Seat { asked, place: Place::Free });
                }
            }
        }
    }

    /// The result of the call.
    pub(super) fn run(self, context: &ToolContext, cancel: &Cancel) -> ToolResult {
        let Some(board) = self.board.clone() else { return alone(context, &self.asked, cancel) };
        let mut state = board.lock();
        loop {
            let Some(at) = state.seats.iter().position(|seat| Arc::ptr_eq(&seat.asked, &self.asked)) else {
                drop(state);
                return alone(context, &self.asked, cancel);
            };
            let follows = match state.seats[at].place {
                Place::Taken => true,
                Place::Free => state.young.iter().any(|leader| leader.is_like(&self.asked)),
                Place::Done(..) => {
                    let Place::Done(result, sight) = state.seats.swap_remove(at).place else { continue };
                    drop(state);
                    return as_of_now(context, &self.asked, result, sight);
                }
            };
            if !follows {
                state.seats[at].place = Place::Taken;
                state.young.push(self.asked.clone());
                drop(state);
                return lead(&board, context, &self.asked, cancel);
            }
            if cancel.is_cancelled() {
                drop(state);
                return Err(ToolError::for_model("cancelled"));
            }
            state = board.told.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.asked.left.store(true, Ordering::Relaxed);
        if let Some(board) = &self.board {
            board.lock().seats.retain(|seat| !Arc::ptr_eq(&seat.asked, &self.asked));
        }
    }
}

fn alone(context: &ToolContext, asked: &Asked, cancel: &Cancel) -> ToolResult {
    let found = look(context, &[asked], cancel, &|_| false)?;
    found.and_then(|mut results| results.pop()).unwrap_or_else(|| Err(ToolError::for_model("cancelled")))
}

/// A result that was found before the call began must not be remembered as what the call saw, unless it is the same.
fn as_of_now(context: &ToolContext, asked: &Asked, result: ToolResult, then: Option<Sight>) -> ToolResult {
    if then.is_some() && then == sight(context, asked) { result } else { result.map(|output| output.hurry()) }
}

fn sight(context: &ToolContext, asked: &Asked) -> Option<Sight> {
    let upsets = context.results.upsets();
    let of = |base: &WsPath| {
        let base = beneath::real(base).ok()?;
        let clock = context.lists.generation(&base)?;
        Some((clock, context.workspace.overlay_stamp(Some(&context.run), &base, true)))
    };
    let sights = asked.bases.iter().map(of);
    sights.chain(std::iter::once(Some((upsets, 0)))).collect()
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that looks for others, too. However it ends, they are told.
struct Leader<'a> {
    board: &'a Board,
    asked: &'a Arc<Asked>,
    others: Vec<Arc<Asked>>,
}

fn lead(board: &Board, context: &ToolContext, asked: &Arc<Asked>, cancel: &Cancel) -> ToolResult {
    let mut leader = Leader { board, asked, others: Vec::new() };
    loop {
        leader.take_along();
        let sight = sight(context, asked);
        let all: Vec<&Asked> = std::iter::once(asked).chain(&leader.others).map(|asked| &**asked).collect();
        let Some(results) = look(context, &all, cancel, &|portion| leader.waits_for_more(portion))? else {
            continue;
        };
        let mut results = results.into_iter();
        let own = results.next();
        leader.tell(results, sight.as_ref());
        return own.unwrap_or_else(|| Err(ToolError::for_model("cancelled")));
    }
}

impl Leader<'_> {
    fn take_along(&mut self) {
        let mut state = self.board.lock();
        for seat in &mut state.seats {
            if 1 + self.others.len() < MOST && matches!(seat.place, Place::Free) && seat.asked.is_like(self.asked) {
                seat.place = Place::Taken;
                self.others.push(seat.asked.clone());
            }
        }
    }

    /// Whether others have come since, so that it is best to begin again.
    fn waits_for_more(&self, portion: usize) -> bool {
        if portion > YOUNG {
            return false;
        }
        let mut state = self.board.lock();
        if portion == YOUNG {
            self.grow_up(&mut state);
            return false;
        }
        1 + self.others.len() < MOST
            && state.seats.iter().any(|seat| matches!(seat.place, Place::Free) && seat.asked.is_like(self.asked))
    }

    fn grow_up(&self, state: &mut State) {
        state.young.retain(|leader| !Arc::ptr_eq(leader, self.asked));
        self.board.told.notify_all();
    }

    fn tell(&mut self, results: impl Iterator<Item = ToolResult>, sight: Option<&Sight>) {
        let mut state = self.board.lock();
        for (asked, result) in self.others.drain(..).zip(results) {
            // Nobody sits there any more if the call was cancelled.
            if let Some(seat) = state.seats.iter_mut().find(|seat| Arc::ptr_eq(&seat.asked, &asked)) {
                seat.place = Place::Done(result, sight.cloned());
            }
        }
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut state = self.board.lock();
        for asked in &self.others {
            if let Some(seat) = state.seats.iter_mut().find(|seat| Arc::ptr_eq(&seat.asked, asked)) {
                seat.place = Place::Free;
            }
        }
        self.grow_up(&mut state);
    }
}
