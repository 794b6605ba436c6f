//! Asking the user about a call, and remembering what they said for as long as they said.
//!
//! One question of a run stands at a time: an answer that covers the calls behind it spares their questions. A no is
//! remembered until the run ends, so that a model cannot ask until somebody gives in.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::events::{Events, RunPhase};
use crate::config::EnvSnapshot;
use crate::host::{EventKind, Host, Notice, Question};
use crate::ids::RunId;
use crate::tools::command::Programs;
use crate::tools::policy::{Lasting, Remembered};

/// The buttons, as the contract names them.
const ONCE: &str = "Allow once";
const RUN: &str = "Allow for this run";
const ALWAYS: &str = "Always allow";
const DENY: &str = "Deny";
/// How long a question waits for its answer: nobody is there any more, and a run should not live for ever.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Most answers that are kept for one run, and most that are kept until the server ends.
const MAX_KEPT: usize = 1000;

/// What the user has allowed. A copy is the same memory.
#[derive(Clone, Debug, Default)]
pub struct Approvals(Arc<Memory>);

#[derive(Debug, Default)]
struct Memory {
    answers: Mutex<Answers>,
    remembered: Remembered,
    programs: Programs,
}

#[derive(Debug, Default)]
struct Answers {
    /// Questions that were answered for good, until the server ends.
    always: HashSet<String>,
    runs: HashMap<RunId, OfRun>,
}

/// What was answered in one run.
#[derive(Debug, Default)]
struct OfRun {
    allowed: HashSet<String>,
    refused: HashSet<String>,
    /// Held by whose question stands.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What is to be asked.
#[derive(Clone, Debug)]
pub struct Matter {
    /// All that the user needs to know, escaped.
    pub message: String,
    /// What a yes for this run covers, and what a no does.
    pub key: String,
    /// What a yes for good covers.
    pub good: Good,
}

/// What a yes for good covers.
#[derive(Clone, Debug)]
pub enum Good {
    /// It is not offered.
    Not,
    /// The same as for this run, until the server ends.
    Session,
    /// This, and it is kept in the user's state directory.
    Stored(Lasting),
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may run.
    Yes,
    /// It must not, or nobody answered.
    No,
    /// The user has said no to the same call in this run; they were not asked again.
    NoBefore,
}

impl Approvals {
    /// With what was allowed for good, in the state directory of this environment, and programs of its `PATH`.
    pub fn new(env: &EnvSnapshot) -> Self {
        Self(Arc::new(Memory {
            answers: Mutex::default(),
            remembered: Remembered::of(env),
            programs: Programs::new(env.os("PATH")),
        }))
    }

    /// Where a program's name leads.
    pub fn programs(&self) -> &Programs {
        &self.0.programs
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was answered in a run that has ended.
    pub fn forget(&self, run: &RunId) {
        self.lock().runs.remove(run);
    }

    fn known(&self, run: &RunId, key: &str) -> Option<Answer> {
        let answers = self.lock();
        let of_run = answers.runs.get(run);
        if of_run.is_some_and(|of_run| of_run.refused.contains(key)) {
            return Some(Answer::NoBefore);
        }
        let allowed = answers.always.contains(key) || of_run.is_some_and(|of_run| of_run.allowed.contains(key));
        allowed.then_some(Answer::Yes)
    }

    /// Whether a call may run. No answer is a no. Dropping the future takes the question back as far as we are
    /// concerned: a later answer counts for nothing.
    pub async fn ask(&self, host: &dyn Host, events: &Events, run: &RunId, matter: Matter) -> Answer {
        let turn = self.lock().runs.entry(run.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        if let Some(known) = self.known(run, &matter.key) {
            return known;
        }
        let Matter { mut message, key, good } = matter;
        let stored = match &good {
            Good::Stored(lasting) => self.stored(lasting.clone()).await,
            Good::Not | Good::Session => Ok(false),
        };
        match stored {
            Ok(true) => return Answer::Yes,
            Ok(false) => {}
            Err(why) => message = format!("{message} {why}, so you are asked."),
        }
        let mut choices = vec![ONCE, RUN, ALWAYS, DENY];
        if matches!(good, Good::Not) {
            choices.retain(|choice| *choice != ALWAYS);
        }
        events.phase(RunPhase::Waiting);
        events.emit(EventKind::Approval { message: message.clone(), answer: None });
        let question = Question { message: message.clone(), choices: choices.clone() };
        let answer = tokio::time::timeout(PATIENCE, host.ask(question)).await.ok().flatten();
        let word = answer.and_then(|at| choices.get(at).copied()).unwrap_or(DENY);
        events.emit(EventKind::Approval { message, answer: Some(word.to_owned()) });
        events.phase(RunPhase::Acting);
        if word == ALWAYS
            && let Good::Stored(lasting) = good
        {
            match self.store(lasting).await {
                // The file answers from now on, so that what is taken back there counts at once.
                Ok(()) => return Answer::Yes,
                Err(why) => {
                    host.notify(Notice::Warning, format!("Ropeway: {why}; it is allowed until the server ends."));
                }
            }
        }
        self.keep(run, key, word);
        if word == DENY { Answer::No } else { Answer::Yes }
    }

    fn keep(&self, run: &RunId, key: String, word: &str) {
        let mut answers = self.lock();
        let Answers { always, runs } = &mut *answers;
        // A run that has ended meanwhile is not brought back.
        let Some(of_run) = runs.get_mut(run) else { return };
        let into = match word {
            ONCE => return,
            RUN => &mut of_run.allowed,
            ALWAYS => always,
            _ => &mut of_run.refused,
        };
        if into.len() < MAX_KEPT {
            into.insert(key);
        }
    }

    async fn stored(&self, lasting: Lasting) -> Result<bool, String> {
        self.on_disk(move |remembered| remembered.holds(&lasting)).await
    }

    async fn store(&self, lasting: Lasting) -> Result<(), String> {
        self.on_disk(move |remembered| remembered.add(&lasting)).await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Remembered) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let memory = self.0.clone();
        tokio::task::spawn_blocking(move || work(&memory.remembered))
            .await
            .unwrap_or_else(|_| Err("what you allowed for good could not be looked up".to_owned()))
    }
}

#[cfg(test)]
mod tests;
