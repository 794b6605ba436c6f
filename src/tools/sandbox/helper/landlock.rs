//! Rules of the kernel on files, by Landlock: the second wall behind a read-only view, the first one without.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, path_beneath_rules,
};

use super::super::spec::{LayerKind, Spec};
use super::{Failed, Step};

/// The newest rules that we know how to use; an older kernel takes those it has.
const NEWEST: ABI = ABI::V6;

/// Restricts this process and all it starts. Says whether any rule is in force. With `view` the machine is seen
/// through a namespace already, so everything may be read; without, the folders to read are picked here.
pub(super) fn restrict(spec: &Spec, view: bool) -> Result<bool, Failed> {
    let read = AccessFs::from_read(NEWEST);
    let all = AccessFs::from_all(NEWEST);
    let device = read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let (mut readable, mut writable) = (vec![PathBuf::from("/")], Vec::new());
    if view {
        writable.extend(["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from));
        writable.extend(spec.layers.iter().map(|layer| layer.at.clone()));
    } else {
        readable.clear();
        grant(Path::new("/"), &spec.masked, 0, &mut readable);
        writable.push(spec.tmp.clone());
        for layer in &spec.layers {
            if let LayerKind::Copy { tree } = &layer.kind {
                writable.push(tree.clone());
            }
        }
    }
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.add_rules(path_beneath_rules(readable, read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(["/dev"], device)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(writable, all)))
        .and_then(|rules| rules.restrict_self())
        .step("Landlock")?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Deepest folder in which single names are picked.
const MAX_DEPTH: usize = 8;

/// The largest folders that hold nothing of what is `masked`: Landlock knows only what is allowed.
fn grant(folder: &Path, masked: &[PathBuf], depth: usize, granted: &mut Vec<PathBuf>) {
    if masked.iter().any(|masked| folder.starts_with(masked)) {
        return;
    }
    if !masked.iter().any(|masked| masked.starts_with(folder)) {
        granted.push(folder.to_owned());
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in
        entries.flatten().filter(|entry| depth < MAX_DEPTH && entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
    {
        grant(&entry.path(), masked, depth + 1, granted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_of_what_may_be_read_and_its_neighbours_are_not() {
        let home = tempfile::tempdir().unwrap();
        for folder in [".ssh", ".config/gh", ".config/git", "work"] {
            std::fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        let masked = [home.path().join(".ssh"), home.path().join(".config/gh"), home.path().join("absent")];
        let mut granted = Vec::new();
        grant(home.path(), &masked, 0, &mut granted);
        granted.sort();
        assert_eq!(granted, [home.path().join(".config/git"), home.path().join("work")]);
    }
}
