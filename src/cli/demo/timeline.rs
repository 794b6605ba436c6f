//! The timeline: who did what when, one lane for the model, each tool call and the user's buffer.
//!
//! It only notes times and turns them into rows of cells; where they are drawn is not its business, so the same chart
//! moves on a terminal and stands still in a file.

use crate::cli::terminal::{Ink, Style};

/// Columns of the labels.
const LABEL: usize = 22;
/// Columns of the chart.
const CHART: usize = 36;
/// Columns of the notes behind it.
const NOTE: usize = 79 - 1 - LABEL - CHART - 1;
/// Lanes at most; a real model may make hundreds of calls, and only the last ones can be seen anyway.
const LANES: usize = 12;

/// One call.
#[derive(Clone, Debug, Default)]
struct Lane {
    id: String,
    label: String,
    /// The model began to write the call.
    began: Option<f64>,
    /// It was written to its end.
    written: Option<f64>,
    started: Option<f64>,
    ended: Option<f64>,
    /// How long the tool ran, in milliseconds, as the server measured it.
    ms: f64,
    failed: bool,
    /// The response that made the call was over.
    answered: Option<f64>,
}

/// One response.
#[derive(Clone, Debug)]
struct Response {
    asked: f64,
    spoke: Option<f64>,
    done: Option<f64>,
}

/// All lanes. Times are seconds since the run began.
#[derive(Clone, Debug)]
pub struct Timeline {
    responses: Vec<Response>,
    lanes: Vec<Lane>,
    hidden: usize,
    typed: Vec<f64>,
    applied: Vec<f64>,
    last: f64,
    /// Milliseconds that a column stands for at least: the chart of a lively run should not keep changing its scale.
    scale: f64,
}

/// One line of cells, each a character with its meaning.
type Cells = Vec<(char, Ink)>;

impl Timeline {
    /// Empty. `scale` is the least number of milliseconds a column stands for.
    pub fn new(scale: f64) -> Self {
        Self {
            responses: Vec::new(),
            lanes: Vec::new(),
            hidden: 0,
            typed: Vec::new(),
            applied: Vec::new(),
            last: 0.0,
            scale,
        }
    }

    /// A request was sent to the model.
    pub fn asked(&mut self, at: f64) {
        self.done(self.last);
        self.note(at);
        self.responses.push(Response { asked: at, spoke: None, done: None });
    }

    /// The model says something.
    pub fn spoke(&mut self, at: f64) {
        self.note(at);
        if let Some(response) = self.responses.last_mut() {
            response.spoke.get_or_insert(at);
        }
    }

    /// The response is over.
    pub fn done(&mut self, at: f64) {
        let Some(response) = self.responses.last_mut().filter(|response| response.done.is_none()) else { return };
        response.done = Some(at);
        for lane in &mut self.lanes {
            lane.answered.get_or_insert(at);
        }
        self.note(at);
    }

    /// The model begins to write a call.
    pub fn call(&mut self, at: f64, id: &str, label: &str) {
        self.note(at);
        self.lane(id).label = label.to_owned();
        self.lane(id).began = Some(at);
    }

    /// The model has written a call to its end.
    pub fn written(&mut self, at: f64, id: &str) {
        self.note(at);
        self.lane(id).written = Some(at);
    }

    /// A tool begins to run.
    pub fn started(&mut self, at: f64, id: &str, label: &str) {
        self.note(at);
        let lane = self.lane(id);
        lane.started = Some(at);
        if lane.label.is_empty() {
            lane.label = label.to_owned();
        }
    }

    /// A tool is done.
    pub fn ended(&mut self, at: f64, id: &str, ms: f64, failed: bool) {
        self.note(at);
        let lane = self.lane(id);
        lane.ended = Some(at);
        lane.ms = ms;
        lane.failed = failed;
    }

    /// The user pressed a key.
    pub fn typed(&mut self, at: f64) {
        self.note(at);
        self.typed.push(at);
    }

    /// Edits arrived in the editor.
    pub fn applied(&mut self, at: f64) {
        self.note(at);
        self.applied.push(at);
    }

