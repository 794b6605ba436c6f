//! How old what is in force can be, while the configuration's file is saved, renamed, removed and made anew, with its
//! folder: the test of the same plays only says that it follows.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway::config::ConfigStore;
use ropeway::watch::files::{FOLDERS, FileWatch};

use super::config::{place, sources, two_hundred_keys};
use super::report::{Figure, Report, ms};

/// Edits of every kind.
const EDITS: u32 = 500;

pub fn measure(report: &mut Report) {
    for (name, limit) in [("folders are watched", FOLDERS), ("one folder is watched", 1)] {
        let (home, file) = place();
        play(report, home.path(), &file, name, limit);
    }
}

/// Edits of every kind while a reader loops: what is in force may be older than its file for so long.
fn play(report: &mut Report, home: &Path, file: &Path, name: &str, limit: usize) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let store = Arc::new(ConfigStore::new(sources(home)));
    let here = Arc::clone(&store);
    let watch = FileWatch::start(runtime.handle(), limit, Arc::new(move || drop(here.refresh())));
    watch.set(sources(home).files().collect());
    let folder = file.parent().expect("a folder");
    let text = two_hundred_keys();
    let save = |path: &Path, steps: u32| {
        let text = text.replace("max_steps = 40", &format!("max_steps = {steps}"));
        std::fs::write(path, text).expect("a file");
    };
    let (aside, gone) = (folder.with_extension("aside"), folder.with_extension("gone"));
    let mut late = Vec::new();
    for nth in 0..EDITS {
        let steps = 50 + nth;
        // The same edits in every run; a multiplier that leaves no pattern in the last digit.
        let wanted = match (nth.wrapping_mul(2_654_435_761) >> 16) & 7 {
            0..=2 => {
                std::fs::create_dir_all(folder).expect("a folder");
                save(file, steps);
                steps
            }
            3 | 4 => {
                std::fs::create_dir_all(folder).expect("a folder");
                save(&aside, steps);
                std::fs::rename(&aside, file).expect("a file");
                steps
            }
            5 => {
                std::fs::remove_file(file).ok();
                40
            }
            6 => {
                std::fs::create_dir_all(folder).expect("a folder");
                std::fs::rename(folder, &gone).expect("a folder");
                std::fs::create_dir(folder).expect("a folder");
                save(file, steps);
                std::fs::remove_dir_all(&gone).expect("a folder");
                steps
            }
            _ => {
                std::fs::remove_dir_all(folder).ok();
                40
            }
        };
        let edited = Instant::now();
        while store.current().agent.max_steps != wanted {
            std::thread::sleep(Duration::from_micros(200));
        }
        late.push(ms(edited.elapsed()));
    }
    let most = late.iter().copied().fold(0.0, f64::max);
    report.note(format!("config: the latest of {EDITS} edits, removals and new folders took {most:.0} ms ({name})"));
    report.alone(&format!("any edit → in force, {name}"), "ms", Figure::of(late), "≤ 200 ms");
}
