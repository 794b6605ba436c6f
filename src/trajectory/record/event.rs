//! The kinds of records, each with its name on disk.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{
    Approval, Called, Compacted, Decided, Delivery, Dropped, Ended, FileRecord, Finished, Gap, Nothing, Opened, Other,
    Place, Proposal, Request, Response, Retry, RunHead, Sent, SessionHead, Staged, Started, TextRecord, ThreadRecord,
    ToolFinished, ToolStarted, Typed, Why,
};

/// What an event weighs that has no long text.
const LIGHT: usize = 300;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $kind:literal;)*) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $variant(Box<$type>),)*
            /// A kind, or a form of one, that this version does not know.
            Other(Box<Other>),
        }

        impl Event {
            /// Its name on disk.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                    Self::Other(other) => &other.kind,
                }
            }

            /// What it says, without its kind.
            pub(in crate::trajectory) fn serialize_data<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(data) => data.serialize(serializer),)*
                    Self::Other(other) => other.data.serialize(serializer),
                }
            }

            /// The event of this kind, as far as this version knows it.
            pub fn from_parts(kind: String, data: Value) -> Self {
                let known = match kind.as_str() {
                    $($kind => <$type>::deserialize(&data).ok().map(|data| Self::$variant(Box::new(data))),)*
                    _ => None,
                };
                known.unwrap_or_else(|| Self::Other(Box::new(Other { kind, data })))
            }

            /// Every kind that this version knows.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];
        }
    };
}

events! {
    /// The head of a file.
    Session(SessionHead) = "session";
    /// A text, before its first use.
    Text(TextRecord) = "text";
    /// The run begins.
    Started(Started) = "started";
    /// A file, when the run reads or stages it for the first time.
    File(FileRecord) = "file";
    /// A touched file was opened in the editor.
    Opened(Opened) = "opened";
    /// A touched file was closed there: its file on disk counts from now on.
    Closed(Place) = "closed";
    /// A touched file was saved there.
    Saved(Place) = "saved";
    /// A touched file was changed there.
    Typed(Typed) = "typed";
    /// The run wants a file otherwise.
    Staged(Staged) = "staged";
    /// Everything it wants, at its end.
    Proposal(Proposal) = "proposal";
    /// A change is about to be sent to the user's side.
    Sent(Sent) = "sent";
    /// What was sent is there.
    Landed(Place) = "landed";
    /// What was sent is not there and will not come.
    Refused(Place) = "refused";
    /// How a request to the user's side ended.
    Delivery(Delivery) = "delivery";
    /// A model is asked.
    Request(Request) = "request";
    /// A call was complete in the stream.
    Called(Called) = "called";
    /// The request ended.
    Response(Response) = "response";
    /// A tool began to run.
    ToolStarted(ToolStarted) = "toolStarted";
    /// A tool ended.
    ToolFinished(ToolFinished) = "toolFinished";
    /// The user is asked, or has answered.
    Approval(Approval) = "approval";
    /// The model is asked again.
    Retry(Retry) = "retry";
    /// The conversation was made smaller.
    Compacted(Compacted) = "compacted";
    /// What the provider had cached of the conversation is of no use.
    PrefixBroken(Why) = "prefixBroken";
    /// The run broke down.
    Broken(Why) = "broken";
    /// The conversation as it would be sent next.
    Thread(ThreadRecord) = "thread";
    /// The conversation was emptied by command.
    Cleared(Nothing) = "cleared";
    /// The run ended.
    Finished(Finished) = "finished";
    /// Something was decided about a run that had ended.
    Decided(Decided) = "decided";
    /// Records are missing here.
    Gap(Gap) = "gap";
    /// A record of which only the fact was kept.
    Dropped(Dropped) = "dropped";
    /// A run as a list shows it, when it begins.
    Run(RunHead) = "run";
    /// A run as a list shows it, when it has ended.
    Ended(Ended) = "ended";
}

impl Event {
    /// About how many bytes it takes, without looking far.
    pub fn weight(&self) -> usize {
        let edits = |edits: &[super::EditRecord]| edits.iter().map(|edit| 48 + edit.text.len()).sum::<usize>();
        let heavy = match self {
            Self::Text(text) => text.text.as_ref().map_or(0, |text| text.len()),
            Self::Started(started) => started.prompt.len() + 4_000,
            Self::Typed(typed) => edits(&typed.edits),
            Self::Staged(staged) => edits(&staged.edits),
            Self::Sent(sent) => edits(&sent.edits),
            Self::ToolStarted(tool) => tool.arguments.len() + tool.summary.len(),
            Self::ToolFinished(tool) => tool.result.len() + tool.summary.len(),
            Self::Response(response) => response.turn.as_ref().map_or(0, |turn| {
                let calls: usize = turn.calls.iter().map(|call| call.arguments.len() + 100).sum();
                turn.text.len() + turn.raw.as_ref().map_or(0, |raw| raw.len()) + calls
            }),
            Self::Approval(approval) => approval.message.len(),
            Self::Finished(_) => 2_000,
            _ => 0,
        };
        LIGHT + heavy
    }
}

macro_rules! from {
    ($($type:ident => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Event {
            fn from(data: $type) -> Self {
                Self::$variant(Box::new(data))
            }
        })*
    };
}

from! {
    SessionHead => Session, TextRecord => Text, Started => Started, FileRecord => File, Opened => Opened, Typed => Typed,
    Staged => Staged, Proposal => Proposal, Sent => Sent, Delivery => Delivery, Request => Request, Called => Called,
    Response => Response, ToolStarted => ToolStarted, ToolFinished => ToolFinished, Approval => Approval, Retry => Retry,
    Compacted => Compacted, ThreadRecord => Thread, Finished => Finished, Decided => Decided, Gap => Gap,
    Dropped => Dropped, RunHead => Run, Ended => Ended,
}
