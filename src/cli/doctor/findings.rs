//! The facts weighed: what is good, what is worth knowing, what is bad, and the mend of it.

use super::report::{FileReport, Finding, Key, ProviderReport, Report, State, StateReport, Variable};
use crate::config::Severity;
use crate::tools::sandbox::{Level, Support};

pub(super) fn of(report: &Report) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut put = |area, (state, text, mend): (State, String, Option<String>)| {
        all.push(Finding { area, state, text, mend });
    };
    for line in model(report) {
        put("Model", line);
    }
    let wanted = report.model.id.as_deref().and_then(|id| id.split_once('/')).map(|(provider, _)| provider);
    let is_wanted = |provider: &ProviderReport| wanted == Some(provider.name.as_str());
    let mut providers: Vec<&ProviderReport> = report.providers.iter().collect();
    // The one that matters, those that were asked, the rest.
    providers.sort_by_key(|provider| (!is_wanted(provider), provider.not_ready.is_some()));
    for provider in providers {
        put("Providers", provider_line(provider, is_wanted(provider)));
    }
    if report.files.is_empty() {
        let text = "no place for a configuration file: neither ROPEWAY_CONFIG nor a home is set".to_owned();
        put("Configuration", (State::Note, text, None));
    }
    for file in &report.files {
        put("Configuration", file_line(file));
    }
    for problem in &report.problems {
        let state = if problem.severity == Severity::Error { State::Bad } else { State::Note };
        put("Configuration", (state, format!("{}: {}", problem.place, problem.message), None));
    }
    put("State", state_line(report.state.as_ref()));
    put("State", recording_line(report));
    put("Commands", sandbox_line(&report.sandbox));
    put("Watching", watching_line(report));
    if report.environment.is_empty() {
        put("Environment", (State::Note, "no variable of Ropeway's, proxy or certificate is set".to_owned(), None));
    }
    for variable in &report.environment {
        put("Environment", variable_line(variable));
    }
    all
}

type Line = (State, String, Option<String>);

fn model(report: &Report) -> Vec<Line> {
    let model = &report.model;
    let name = model.id.as_deref().unwrap_or_default();
    let origin = model.origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
    let mut lines = vec![match &model.reason {
        None => (State::Ok, format!("{name}{origin} can run"), None),
        // It says itself that there is none.
        Some(reason) if model.id.is_none() => (State::Bad, reason.clone(), None),
        Some(reason) => (State::Bad, format!("{name}{origin} cannot run: {reason}"), None),
    }];
    for note in [&model.doubt, &model.unknown].into_iter().flatten() {
        lines.push((State::Note, note.clone(), None));
    }
    lines
}

fn provider_line(provider: &ProviderReport, wanted: bool) -> Line {
    let ProviderReport { name, base_url, .. } = provider;
    let key = match (&provider.key_variable, provider.key) {
        (Some(variable), Key::Present) => format!("key in {variable}"),
        (Some(variable), _) => format!("{variable} not set"),
        (None, _) => "needs no key".to_owned(),
    };
    // That a server nobody asked for is not there, such as the built-in Ollama, is no fault.
    let bad = if wanted { State::Bad } else { State::Note };
    if let Some(reason) = &provider.not_ready {
        return match (&provider.key_variable, provider.key) {
            // Most people have the key of one provider.
            (Some(_), Key::Missing) if !wanted => (State::Note, format!("{name}: not in use, {key}"), None),
            _ => (bad, format!("{name}: {reason}"), None),
        };
    }
    // Of hundreds of milliseconds nobody wants the tenths.
    let tenths = provider.ms.map(|ms| (ms, usize::from(ms < 100.0)));
    let time = tenths.map(|(ms, tenths)| format!(" after {ms:.tenths$} ms")).unwrap_or_default();
    let status = provider.status.map(|status| format!(" ({status})")).unwrap_or_default();
    let models = match provider.models {
        Some(1) => ", 1 model".to_owned(),
        Some(count) if count > 0 => format!(", {count} models"),
        _ => String::new(),
    };
    let mend = provider.mend.clone();
    match (provider.reachable, &provider.error) {
        (None, _) => (State::Note, format!("{name}: {key}; {base_url} was not asked"), mend),
        (Some(true), None) => (State::Ok, format!("{name}: {key}; {base_url} answers{time}{models}"), mend),
        (Some(true), Some(error)) => {
            (bad, format!("{name}: {key}; {base_url} answers{time}{status}{models}: {error}"), mend)
        }
        (Some(false), error) => {
            let why = error.as_deref().unwrap_or("no answer");
            (bad, format!("{name}: {key}; {base_url} cannot be reached{time}: {why}"), mend)
        }
    }
}

