//! What a run comes to when it is told: the facts of its records, bounded, on one clock.
//!
//! All times are microseconds since the run began. All texts are foreign and already cut to what is shown of them.

/// Parts of a prompt, in the order in which they are drawn.
pub const PARTS: [&str; 6] =
    ["Instructions and tools", "User", "Model", "Files read", "Searches", "Commands, edits, other"];

/// A run.
#[derive(Debug, Default)]
pub struct Story {
    /// Its name.
    pub run: String,
    /// Its conversation.
    pub thread: String,
    /// What it is, for people.
    pub title: String,
    /// Name of the action.
    pub action: String,
    /// What the user said.
    pub prompt: Cut,
    /// `PROVIDER/MODEL` it began with.
    pub model: String,
    /// Tokens that the model's window holds; 0 if that is not known.
    pub window: u64,
    /// Share of the window from which the conversation is made smaller.
    pub compact_at: Option<f64>,
    /// Version of the program that ran it.
    pub version: String,
    /// The editor, as far as it told.
    pub client: Option<String>,
    /// When it began, in microseconds since 1970.
    pub began_unix_us: Option<u64>,
    /// When the last thing in it happened.
    pub end: u64,
    /// Somebody still writes it.
    pub live: bool,
    /// How it ended; absent while it runs, and where it was cut off.
    pub outcome: Option<Ending>,
    /// The model calls, in order.
    pub requests: Vec<Request>,
    /// The tool calls, in the order in which they were asked for.
    pub calls: Vec<Call>,
    /// What the user typed into files of the run.
    pub typing: Vec<Typing>,
    /// What the user was asked.
    pub asks: Vec<Ask>,
    /// What happened at one moment.
    pub marks: Vec<Mark>,
    /// Waits before another attempt.
    pub retries: Vec<Retry>,
    /// What was sent to the editor.
    pub deliveries: Vec<Delivery>,
    /// The files that the run wanted to change.
    pub files: Vec<Changed>,
    /// What is not here.
    pub lacking: Lacking,
}

/// A text of which perhaps only the beginning is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// What is kept.
    pub text: String,
    /// Bytes left out.
    pub missing: usize,
}

impl Cut {
    /// The beginning of a text.
    pub fn new(text: &str, most: usize) -> Self {
        let (kept, missing) = super::markup::cut(text, most);
        Self { text: kept.to_owned(), missing }
    }
}

/// How a run ended: the outcome of the contract.
#[derive(Debug, Default)]
pub struct Ending {
    /// `applied`, `answered` and so on.
    pub status: String,
    /// What the model said last.
    pub answer: Cut,
    /// Microseconds: all, model, tools, won by overlapping.
    pub timing: Option<[u64; 4]>,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// Why something failed.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// The contract's `error.code`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Tokens of one model call, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The whole prompt.
    pub input: u64,
    /// The part of it read from the provider's cache.
    pub cached: u64,
    /// What the model produced.
    pub output: u64,
    /// The part of that which was reasoning.
    pub reasoning: u64,
}

/// A model call.
#[derive(Debug, Default)]
pub struct Request {
    /// Its number in the run, from 1.
    pub step: u32,
    /// It asked for a summary of the conversation.
    pub summary: bool,
    /// `PROVIDER/MODEL`.
    pub model: String,
    /// When it was sent.
    pub sent: u64,
    /// The head of the answer.
    pub first_byte: Option<u64>,
    /// The first content.
    pub first_token: Option<u64>,
    /// The last content.
    pub last_token: Option<u64>,
    /// Its end.
    pub ended: Option<u64>,
    /// How long a new connection took; absent where one was there.
    pub connect: Option<u64>,
    /// What it took.
    pub tokens: Option<Tokens>,
    /// US dollars, where the price is known.
    pub cost: Option<f64>,
    /// Why the model stopped.
    pub stop: String,
    /// Attempts made; 0 where the answer was remembered.
    pub attempts: u32,
    /// Nobody waited for its end.
    pub abandoned: bool,
    /// It failed.
    pub error: Option<Failure>,
    /// What the model said.
    pub said: Cut,
    /// Tokens of the prompt before it was sent; an estimate.
    pub estimate: u64,
    /// Bytes of each of the [`PARTS`] in the prompt.
    pub parts: [u64; 6],
}

impl Request {
    /// Its end, or that of what is known.
    pub fn end(&self, last: u64) -> u64 {
        self.ended.unwrap_or(last).max(self.sent)
    }

    /// Tokens of the prompt: the provider's count, else the estimate.
    pub fn prompt_tokens(&self) -> u64 {
        self.tokens.map_or(self.estimate, |tokens| tokens.input)
    }

    /// Tokens of each part: the whole, shared out by bytes.
    pub fn part_tokens(&self) -> [u64; 6] {
        let bytes = self.parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
        let whole = self.prompt_tokens();
        if bytes == 0 {
            return [0; 6];
        }
        self.parts.map(|part| (whole as f64 * part as f64 / bytes as f64).round() as u64)
    }
}

/// What a tool is there for: decides the colour of its bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Reads files.
    Read,
    /// Looks for something.
    Search,
    /// Stages edits.
    Edit,
    /// Runs a command.
    Command,
    /// Anything else.
    #[default]
    Other,
}

impl Sort {
    /// Of a tool by its name.
    pub fn of(tool: &str) -> Self {
        match tool {
            "read_file" | "outline" | "diagnostics" => Self::Read,
            "list_dir" | "glob" | "grep" => Self::Search,
            "edit_file" | "insert_lines" | "create_file" | "delete_file" | "move_file" => Self::Edit,
            "run_command" => Self::Command,
            _ => Self::Other,
        }
    }

