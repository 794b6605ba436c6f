//! Reading ahead for one run: what it guesses, and when.
//!
//! Guesses are handed over when the model begins to speak and when a file has been shown in part; the scheduler runs
//! them when nothing else wants to. `agent.prefetch = false` turns it off, and nothing but the speed changes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::permit::Permit;
use super::prompt::{self, Subject};
use super::run::Plan;
use super::services::Services;
use crate::tools::ahead::{self, Allowance, Guess, MayRead};
use crate::tools::output::Output;
use crate::tools::scheduler::{Class, Submission, Ticket};
use crate::tools::tool::Cancel;

/// Bytes of files that one run reads ahead.
const ALLOWANCE: u64 = 8 << 20;

/// Guesses of one run; a run that has had more is not foreseeable.
const GUESSES: usize = 64;

/// A fetch that hangs longer than this is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a run about this will ask for before it has said a word.
pub(super) fn guesses(subject: Option<&Subject>) -> Vec<Guess> {
    let about = |subject: &Subject| {
        let path = subject.path.clone();
        // A short file is shown whole in the prompt.
        let whole = Guess::Lines { path: path.clone(), first: 1, limit: None };
        let whole = (subject.text.lines() > prompt::WHOLE).then_some(whole);
        whole.into_iter().chain([Guess::ImportsOf(path)])
    };
    subject.into_iter().flat_map(about).chain([Guess::Diagnosed]).collect()
}

/// What one run reads ahead. Dropping it cancels what is under way.
#[derive(Default)]
pub(super) struct Prefetch {
    /// `None`: nothing is read ahead.
    on: Option<On>,
    under_way: FuturesUnordered<Ticket>,
}

struct On {
    may_read: MayRead,
    allowance: Allowance,
    had: Vec<Guess>,
    cancel: Cancel,
}

impl Prefetch {
    /// For a run with this plan.
    pub(super) fn new(plan: &Plan, permit: &Permit) -> Self {
        let config = &plan.config;
        let offered = plan.tools.specs().iter().any(|spec| spec.name == "read_file");
        // With one slot all is to happen strictly in turn.
        if !config.agent.prefetch || config.tools.parallel() == 1 || !offered || !plan.context.results.is_on() {
            return Self::default();
        }
        let permit = permit.clone();
        let may_read: MayRead = Arc::new(move |path| permit.may_read(path));
        let on = On { may_read, allowance: Allowance::new(ALLOWANCE), had: Vec::new(), cancel: Cancel::new() };
        Self { on: Some(on), under_way: FuturesUnordered::new() }
    }

    /// Hands over what is guessed, once each.
    pub(super) fn guess(&mut self, services: &Services, plan: &Plan, guesses: &[Guess]) {
        let Some(on) = &mut self.on else { return };
        let fresh: Vec<Guess> = guesses.iter().filter(|guess| !on.had.contains(guess)).cloned().collect();
        if fresh.is_empty() || on.had.len() + fresh.len() > GUESSES {
            return;
        }
        on.had.extend(fresh.iter().cloned());
        let (may_read, allowance) = (on.may_read.clone(), on.allowance.clone());
        let Some(planned) = ahead::fetch(&plan.context, fresh, may_read, allowance) else { return };
        let submission = Submission {
            run: plan.run.clone(),
            tool: Arc::from("read_file"),
            planned,
            deadline: PATIENCE,
            cancel: on.cancel.clone(),
            gate: None,
            on_start: None,
        };
        self.under_way.push(services.scheduler.submit_as(Class::Ahead, submission));
    }

    /// A result is there: where it shows a file in part, the next part is likely to be asked for.
    pub(super) fn shown(&mut self, services: &Services, plan: &Plan, output: &Output) {
        let Some(excerpt) = output.excerpt() else { return };
        if excerpt.lines.end < excerpt.total && !excerpt.lines.is_empty() {
            let first = excerpt.lines.end as u64 + 1;
            self.guess(
                services,
                plan,
                &[Guess::Lines { path: excerpt.path.clone(), first, limit: Some(excerpt.limit) }],
            );
        }
    }

    /// Whether something is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Keeps the deadlines of what is under way; resolves when one of it has ended.
    pub(super) async fn progress(&mut self) {
        self.under_way.next().await;
    }
}
