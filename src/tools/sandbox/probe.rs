//! Finding out what this machine gives, by trying it: a world is built as for a command, and nothing runs in it.

use std::path::PathBuf;

use super::Sandbox;
use super::level::{Level, Support};
use super::scratch;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub support: Support,
    /// What the helper is told to be.
    pub mode: &'static str,
    /// Whether the command sees the machine through a view of its own.
    pub view: bool,
    /// Where scratch folders go, the first that will do.
    pub places: Vec<PathBuf>,
}

/// Tries, from the best to the worst.
#[cfg(target_os = "linux")]
pub(super) fn find(sandbox: &Sandbox) -> Found {
    let places = scratch::places(&sandbox.env);
    let found = |level, overlay, mode, reason: Option<String>, mend: Option<&str>| Found {
        support: Support { level, overlay, reason, mend: mend.map(str::to_owned) },
        mode,
        view: mode == "outer",
        places: places.clone(),
    };
    let scratch = match scratch::Scratch::make(&places, &[]) {
        Ok(scratch) => scratch,
        Err(error) => {
            let reason = format!("no folder for what commands write: {error}");
            return found(
                Level::None,
                false,
                "watch",
                Some(reason),
                Some("set ROPEWAY_STATE_DIR to a folder of yours"),
            );
        }
    };
    let mut refused = None;
    if sandbox.most == Level::Full {
        for overlay in [true, false] {
            match trial::run(&sandbox.helper, "outer", &scratch, Some(overlay)) {
                Ok(true) => return found(Level::Full, overlay, "outer", refused, None),
                Ok(false) => {
                    let mend = "a kernel of 5.13 or newer with Landlock switched on (`lsm=landlock,…`)";
                    return found(
                        Level::Partial,
                        overlay,
                        "outer",
                        Some("the kernel has no Landlock".into()),
                        Some(mend),
                    );
                }
                Err(why) => refused = Some(why),
            }
        }
    } else {
        refused = Some(format!("limited to {} on request", sandbox.most));
    }
    let mend = "unprivileged user namespaces: `sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, \
                `sysctl kernel.unprivileged_userns_clone=1` on older Debian, `--security-opt seccomp=unconfined` for a \
                container";
    if sandbox.most >= Level::Partial {
        match trial::run(&sandbox.helper, "guard", &scratch, None) {
            Ok(true) => return found(Level::Partial, false, "guard", refused, Some(mend)),
            Ok(false) => {
                let reason = format!("the kernel has no Landlock; {}", refused.unwrap_or_default());
                return found(Level::None, false, "guard", Some(reason), Some(mend));
            }
            Err(why) => refused = Some(why),
        }
    }
    found(Level::None, false, "watch", refused, Some(mend))
}

/// Elsewhere there is nothing to try.
#[cfg(not(target_os = "linux"))]
pub(super) fn find(sandbox: &Sandbox) -> Found {
    let seatbelt = cfg!(target_os = "macos") && sandbox.most >= Level::Partial && sandbox.helper.is_file();
    let (level, reason) = match seatbelt {
        true => (Level::Partial, "Seatbelt keeps files and network away; this has not been tested on macOS"),
        false => (Level::None, "this system has no sandbox that Ropeway knows"),
    };
    Found {
        support: Support { level, overlay: false, reason: Some(reason.to_owned()), mend: None },
        mode: if seatbelt { "seatbelt" } else { "" },
        view: false,
        places: scratch::places(&sandbox.env),
    }
}

#[cfg(target_os = "linux")]
mod trial {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::super::spec::{self, Layer, LayerKind, Said, Spec};
    use super::scratch::Scratch;

    /// A helper that takes longer hangs.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Has the helper build a world. Says whether rules on files were in force; the error says what did not work.
    pub(super) fn run(helper: &Path, mode: &str, scratch: &Scratch, overlay: Option<bool>) -> Result<bool, String> {
        let said = build(helper, mode, scratch, overlay).map_err(|error| format!("the helper: {error}"))?;
        let mut rules = None;
        for line in said.lines() {
            match serde_json::from_str(line) {
                Ok(Said::Ready { landlock }) => rules = Some(landlock),
                Ok(Said::Failed { step, error }) => return Err(format!("{step}: {error}")),
                Ok(_) | Err(_) => {}
            }
        }
        rules.ok_or_else(|| "the helper ended without a word".to_owned())
    }

    fn build(helper: &Path, mode: &str, scratch: &Scratch, overlay: Option<bool>) -> std::io::Result<String> {
        let at = scratch.folder("lower")?;
        let kind = match overlay {
            Some(true) => Some(LayerKind::Overlay { upper: scratch.folder("upper")?, work: scratch.folder("work")? }),
            Some(false) => Some(LayerKind::Copy { tree: scratch.folder("upper")? }),
            None => None,
        };
        let layers = kind.into_iter().map(|kind| Layer { at: at.clone(), kind, fixed: Vec::new() }).collect();
        let spec = Spec { cwd: at, layers, tmp: scratch.folder("tmp")?, ..Spec::default() };
        let (mut ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        ours.set_write_timeout(Some(PATIENCE))?;
        let mut child = Command::new(helper)
            .args([super::super::helper::NAME, mode])
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = String::new();
        let told = ours.write_all(&spec::head(&spec)?).and_then(|()| ours.read_to_string(&mut said).map(drop));
        // Whatever it is doing, it is done.
        let _ = child.kill();
        child.wait()?;
        // One that ends before it has listened has said why.
        if said.is_empty() { told.map(|()| said) } else { Ok(said) }
    }
}