    /// Whether no tool is at work or on its way.
    pub fn idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.ended.is_some())
    }

    /// Calls whose tool was done before the response that made them was, and all calls that ran.
    pub fn ahead(&self) -> (usize, usize) {
        let ran = self.lanes.iter().filter(|lane| lane.ended.is_some());
        let early =
            |lane: &&Lane| lane.answered.is_some_and(|answered| lane.ended.is_some_and(|ended| ended < answered));
        (ran.clone().filter(early).count(), ran.count() + self.hidden)
    }

    fn note(&mut self, at: f64) {
        self.last = self.last.max(at);
    }

    fn lane(&mut self, id: &str) -> &mut Lane {
        let at = match self.lanes.iter().rposition(|lane| lane.id == id) {
            Some(at) => at,
            None => {
                if self.lanes.len() == LANES {
                    self.lanes.remove(0);
                    self.hidden += 1;
                }
                self.lanes.push(Lane { id: id.to_owned(), ..Lane::default() });
                self.lanes.len() - 1
            }
        };
        &mut self.lanes[at]
    }

    /// The chart as it stands at `now`, every line below 80 columns.
    pub fn draw(&self, now: f64, style: Style) -> Vec<String> {
        let scale = Scale::new(now.max(self.last), self.scale);
        let mut lines = vec![row(style, "", scale.axis(), "")];
        let mut cells = blank();
        for response in &self.responses {
            let spoke = response.spoke.unwrap_or(now);
            scale.fill(&mut cells, response.asked, spoke, '·', Ink::Dim);
            if response.spoke.is_some() {
                scale.fill(&mut cells, spoke, response.done.unwrap_or(now), '▒', Ink::Model);
            }
        }
        lines.push(row(style, "model", cells, ""));
        if self.hidden > 0 {
            lines.push(row(style, &format!("  ({} earlier calls)", self.hidden), Vec::new(), ""));
        }
        for lane in &self.lanes {
            let (cells, note) = scale.lane(lane, now);
            lines.push(row(style, &format!("  {}", lane.label), cells, &note));
        }
        let mut cells = blank();
        for at in &self.typed {
            scale.fill(&mut cells, *at, *at, '┃', Ink::You);
        }
        for at in &self.applied {
            scale.fill(&mut cells, *at, *at, '◆', Ink::Good);
        }
        lines.push(row(style, "your buffers", cells, ""));
        lines
    }

    /// What the signs mean.
    pub fn legend(style: Style) -> Vec<String> {
        let sign =
            |sign: &str, ink, meaning: &str| format!("{} {}", style.paint(ink, sign), style.paint(Ink::Dim, meaning));
        let indent = " ".repeat(LABEL + 1);
        vec![
            format!(
                "{indent}{}   {}   {}",
                sign("░", Ink::Dim, "call being written"),
                sign("█", Ink::Good, "tool runs"),
                sign("─", Ink::Good, "ready early"),
            ),
            format!(
                "{indent}{}             {}",
                sign("┃", Ink::You, "you type"),
                sign("◆", Ink::Good, "the edits arrive, all together"),
            ),
        ]
    }
}

fn blank() -> Cells {
    vec![(' ', Ink::Plain); CHART]
}

/// How time becomes columns.
struct Scale {
    /// Milliseconds of a column.
    column: f64,
}

impl Scale {
    fn new(until: f64, least: f64) -> Self {
        // Steps that give round labels: 0.1, 0.2, 0.25, 0.3…, 1, 2, 2.5 and so on, as far as anyone waits.
        let steps = (-1..9).flat_map(|power| [1.0, 2.0, 2.5, 3.0, 4.0, 5.0].map(|step| step * 10_f64.powi(power)));
        let fits = |column: &f64| *column >= least && until * 1e3 < column * CHART as f64;
        Self { column: steps.into_iter().find(fits).unwrap_or(1e9) }
    }

    fn cell(&self, at: f64) -> usize {
        ((at * 1e3 / self.column).max(0.0) as usize).min(CHART - 1)
    }

    /// Fills from one time to another, both included.
    fn fill(&self, cells: &mut [(char, Ink)], from: f64, to: f64, sign: char, ink: Ink) {
        for cell in &mut cells[self.cell(from)..=self.cell(to.max(from))] {
            *cell = (sign, ink);
        }
    }

    fn lane(&self, lane: &Lane, now: f64) -> (Cells, String) {
        let mut cells = blank();
        if let Some(began) = lane.began {
            let until = lane.started.unwrap_or(now);
            self.fill(&mut cells, began, until, '·', Ink::Dim);
            self.fill(&mut cells, began, lane.written.map_or(until, |written| written.min(until)), '░', Ink::Dim);
        }
        let Some(started) = lane.started else { return (cells, String::new()) };
        let ended = lane.ended.unwrap_or(now);
        if lane.ended.is_some() {
            let answered = lane.answered.unwrap_or(now);
            if self.cell(answered) > self.cell(ended) {
                self.fill(&mut cells, ended, answered, '─', Ink::Good);
            }
        }
        self.fill(&mut cells, started, ended, '█', if lane.failed { Ink::Bad } else { Ink::Good });
        let note = match (lane.ended, lane.answered) {
            (None, _) => String::new(),
            (Some(_), _) if lane.failed => format!("{} refused", milliseconds(lane.ms)),
            (Some(ended), Some(answered)) if answered - ended >= 0.0005 => {
                format!("{}, {} early", milliseconds(lane.ms), span(answered - ended))
            }
            _ => milliseconds(lane.ms),
        };
        (cells, note)
    }