    /// Its class in the page, and its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Edit => "edit",
            Self::Command => "command",
            Self::Other => "other",
        }
    }
}

/// A tool call.
#[derive(Debug, Default)]
pub struct Call {
    /// The tool.
    pub tool: String,
    /// What sort of tool it is.
    pub sort: Sort,
    /// One line for people.
    pub summary: String,
    /// Number of the model response that made it, from 1.
    pub batch: u32,
    /// The arguments as they came.
    pub arguments: Cut,
    /// When it was handed over, to wait for its turn.
    pub asked: u64,
    /// When it began to run; absent if it never did.
    pub started: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
    /// The result was remembered.
    pub cached: bool,
    /// What went wrong, in one line.
    pub error: Option<String>,
    /// The model was told that it failed.
    pub failed: bool,
    /// What the tool gave.
    pub result: Cut,
    /// Calls of the run at work when it began, itself included.
    pub beside: usize,
}

impl Call {
    /// Its end, or that of what is known.
    pub fn end(&self, last: u64) -> u64 {
        self.ended.unwrap_or(last).max(self.asked)
    }

    /// How long it ran.
    pub fn ran(&self, last: u64) -> u64 {
        self.started.map_or(0, |started| self.end(last).saturating_sub(started))
    }

    /// How long it waited for its turn.
    pub fn waited(&self, last: u64) -> u64 {
        self.started.unwrap_or_else(|| self.end(last)).saturating_sub(self.asked)
    }
}

/// The user typed into a file, with no pause of more than a second.
#[derive(Debug)]
pub struct Typing {
    /// The file.
    pub path: String,
    /// The first change.
    pub from: u64,
    /// The last change.
    pub to: u64,
    /// How many there were.
    pub changes: u64,
}

/// A question to the user.
#[derive(Debug)]
pub struct Ask {
    /// The question.
    pub message: String,
    /// When it was put.
    pub from: u64,
    /// When it was answered.
    pub to: Option<u64>,
    /// The answer.
    pub answer: Option<String>,
}

/// Something that happened at one moment.
#[derive(Debug)]
pub struct Mark {
    /// When.
    pub at: u64,
    /// What.
    pub what: Moment,
}

/// What can happen at one moment.
#[derive(Debug)]
pub enum Moment {
    /// An edit was staged.
    Staged {
        /// The file.
        path: String,
        /// `edited`, `created`, `deleted`, `renamed`.
        how: &'static str,
    },
    /// The conversation was made smaller.
    Compacted {
        /// Tokens before.
        before: u64,
        /// Tokens after.
        after: u64,
    },
    /// What the provider had cached costs its full price again.
    PrefixBroken {
        /// Why.
        why: String,
    },
    /// The run broke off.
    Broken {
        /// Why.
        why: String,
    },
}

/// The model is asked again after a failure.
#[derive(Debug)]
pub struct Retry {
    /// When the wait began.
    pub at: u64,
    /// How long it took.
    pub wait: u64,
    /// From 1.
    pub attempt: u32,
    /// What went wrong.
    pub why: String,
}

/// Edits on their way into the editor.
#[derive(Debug)]
pub struct Delivery {
    /// When they were sent.
    pub from: u64,
    /// When it was known what became of them.
    pub to: u64,
    /// `landed`, `refused` and so on.
    pub reply: String,
    /// Why they were refused.
    pub why: String,
    /// The files.
    pub paths: Vec<String>,
    /// They took a run back.
    pub undo: bool,
}

/// A file that the run wanted to change.
#[derive(Debug, Default)]
pub struct Changed {
    /// The file, as the model sees it.
    pub path: String,
    /// Its name before, if it got another.
    pub from: Option<String>,
    /// `edited`, `created`, `deleted`, `renamed`.
    pub how: &'static str,
    /// The change as a unified diff without its head; cut to a limit, then its last line says so.
    pub diff: String,
    /// Lines that came.
    pub added: usize,
    /// Lines that went.
    pub removed: usize,
    /// Why there is no diff.
    pub without: Option<&'static str>,
    /// Places where the user had changed the same text, so that theirs stands: first line (from 1) and what was wanted.
    pub conflicts: Vec<(u64, Cut)>,
}

/// What a report does not show, so that it can say so.
#[derive(Debug, Default)]
pub struct Lacking {
    /// Records that could not be written, and why the last could not.
    pub lost: u64,
    /// See `lost`.
    pub why: String,
    /// Records whose payload was dropped.
    pub dropped: u64,
    /// Places of the files that could not be read.
    pub damaged: u64,
    /// Records out of which a secret was taken.
    pub redacted: u64,
    /// Model calls beyond the limit.
    pub requests: u64,
    /// Tool calls beyond the limit.
    pub calls: u64,
    /// Marks, questions, bursts of typing and deliveries beyond the limit.
    pub marks: u64,
    /// A newer version wrote some of it.
    pub newer: bool,
}

impl Story {
    /// How long the run took.
    pub fn total(&self) -> u64 {
        let told = self.outcome.as_ref().and_then(|outcome| outcome.timing).map_or(0, |[total, ..]| total);
        if told == 0 { self.end } else { told }
    }

    /// Where the picture of it ends: never 0.
    pub fn whole(&self) -> u64 {
        self.end.max(self.total()).max(1)
    }

    /// The calls of one model response, with their index.
    pub fn batch(&self, step: u32) -> impl Iterator<Item = (usize, &Call)> {
        self.calls.iter().enumerate().filter(move |(_, call)| call.batch == step)
    }
}
