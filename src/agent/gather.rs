//! What the model would ask for first, looked up before it is asked: so that a run does not begin with the same three
//! reads each time.
//!
//! A run that starts at a place gets, beside the lines around it: the function and the class it is in (`region`), what
//! the names there mean (`definitions`: in the same file, in the editor's other buffers, in files that are imported, in
//! files of a list that a search has left behind), what the editor says is wrong there and nearby, and what the user
//! changed lately (`neighbours`). `piece` ranks it, keeps it within a budget and puts it into words.
//!
//! It must never be waited for. A few tasks work beside each other on blocking threads; what is not ready in time is
//! left out, and the tasks are told to stop. What `reach` may not read without a question is never taken.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::prompt::Subject;
use super::services::Services;
use crate::config::Config;
use crate::syntax::Parses;
use crate::text::Text;
use crate::tools::diagnostics::Diagnostics;
use crate::tools::kept::Lists;
use crate::tools::tool::Cancel;
use crate::workspace::{Document, Workspace};

mod definitions;
mod imports;
mod listed;
mod neighbours;
pub mod outlines;
mod piece;
mod reach;
mod region;
#[cfg(test)]
mod tests;

pub use self::piece::{Piece, Section, told};

use self::outlines::Outlines;
use self::reach::Reach;

/// Pieces at most: a budget has room for some dozens.
const PIECES: usize = 500;

/// Where a run starts and what its prompt shows of it anyway.
pub struct Place {
    /// The file and the range.
    pub subject: Subject,
    /// Lines (from 0) of the file that the prompt shows.
    pub shown: Range<usize>,
    /// Messages of diagnostics that the prompt names.
    pub named: Vec<String>,
}

/// All that a lookup works with; shared by its tasks.
pub struct Gather {
    place: Place,
    workspace: Arc<Workspace>,
    /// The other documents that are open, the one changed last first.
    others: Vec<Arc<Document>>,
    diagnostics: Arc<Diagnostics>,
    lists: Lists,
    parses: Arc<Parses>,
    outlines: Arc<Outlines>,
    reach: Reach,
    /// How long a list of files is kept after its last use.
    keep: Duration,
    stop: Cancel,
    basket: Mutex<Vec<Piece>>,
}

impl Gather {
    /// A lookup for a place. Takes what is open now.
    pub fn new(services: &Services, config: &Arc<Config>, parses: Arc<Parses>, place: Place) -> Arc<Self> {
        let mut others: Vec<Arc<Document>> = services.workspace.documents().values().cloned().collect();
        others.sort_by_key(|document| std::cmp::Reverse(document.changed));
        Arc::new(Self {
            place,
            workspace: services.workspace.clone(),
            others,
            diagnostics: services.diagnostics.clone(),
            lists: services.lists.clone(),
            parses,
            outlines: if config.tools.cache_ttl_ms > 0 { services.outlines.clone() } else { Arc::default() },
            reach: Reach::new(config.clone()),
            keep: Duration::from_millis(config.tools.cache_ttl_ms),
            stop: Cancel::new(),
            basket: Mutex::default(),
        })
    }

    /// Looks up what it can until `late` resolves, then gives what there is.
    pub async fn until(self: Arc<Self>, late: impl Future<Output = ()>) -> Vec<Piece> {
        let work = async {
            let names = async {
                let Some(look) = self.task(|this| this.look()).await.flatten().map(Arc::new) else { return };
                let (open, imported) = (look.clone(), look.clone());
                tokio::join!(
                    self.task(move |this| this.define_from_open(&open)),
                    self.task(move |this| this.define_from_imports(&imported)),
                );
                // Only for what nobody knows yet.
                self.task(move |this| this.define_from_lists(&look)).await;
            };
            tokio::join!(names, self.task(|this| this.look_around()));
        };
        tokio::select! {
            biased;
            () = late => {}
            () = work => {}
        }
        self.stop.cancel();
        std::mem::take(&mut *self.basket.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Work on a blocking thread; `None` if it came to nothing.
    async fn task<T: Send + 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + Send + 'static) -> Option<T> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || (!this.stopped()).then(|| work(&this))).await.ok().flatten()
    }

    fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn put(&self, piece: Piece) {
        let mut basket = self.basket.lock().unwrap_or_else(PoisonError::into_inner);
        // What comes late is for nobody.
        if !self.stopped() && basket.len() < PIECES {
            basket.push(piece);
        }
    }

    /// Whether lines of a text are in the prompt anyway.
    fn is_shown(&self, text: &Text, lines: &Range<usize>) -> bool {
        let shown = &self.place.shown;
        text.same(&self.place.subject.text) && shown.start <= lines.start && lines.end <= shown.end
    }
}
