//! What the user decides about a run that has ended: its edits are taken, dropped, or taken back.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::Runs;
use crate::agent::order::OrderError;
use crate::agent::outcome::{Outcome, Status};
use crate::agent::propose::{Courier, What};
use crate::agent::task;
use crate::ids::RunId;
use crate::metrics::Op;
use crate::paths::{WsPath, file_path};
use crate::trajectory::record::Decision;
use crate::workspace::{StagedFile, StagedKind};

/// Characters of a client's word that are repeated to it.
const REPEATED: usize = 200;

impl Runs {
    /// Takes a run's edits back, keeping what was typed since. Without a name: the last run that changed something.
    pub async fn revert(self: &Arc<Self>, run: Option<RunId>) -> Result<Outcome, OrderError> {
        let run = {
            let state = self.state();
            match run {
                Some(run) if state.runs.contains_key(&run) => run,
                Some(run) => return Err(OrderError::Run(format!("there is no run {run} that could be taken back"))),
                None => state
                    .order
                    .iter()
                    .rev()
                    .find(|run| state.runs.get(*run).is_some_and(|entry| entry.touched))
                    .cloned()
                    .ok_or_else(|| OrderError::Run("no run has changed anything that could be taken back".into()))?,
            }
        };
        self.redeliver(run, What::Undo, None).await
    }

    /// Applies the edits that a run in mode `preview` proposed: all of them, or those of some files, named as the
    /// outcome names them. The others go on waiting.
    pub async fn accept(self: &Arc<Self>, run: RunId, uris: Option<&[String]>) -> Result<Outcome, OrderError> {
        self.proposed(&run)?;
        let only = uris.map(|uris| self.chosen(&run, uris)).transpose()?;
        self.redeliver(run, What::Staged, only.as_ref()).await
    }

    /// Drops the edits that a run in mode `preview` proposed: all of them, or those of some files.
    pub fn reject(&self, run: &RunId, uris: Option<&[String]>) -> Result<(), OrderError> {
        let mut outcome = self.proposed(run)?;
        let these = uris.map(|uris| self.chosen(run, uris)).transpose()?;
        let (dropped, left): (Vec<_>, Vec<_>) = self
            .waiting(run, &HashSet::new())
            .into_iter()
            .partition(|file| these.as_ref().is_none_or(|these| these.contains(&file.path)));
        outcome.files.retain(|file| dropped.iter().all(|dropped| dropped.uri != file.uri));
        if !left.is_empty() {
            self.services.workspace.unstage(run, &dropped.iter().flat_map(paths).collect());
            self.keep(run, outcome, false);
            return Ok(());
        }
        self.services.workspace.end(run);
        let Some((thread, events, touched)) = ({
            let state = self.state();
            state.runs.get(run).map(|entry| (entry.thread.clone(), entry.events.clone(), entry.touched))
        }) else {
            return Ok(());
        };
        if touched {
            // Some of its files were accepted before; they can be taken back.
            outcome.status = Status::Applied;
            self.decided(run, &thread, &events, Decision::Accept, Some(&outcome));
            self.keep(run, outcome, true);
        } else {
            self.state().runs.remove(run);
            self.decided(run, &thread, &events, Decision::Reject, None);
        }
        Ok(())
    }

    /// The outcome of a run whose edits wait for a decision.
    fn proposed(&self, run: &RunId) -> Result<Outcome, OrderError> {
        let state = self.state();
        let entry = state.runs.get(run).ok_or_else(|| OrderError::Run(format!("there is no run {run}")))?;
        let outcome = entry.outcome.borrow().clone();
        match outcome {
            Some(outcome) if outcome.status == Status::Proposed => Ok((*outcome).clone()),
            _ => Err(OrderError::Run(format!("run {run} has no edits that wait for a decision"))),
        }
    }