    fn axis(&self) -> Cells {
        const EVERY: usize = 10;
        let mut cells = blank();
        for at in (0..CHART).step_by(EVERY) {
            let label = if at == 0 { "0".to_owned() } else { span(at as f64 * self.column / 1e3) };
            let label = format!("{}{label}", if at == 0 { '│' } else { '╵' });
            if at + label.chars().count() <= CHART {
                for (cell, ch) in cells[at..].iter_mut().zip(label.chars()) {
                    *cell = (ch, Ink::Dim);
                }
            }
        }
        cells
    }
}

/// A stretch of seconds, for people.
pub fn span(seconds: f64) -> String {
    if seconds >= 9.95 {
        format!("{seconds:.0} s")
    } else if seconds >= 0.1 {
        let text = format!("{seconds:.1}");
        format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
    } else {
        milliseconds(seconds * 1e3)
    }
}

/// A stretch of milliseconds, for people.
pub fn milliseconds(ms: f64) -> String {
    if ms >= 9.95 { format!("{ms:.0} ms") } else { format!("{ms:.1} ms") }
}

/// One line of the chart: label, cells, a note behind.
fn row(style: Style, label: &str, cells: Cells, note: &str) -> String {
    let mut line = format!(" {:<LABEL$}", shorten(&style.clean(label), LABEL));
    let mut rest = &cells[..];
    while let Some((_, ink)) = rest.first() {
        let run = rest.iter().take_while(|(_, other)| other == ink).count();
        let text: String = rest[..run].iter().map(|(ch, _)| ch).collect();
        line.push_str(&style.paint(*ink, &text));
        rest = &rest[run..];
    }
    if !note.is_empty() {
        line.push(' ');
        line.push_str(&style.paint(Ink::Dim, &shorten(note, NOTE)));
    }
    line.trim_end().to_owned()
}

/// `text` in at most `width` columns; every character we show here takes one.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_must_wait_shows_that_it_is_written_and_waits() {
        let mut timeline = Timeline::new(100.0);
        timeline.call(0.0, "a", "edit a");
        timeline.written(0.3, "a");
        timeline.started(0.8, "a", "");
        timeline.ended(0.8, "a", 0.2, true);
        let chart = timeline.draw(0.9, Style::plain());
        assert!(chart[2].contains("░░░░····█"), "{}", chart[2]);
        assert!(chart[2].ends_with("0.2 ms refused"), "{}", chart[2]);
    }

    fn lively() -> Timeline {
        let mut timeline = Timeline::new(0.0);
        timeline.asked(0.0);
        timeline.spoke(0.4);
        timeline.call(0.5, "a", "read a");
        timeline.started(0.7, "a", "");
        timeline.ended(0.7004, "a", 0.4, false);
        timeline.call(0.7, "b", "grep b");
        timeline.started(1.0, "b", "");
        timeline.ended(1.4, "b", 400.0, false);
        timeline.done(1.2);
        timeline.typed(1.3);
        timeline.applied(1.7);
        timeline
    }

    #[test]
    fn lanes_show_what_overlapped() {
        let chart = lively().draw(1.7, Style::plain());
        assert_eq!(
            chart,
            [
                "                       │0        ╵0.5 s    ╵1 s      ╵1.5 s",
                " model                 ········▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒",
                "   read a                        ░░░░█──────────            0.4 ms, 0.5 s early",
                "   grep b                            ░░░░░░█████████        400 ms",
                " your buffers                                    ┃       ◆",
            ]
        );
    }

    #[test]
    fn a_call_that_was_done_before_its_response_is_counted_as_ahead() {
        assert_eq!(lively().ahead(), (1, 2));
        assert!(lively().idle());
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        for seconds in [0.0, 0.000_01, 0.3, 7.0, 99.0, 5_000.0, 1e7] {
            let mut timeline = lively();
            for call in 0..40 {
                timeline.call(seconds, &format!("{call}"), &"long label ".repeat(9));
                timeline.started(seconds, &format!("{call}"), "");
                timeline.ended(seconds, &format!("{call}"), 123_456.0, call % 2 == 0);
            }
            timeline.done(seconds + 200.0);
            let lines = timeline.draw(seconds, Style::plain());
            assert!(lines.len() <= LANES + 4);
            for line in lines.iter().chain(&Timeline::legend(Style::plain())) {
                assert!(line.chars().count() < 80, "{} {line}", line.chars().count());
            }
        }
    }

    #[test]
    fn spans_read_well() {
        assert_eq!([0.0004, 0.0123, 0.5, 2.0, 12.4].map(span), ["0.4 ms", "12 ms", "0.5 s", "2 s", "12 s"]);
    }
}
