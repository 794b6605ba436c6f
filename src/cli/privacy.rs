//! Keeps what this process holds of keys from other programs of the same user.

/// No other program of this user may read the memory or the environment of this process, and no core is left of it.
///
/// Only where keys are read: a process that only prints its version has none.
pub(super) fn close_up() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other programs of this user can read this process");
    }
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // The upper limit stays: a command that the user has run may want its cores.
        let limit = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
        if let Err(error) = setrlimit(Resource::Core, limit) {
            tracing::warn!(%error, "a crash may leave a core with keys in it");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn afterwards_the_process_cannot_be_read() {
        close_up();
        let behaviour = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(behaviour, rustix::process::DumpableBehavior::NotDumpable);
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));
    }
}