    /// The staged files of these names, each by every path it has.
    fn chosen(&self, run: &RunId, uris: &[String]) -> Result<HashSet<WsPath>, OrderError> {
        if uris.is_empty() {
            return Err(OrderError::Run("`uris` names no file; leave it out to mean all of them".into()));
        }
        let staged = self.waiting(run, &HashSet::new());
        let mut chosen = HashSet::new();
        for uri in uris {
            let path = file_path(uri).and_then(|file| self.services.workspace.roots().of(&file));
            let named = |file: &&StagedFile| file.uri == *uri || path.as_ref() == Some(&file.path);
            let file = staged.iter().find(named).ok_or_else(|| {
                let uri: String = uri.chars().take(REPEATED).collect();
                OrderError::Run(format!("run {run} has no edits of {uri} that wait for a decision"))
            })?;
            chosen.extend(paths(file));
        }
        Ok(chosen)
    }

    /// What a run wants of files other than `these`.
    fn waiting(&self, run: &RunId, these: &HashSet<WsPath>) -> Vec<StagedFile> {
        let mut staged = self.services.workspace.staged(run);
        staged.retain(|file| !these.contains(&file.path) && task::changes(file));
        staged
    }

    async fn redeliver(
        self: &Arc<Self>,
        run: RunId,
        what: What,
        only: Option<&HashSet<WsPath>>,
    ) -> Result<Outcome, OrderError> {
        let (before, cancel, title, events) = {
            let state = self.state();
            let entry = state.runs.get(&run).ok_or_else(|| OrderError::Run(format!("there is no run {run}")))?;
            let outcome = entry.outcome.borrow().clone();
            let outcome =
                outcome.ok_or_else(|| OrderError::Run(format!("run {run} has not ended yet; cancel it first")))?;
            (outcome, self.closing.child_token(), entry.title.clone(), entry.events.clone())
        };
        let label = match what {
            What::Staged => title,
            What::Undo => format!("Take back: {title}"),
        };
        let courier = Courier {
            services: &self.services,
            run: &run,
            events: &events,
            label,
            confirm: false,
            what,
            only,
            cancel: &cancel,
        };
        let delivered = courier.deliver(self.services.metrics.begin(Op::Propose)).await;
        let outcome = task::judge((*before).clone(), delivered, what);
        // The run as a whole: with what was accepted of it before, and with what goes on waiting.
        let mut whole = outcome.clone();
        if what == What::Staged {
            whole.files.clone_from(&before.files);
            whole.files.retain(|file| outcome.files.iter().all(|now| now.uri != file.uri));
            whole.files.extend(outcome.files.iter().cloned());
        }
        let waits = only.is_some_and(|these| !self.waiting(&run, these).is_empty());
        if waits {
            // Nothing is recorded as decided before all is: the next session offers what was left.
            whole = Outcome { status: Status::Proposed, error: None, ..whole };
        } else {
            let decision = if what == What::Undo { Decision::Revert } else { Decision::Accept };
            self.decided(&run, &outcome.thread_id, &events, decision, Some(&whole));
        }
        self.keep(&run, whole, what == What::Staged && outcome.status != Status::Failed);
        if what == What::Undo
            && let Some(entry) = self.state().runs.get_mut(&run)
        {
            entry.touched = false;
        }
        self.services.host.status_changed();
        Ok(outcome)
    }

    /// Remembers how a run stands now, and whether it has changed something.
    fn keep(&self, run: &RunId, outcome: Outcome, touched: bool) {
        let mut state = self.state();
        let Some(entry) = state.runs.get_mut(run) else { return };
        entry.touched |= touched;
        entry.outcome = watch::channel(Some(Arc::new(outcome))).1;
    }
}

/// The names of a staged file on both sides.
fn paths(file: &StagedFile) -> impl Iterator<Item = WsPath> {
    let from = match &file.kind {
        StagedKind::Renamed { from } => Some(from.clone()),
        StagedKind::Edited | StagedKind::Created | StagedKind::Deleted => None,
    };
    std::iter::once(file.path.clone()).chain(from)
}
