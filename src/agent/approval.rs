//! Asking the user about a call, and remembering what they said for as long as they said.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::events::{Events, RunPhase};
use crate::host::{EventKind, Host, Question};
use crate::ids::RunId;

/// The buttons, as the contract names them.
const CHOICES: [&str; 4] = ["Allow once", "Allow for this run", "Always allow", "Deny"];
/// Characters of a call that a question shows.
const CALL_MAX: usize = 500;

/// What the user has allowed. A copy is the same memory.
#[derive(Clone, Debug, Default)]
pub struct Approvals(Arc<Mutex<Allowed>>);

#[derive(Debug, Default)]
struct Allowed {
    /// Rules whose question was answered for good: until the server ends.
    always: HashSet<String>,
    /// The same for one run.
    in_run: HashSet<(RunId, String)>,
}

impl Approvals {
    fn lock(&self) -> MutexGuard<'_, Allowed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was allowed for a run that has ended.
    pub fn forget(&self, run: &RunId) {
        self.lock().in_run.retain(|(other, _)| other != run);
    }

    /// Whether a call that `rule` wants asked may run. `call` says in one line what it does. No answer is a no.
    pub async fn ask(&self, host: &dyn Host, events: &Events, run: &RunId, rule: &str, call: &str) -> bool {
        let key = (run.clone(), rule.to_owned());
        {
            let allowed = self.lock();
            if allowed.always.contains(rule) || allowed.in_run.contains(&key) {
                return true;
            }
        }
        let call: String = call.chars().map(|ch| if ch.is_control() { ' ' } else { ch }).take(CALL_MAX).collect();
        let message = format!("Ropeway wants to: {call}. Your rule `{rule}` asks for this.");
        events.phase(RunPhase::Waiting);
        events.emit(EventKind::Approval { message: message.clone(), answer: None });
        let answer = host.ask(Question { message: message.clone(), choices: CHOICES.to_vec() }).await;
        let word = answer.and_then(|at| CHOICES.get(at).copied()).unwrap_or("Deny");
        events.emit(EventKind::Approval { message, answer: Some(word.to_owned()) });
        events.phase(RunPhase::Acting);
        match word {
            "Allow once" => {}
            "Allow for this run" => drop(self.lock().in_run.insert(key)),
            "Always allow" => drop(self.lock().always.insert(key.1)),
            _ => return false,
        }
        true
    }
}