fn file_line(file: &FileReport) -> Line {
    let place = format!("{} {}", file.layer, file.path.display());
    let (state, what, mend) = match (file.present, file.errors, file.warnings) {
        (false, 0, _) if file.layer == "user file" => {
            (State::Note, "none".to_owned(), Some("`ropeway init` writes one"))
        }
        (false, 0, _) => (State::Note, "none".to_owned(), None),
        (_, 0, 0) => (State::Ok, "no problems".to_owned(), None),
        (_, 0, warnings) => (State::Note, plural(warnings, "warning"), None),
        (_, errors, 0) => (State::Bad, plural(errors, "error"), None),
        (_, errors, warnings) => {
            (State::Bad, format!("{} and {}", plural(errors, "error"), plural(warnings, "warning")), None)
        }
    };
    (state, format!("{place}: {what}"), mend.map(str::to_owned))
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn state_line(state: Option<&StateReport>) -> Line {
    let Some(state) = state else {
        let text = "no place for recordings, reports and answers".to_owned();
        return (State::Bad, text, Some("set ROPEWAY_STATE_DIR".to_owned()));
    };
    let place = state.path.display();
    if let Some(error) = &state.error {
        let mend = "make it yours to write, or set ROPEWAY_STATE_DIR or recording.dir to another".to_owned();
        return (State::Bad, format!("{place} cannot be written: {error}"), Some(mend));
    }
    if !state.present {
        return (State::Ok, format!("{place} will be made at the first need"), None);
    }
    let more = if state.more { "more than " } else { "" };
    let size = match state.bytes {
        bytes if bytes < 1 << 20 => format!("{:.1} KB", bytes as f64 / 1e3),
        bytes if bytes < 1 << 30 => format!("{:.1} MB", bytes as f64 / 1e6),
        bytes => format!("{:.1} GB", bytes as f64 / 1e9),
    };
    let text = format!("{place} holds {more}{} files, {more}{size}", state.files);
    if state.open_to_others {
        return (State::Note, format!("{text}; others can read it"), Some(format!("chmod 700 {place}")));
    }
    (State::Ok, text, None)
}

fn recording_line(report: &Report) -> Line {
    let recording = &report.recording;
    if !recording.enabled {
        return (State::Note, "runs are not recorded".to_owned(), Some("recording.enabled = true".to_owned()));
    }
    let kept = match recording.keep_days {
        0 => "kept for good".to_owned(),
        days => format!("kept {}", plural(days as usize, "day")),
    };
    let pressed = if recording.compress { ", compressed" } else { "" };
    let how = if recording.in_background { "" } else { ", while a run waits (ROPEWAY_BACKGROUND_IO)" };
    (State::Ok, format!("runs are recorded{how}, {kept}{pressed}"), None)
}

fn sandbox_line(support: &Support) -> Line {
    let Support { level, overlay, reason, mend } = support;
    let mut text = format!("sandbox {level}: {}", level.meaning());
    if !overlay {
        text.push_str("; the workspace is copied for them, because no overlay can be made");
    }
    if let Some(why) = reason {
        text.push_str(&format!("; why: {why}"));
    }
    let state = match level {
        Level::Full => State::Ok,
        Level::Partial => State::Note,
        Level::None => State::Bad,
    };
    (state, text, mend.clone())
}

fn watching_line(report: &Report) -> Line {
    let watching = &report.watching;
    match (&watching.reason, watching.max_folders, watching.max_watchers) {
        (Some(why), ..) => (State::Note, format!("files are looked at when they are used, not watched: {why}"), None),
        (None, Some(folders), Some(watchers)) => {
            let text = format!("files are watched; the system allows {folders} folders and {watchers} watchers a user");
            let few = folders < 8192 || watchers < 32;
            let mend = few.then(|| {
                "for large workspaces: sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=256"
                    .to_owned()
            });
            (if few { State::Note } else { State::Ok }, text, mend)
        }
        _ => (State::Ok, "files are watched".to_owned(), None),
    }
}

fn variable_line(variable: &Variable) -> Line {
    let name = &variable.name;
    match (&variable.problem, &variable.value) {
        (Some(problem), _) => (State::Note, format!("{name}: {problem}"), None),
        (None, Some(value)) => (State::Note, format!("{name} = {value}"), None),
        (None, None) => (State::Note, format!("{name} is set"), None),
    }
}
