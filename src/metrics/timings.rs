//! What is timed, and a timer for each.

use super::timer::Timer;

macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident = $name:literal $part:ident,)*) => {
        /// What is timed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Op {
            $($(#[$doc])* $op,)*
        }

        impl Op {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$op,)*];

            /// Its name in the readout.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$op => $name,)*
                }
            }

            /// Whether a slow one is worth a line of its own: what is part of another is named there as the cause.
            pub(super) fn is_whole(self) -> bool {
                match self {
                    $(Self::$op => ops!(@$part),)*
                }
            }

            /// A span of it, as subscribers of logs and traces see it; free where none wants it.
            pub fn trace(self) -> tracing::Span {
                match self {
                    $(Self::$op => tracing::debug_span!($name),)*
                }
            }
        }
    };
    (@whole) => { true };
    (@part) => { false };
}

ops! {
    /// One message of the editor, until its answer is ready.
    Message = "message" whole,
    /// One change of a document, from the parsed message to the new state.
    Change = "change" whole,
    /// One list of code actions.
    CodeAction = "codeAction" whole,
    /// The state of a file or of all open documents, taken for a tool or a run.
    Snapshot = "snapshot" whole,
    /// One reading of the configuration.
    ConfigLoad = "configLoad" whole,
    /// One run of the agent.
    Run = "run" whole,
    /// What a run is told first: looked up and written down.
    Gather = "gather" whole,
    /// One request made ready: new results made small, the conversation made to fit, counted and copied.
    Prepare = "prepare" whole,
    /// One call of a model, from the request to the end of the stream.
    Request = "request" whole,
    /// A request's wait for its turn at the provider.
    Queue = "queue" part,
    /// Opening a connection, handshakes included.
    Connect = "connect" part,
    /// From a request's departure to the head of the answer.
    FirstByte = "firstByte" part,
    /// From the request to the first content of the answer.
    FirstToken = "firstToken" part,
    /// From the request to the last content of the answer.
    LastToken = "lastToken" part,
    /// One tool, waiting not counted.
    Tool = "tool" whole,
    /// A tool's wait for its turn.
    ToolWait = "toolWait" whole,
    /// From the last byte of a call's arguments to the start of its tool.
    Dispatch = "dispatch" part,
    /// One staged edit.
    Stage = "stage" whole,
    /// Carrying staged edits over one change.
    Rebase = "rebase" part,
    /// From the end of the model's work to the request that applies the edits.
    Propose = "propose" whole,
    /// From that request to the proof that the editor holds the edits.
    Apply = "apply" whole,
    /// One write of the recorder.
    RecorderFlush = "recorderFlush" whole,
    /// How late the runtime was for something that was due; looked at only while a run goes on.
    Lateness = "lateness" part,
}

/// One timer for each operation.
#[derive(Debug)]
pub(super) struct Timings(Box<[Timer]>);

impl Default for Timings {
    fn default() -> Self {
        Self(Op::ALL.iter().map(|_| Timer::default()).collect())
    }
}

impl Timings {
    pub(super) fn of(&self, op: Op) -> &Timer {
        // As many as there are operations, in their order.
        &self.0[op as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Metrics;
    use super::*;

    #[test]
    fn each_operation_has_its_own_place_and_name() {
        let names: std::collections::BTreeSet<_> = Op::ALL.iter().map(|op| op.name()).collect();
        assert_eq!(names.len(), Op::ALL.len());
        assert!(Op::ALL.iter().enumerate().all(|(place, op)| *op as usize == place));
    }

    #[test]
    fn an_operation_touches_no_memory_but_its_own() {
        let metrics = Metrics::new();
        metrics.record(Op::Stage, Duration::ZERO, true);
        for op in Op::ALL {
            assert_eq!(metrics.timings.of(*op).is_untouched(), *op != Op::Stage, "{op:?}");
        }
    }
}
