//! What the recorder is told of runs as a whole: which are recorded, how they end, what is decided about them later.

use std::sync::{Arc, Mutex};

use super::Runs;
use crate::agent::events::Events;
use crate::agent::history::History;
use crate::agent::outcome::{Outcome, Status};
use crate::agent::record;
use crate::agent::run::lock;
use crate::config::Config;
use crate::ids::{RunId, ThreadId};
use crate::trajectory::record::{Decided, Decision};
use crate::trajectory::recorder::RunRecorder;

/// The conversation is recorded as the run leaves it.
pub(super) fn conversation(events: &Events, history: &Mutex<History>) {
    if events.log().recorder().is_on() {
        events.log().thread(lock(history).to_send());
    }
}

impl Runs {
    /// Who records a run under these settings.
    pub(super) fn recorder_of(&self, run: &RunId, thread: &ThreadId, config: &Arc<Config>) -> RunRecorder {
        if !config.recording.enabled || !self.services.recorder.is_on() {
            return RunRecorder::off();
        }
        self.redacting(config);
        self.services.recorder.run(run, thread)
    }

    /// What is recorded from now on has the keys of these settings taken out.
    pub(super) fn redacting(&self, config: &Arc<Config>) {
        let mut state = self.state();
        if state.redacted.as_ref().is_none_or(|known| !Arc::ptr_eq(known, config)) {
            state.redacted = Some(config.clone());
            let env = self.services.config.sources().env;
            self.services.recorder.redact_with(record::redact(config.clone(), env));
        }
    }

    /// A run has ended, and that is told. Of one whose edits may still come to a buffer the recording goes on.
    pub(super) fn recorded_to_its_end(&self, run: &RunId, status: Status, events: &Events) {
        if !matches!(status, Status::Proposed | Status::Unknown) {
            self.services.workspace.record(run, RunRecorder::off());
            events.log().end();
        }
    }

    /// Something was decided about a run that has ended.
    pub(super) fn decided(
        &self,
        run: &RunId,
        thread: &ThreadId,
        events: &Events,
        what: Decision,
        outcome: Option<&Outcome>,
    ) {
        // A run of an earlier session has no recorder of its own any more.
        let config = self.services.config();
        if config.recording.enabled && self.services.recorder.is_on() {
            self.redacting(&config);
            let outcome = outcome.and_then(|outcome| serde_json::to_value(outcome).ok());
            self.services.recorder.note(Some(run), Some(thread), Decided { what, outcome });
            self.recorded_to_its_end(run, Status::Applied, events);
        }
    }
}
