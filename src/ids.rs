//! Newtypes for the names of things, so that a run is never mistaken for a thread or a call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<String> for $type {
            fn from(name: String) -> Self {
                Self(Arc::from(name))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// One run of the agent, from the command that started it to its outcome.
    RunId
}
name! {
    /// A conversation; several runs may continue it.
    ThreadId
}
name! {
    /// One tool call of the model, named by the provider or, where it gives no name, by us.
    CallId
}

/// A number that has not been used before by this process, and in all likelihood by no other: the second of the start
/// and the process's number keep recordings apart.
fn unused() -> String {
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let start = START.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()));
    format!("{start:x}-{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl RunId {
    /// A name no other run has.
    pub fn unused() -> Self {
        Self::from(format!("run-{}", unused()))
    }
}

impl ThreadId {
    /// A name no other thread has.
    pub fn unused() -> Self {
        Self::from(format!("thread-{}", unused()))
    }
}

impl CallId {
    /// A name for a call that the provider did not name.
    pub fn unused() -> Self {
        Self::from(format!("call-{}", unused()))
    }
}

/// The version number the client gives a document. It grows, but not by one, and some clients leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocVersion(pub i32);

/// Our own count of the changes of one document: grows by one with each, whatever the client's versions do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);
